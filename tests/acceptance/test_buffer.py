"""Stories of a buffer, through the public API."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from durable_primitives import (
    Backoff,
    Buffer,
    BufferEventContext,
    BufferExecuteContext,
    Reduce,
    ReducerError,
    RetryPolicy,
    ValidationError,
)
from tests.acceptance.conftest import Open
from tests.acceptance.seen import Seen, eventually

SOON = RetryPolicy(max_attempts=3, backoff=Backoff.constant("5ms", jitter="none"))


class Total(msgspec.Struct):
    count: int = 0
    amount: int = 0


async def settled(client: Any, id: str) -> None:
    """Until nothing sealed is left to hand over."""

    async def done() -> bool:
        return not (await client.status(id)).flushing

    await eventually(done)


async def test_a_full_batch_is_handed_over_in_order_with_all_that_is_known_about_it(open_app: Open) -> None:
    seen = Seen()

    @Buffer.make("digests", event_schema=str, max_events=3)
    async def digests(ctx: BufferExecuteContext[list[str]]) -> None:
        await seen.note(ctx)

    async with open_app(digests) as running:
        client = running.client.buffer(digests)
        results = [await client.add("acct-7", f"e{n}") for n in range(7)]
        await seen.reach(2)
        await settled(client, "acct-7")
        assert (await client.status("acct-7")).event_count == 1
        assert await client.get_state("acct-7") == ["e6"]
    assert [result.event_count for result in results] == [1, 2, 3, 1, 2, 3, 1]
    assert [result.created for result in results] == [True] + [False] * 6
    assert {result.instance_id for result in results} == {"buffer:digests:acct-7"}
    first, second = seen
    assert (first.state, second.state) == (["e0", "e1", "e2"], ["e3", "e4", "e5"])
    assert (first.id, first.name, first.event_count, first.flush_reason) == ("acct-7", "digests", 3, "max_events")
    assert first.first_event_at <= first.last_event_at <= second.first_event_at
    assert first.flush_id != second.flush_id
    assert first.idempotency_key != second.idempotency_key


async def test_a_batch_is_handed_over_some_time_after_its_first_event_and_not_before(open_app: Open) -> None:
    seen = Seen()

    @Buffer.make("digests", event_schema=int, flush_after="50ms")
    async def digests(ctx: BufferExecuteContext[list[int]]) -> None:
        await seen.note((ctx.state, ctx.flush_reason, datetime.now(UTC)))

    async with open_app(digests) as running:
        first, second = await running.client.buffer(digests).add_many("a", [1, 2])
        await seen.reach(1)
    ((state, reason, flushed_at),) = seen
    assert (state, reason) == ([1, 2], "flush_after")
    assert first.will_flush_at is not None
    assert second.will_flush_at == first.will_flush_at, "a later event does not move the window"
    assert flushed_at >= first.will_flush_at


async def test_a_manual_flush_and_a_clear_act_on_the_open_batch(open_app: Open) -> None:
    seen = Seen()

    @Buffer.make("digests", event_schema=int, flush_after="1 hour")
    async def digests(ctx: BufferExecuteContext[list[int]]) -> None:
        await seen.note((ctx.state, ctx.flush_reason, ctx.flush_id))

    async with open_app(digests) as running:
        client = running.client.buffer(digests)
        assert not (await client.flush("a")).flushed
        await client.add_many("a", [1, 2, 3])
        assert await client.get_state("a") == [1, 2, 3]
        receipt = await client.flush("a")
        assert (receipt.flushed, receipt.event_count) == (True, 3)
        await seen.reach(1)
        assert seen == [([1, 2, 3], "manual", receipt.flush_id)]
        await settled(client, "a")
        await client.add_many("a", [4, 5])
        cleared = await client.clear("a")
        assert (cleared.cleared, cleared.discarded_events) == (True, 2)
        assert not (await client.clear("a")).cleared
        await client.add("a", 6)
        await client.flush("a")
        await seen.reach(2)
    assert seen[1][0] == [6]


async def test_a_failed_batch_comes_again_unchanged_and_what_arrives_meanwhile_follows_it(open_app: Open) -> None:
    seen = Seen()

    @Buffer.make("digests", event_schema=int, max_events=2, retry=SOON)
    async def digests(ctx: BufferExecuteContext[list[int]]) -> None:
        await seen.note((tuple(ctx.state), ctx.flush_id, ctx.attempt))
        if ctx.state[0] == 0:
            if ctx.attempt == 1:
                await running.client.buffer(digests).add_many("a", [2, 3])
            if ctx.attempt < 3:
                ctx.state.append(99)  # what a handler does to its copy is its own affair
                raise ConnectionError("not yet")

    async with open_app(digests) as running:
        client = running.client.buffer(digests)
        await client.add_many("a", [0, 1])
        await seen.reach(4)
        await settled(client, "a")
    first, second = seen[0][1], seen[3][1]
    assert seen == [((0, 1), first, 1), ((0, 1), first, 2), ((0, 1), first, 3), ((2, 3), second, 1)]


async def test_a_batch_that_is_given_up_on_is_kept_and_can_be_handed_over_again(open_app: Open) -> None:
    seen, told, broken = Seen(), list[object](), True

    async def park(state: list[int] | None, error: BaseException, ctx: Any) -> None:
        told.append((state, str(error), ctx.attempts, ctx.event_count))

    @Buffer.make("digests", event_schema=int, max_events=2, retry=SOON, on_dead_letter=park)
    async def digests(ctx: BufferExecuteContext[list[int]]) -> None:
        await seen.note((tuple(ctx.state), ctx.attempt))
        if broken and ctx.state[0] == 0:
            raise LookupError("gone")

    async with open_app(digests) as running:
        client = running.client.buffer(digests)
        await client.add_many("a", [0, 1, 2, 3])
        await seen.until(lambda: ((2, 3), 1) in seen)
        await settled(client, "a")
        assert told == [([0, 1], "gone", 3, 2)]
        (letter,) = (await client.dead_letters.list("a")).items
        assert (letter.state, letter.attempts, letter.event_count) == ([0, 1], 3, 2)
        broken = False
        assert await client.dead_letters.redrive(letter.flush_id) == 1
        await seen.until(lambda: seen.count(((0, 1), 1)) == 2)
        await settled(client, "a")
        assert (await client.dead_letters.list("a")).items == ()
    assert Counter(seen) == {((0, 1), 1): 2, ((0, 1), 2): 1, ((0, 1), 3): 1, ((2, 3), 1): 1}


async def test_a_reducer_folds_events_and_an_event_that_it_refuses_changes_nothing(open_app: Open) -> None:
    seen = Seen()

    def fold(ctx: BufferEventContext[int, Total]) -> Total:
        if ctx.event < 0:
            raise ValueError("no refunds here")
        before = ctx.state or Total()
        return Total(before.count + 1, before.amount + ctx.event)

    @Buffer.make("totals", event_schema=int, state_schema=Total, on_event=fold, flush_after="1 hour")
    async def totals(ctx: BufferExecuteContext[Total]) -> None:
        await seen.note((ctx.state, ctx.event_count))

    async with open_app(totals) as running:
        client = running.client.buffer(totals)
        await asyncio.gather(*(client.add("a", n) for n in range(1, 21)))
        with pytest.raises(ReducerError) as refused:
            await client.add("a", -5, "bad")
        assert isinstance(refused.value.__cause__, ValueError)
        with pytest.raises(ValidationError):
            await client.add("a", "five")  # type: ignore[arg-type]
        assert await client.get_state("a") == Total(20, 210)
        await client.flush("a")
        await seen.reach(1)
    assert seen == [(Total(20, 210), 20)]


async def test_only_the_latest_event_can_be_kept(open_app: Open) -> None:
    seen = Seen()

    @Buffer.make("presence", event_schema=str, on_event=Reduce.latest(), max_events=3)
    async def presence(ctx: BufferExecuteContext[str]) -> None:
        await seen.note((ctx.state, ctx.event_count))

    async with open_app(presence) as running:
        for state in ("online", "away", "offline"):
            await running.client.buffer(presence).add("ada", state)
        await seen.reach(1)
    assert seen == [("offline", 3)]


async def test_one_event_id_is_in_one_batch_however_often_it_is_sent(open_app: Open) -> None:
    seen = Seen()

    @Buffer.make("digests", event_schema=int, max_events=5)
    async def digests(ctx: BufferExecuteContext[list[int]]) -> None:
        await seen.note(tuple(ctx.state))

    async with open_app(digests) as running:
        client = running.client.buffer(digests)
        results = await asyncio.gather(*(client.add("a", n % 10, f"id-{n % 10}") for n in range(50)))
        await seen.reach(2)
        await settled(client, "a")
        assert (await client.add("a", 3, "id-3")).duplicate, "an id outlives its batch"
        assert (await client.status("a")).event_count == 0
    assert sum(not result.duplicate for result in results) == 10
    assert sorted(event for batch in seen for event in batch) == list(range(10))


async def test_what_was_gathered_is_handed_over_by_the_next_process_without_any_call(open_app: Open) -> None:
    seen = Seen()

    @Buffer.make("digests", event_schema=int, flush_after="50ms", max_events=4)
    async def digests(ctx: BufferExecuteContext[list[int]]) -> None:
        await seen.note((tuple(ctx.state), ctx.flush_reason))

    async with open_app(digests, worker=False) as producer:
        await producer.client.buffer(digests).add_many("a", range(6))
    async with open_app(digests):
        await seen.reach(2)
    assert seen == [((0, 1, 2, 3), "max_events"), ((4, 5), "flush_after")]
