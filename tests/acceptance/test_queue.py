"""Stories of a queue, through the public API."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

import msgspec
import pytest

from durable_primitives import (
    Backoff,
    Cancel,
    DeadLetter,
    Enqueue,
    Queue,
    QueueDeadLetterContext,
    QueueExecuteContext,
    QueueFullError,
    RetryPolicy,
    Snooze,
    ValidationError,
)
from tests.acceptance.conftest import Open
from tests.acceptance.seen import Seen

SOON = RetryPolicy(max_attempts=3, backoff=Backoff.constant("5ms", jitter="none"))


class Delivery(msgspec.Struct):
    repository: str
    number: int


async def test_an_event_is_run_with_everything_that_is_known_about_it(open_app: Open) -> None:
    seen = Seen()

    @Queue.make("deliveries", event_schema=Delivery, concurrency=3)
    async def deliveries(ctx: QueueExecuteContext[Delivery]) -> None:
        await seen.note(ctx)

    before = datetime.now(UTC)
    async with open_app(deliveries) as running:
        client = running.client.queue(deliveries)
        result = await client.enqueue(Delivery("durable", 7), id="d-7", partition_key="durable")
        await seen.reach(1)
    (ctx,) = seen
    assert result.instance_id == f"queue:deliveries:{result.instance_index}" == ctx.instance_id
    assert (result.event_id, result.position, result.duplicate) == ("d-7", 1, False)
    assert ctx.event == Delivery("durable", 7)
    assert (ctx.name, ctx.event_id, ctx.partition_key) == ("deliveries", "d-7", "durable")
    assert (ctx.sequence, ctx.attempt, ctx.is_retry, ctx.delivery) == (1, 1, False, 1)
    assert ctx.instance_index == result.instance_index
    assert abs((ctx.enqueued_at - before).total_seconds()) < 60
    assert ctx.enqueued_at.tzinfo is not None
    assert "d-7" in ctx.idempotency_key


async def test_events_of_a_key_run_in_order_and_never_overlap_while_keys_run_side_by_side(open_app: Open) -> None:
    order: dict[str, list[int]] = {}
    running_keys = Counter[str]()
    most = 0

    @Queue.make("q", event_schema=Delivery, concurrency=4, per_instance=4, partition_key=lambda e: e.repository)
    async def queue(ctx: QueueExecuteContext[Delivery]) -> None:
        nonlocal most
        key = ctx.event.repository
        running_keys[key] += 1
        most = max(most, running_keys.total())
        assert running_keys[key] == 1
        for _ in range(3):
            await asyncio.sleep(0)
        order.setdefault(key, []).append(ctx.event.number)
        running_keys[key] -= 1

    async with open_app(queue) as running:
        client = running.client.queue(queue)
        for start in range(0, 400, 50):
            await client.enqueue_many([Delivery(f"r{n % 10}", n) for n in range(start, start + 50)])
        assert (await client.drain("30 seconds")).drained
        status = await client.status()
    assert (status.processed, status.dead) == (400, 0)
    assert order == {f"r{key}": list(range(key, 400, 10)) for key in range(10)}
    assert most > 1


async def test_what_was_accepted_while_no_worker_ran_is_run_by_the_next_one_without_any_call(open_app: Open) -> None:
    seen = Seen()

    @Queue.make("q", event_schema=str)
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note(ctx.event)

    async with open_app(queue, worker=False) as producer:
        for n in range(5):
            await producer.client.queue(queue).enqueue(f"e{n}")
    assert seen == []
    async with open_app(queue):
        await seen.reach(5)
    assert seen == [f"e{n}" for n in range(5)]


async def test_a_failure_is_tried_again_and_holds_back_only_its_own_key(open_app: Open) -> None:
    seen = Seen()

    @Queue.make("q", event_schema=str, retry=SOON)
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note((ctx.event, ctx.attempt))
        if ctx.event == "flaky" and ctx.attempt < 3:
            raise ValueError("not yet")

    async with open_app(queue) as running:
        client = running.client.queue(queue)
        await client.enqueue_many(
            [Enqueue("flaky", partition_key="a"), Enqueue("after", partition_key="a"), Enqueue("other")]
        )
        await client.drain("30 seconds")
    assert [entry for entry in seen if entry[0] != "other"] == [("flaky", 1), ("flaky", 2), ("flaky", 3), ("after", 1)]
    assert ("other", 1) in seen


async def test_what_fails_for_good_is_told_kept_and_can_be_run_again(open_app: Open) -> None:
    seen, told, broken = Seen(), list[object](), True

    async def park(event: str, error: BaseException, ctx: QueueDeadLetterContext) -> None:
        told.append((event, str(error), ctx.event_id, ctx.attempts))

    @Queue.make("q", event_schema=str, retry=SOON, on_dead_letter=park)
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note(ctx.attempt)
        if broken:
            raise LookupError("no such user")

    async with open_app(queue) as running:
        client = running.client.queue(queue)
        await client.enqueue("hello", id="h")
        await client.drain("30 seconds")
        assert (seen, told) == ([1, 2, 3], [("hello", "no such user", "h", 3)])
        (letter,) = (await client.dead_letters.list()).items
        assert (letter.event_id, letter.event, letter.attempts) == ("h", "hello", 3)
        assert (letter.error.type, letter.error.message) == ("LookupError", "no such user")
        assert (await client.enqueue("hello", id="h")).duplicate, "an id is remembered for the dead, too"
        broken = False
        assert await client.dead_letters.redrive("h") == 1
        await client.drain("30 seconds")
        assert seen == [1, 2, 3, 1]
        status = await client.status()
        assert (status.processed, status.dead) == (1, 0)


async def test_a_handler_says_how_its_event_goes_on(open_app: Open) -> None:
    seen = Seen()
    signals = {"snooze": Snooze("5ms"), "cancel": Cancel("unwanted"), "dead": DeadLetter("poison")}

    @Queue.make("q", event_schema=str, retry=RetryPolicy(max_attempts=1))
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note((ctx.event, ctx.attempt))
        if seen.count((ctx.event, 1)) == 1:
            raise signals[ctx.event]

    async with open_app(queue) as running:
        client = running.client.queue(queue)
        await client.enqueue_many([Enqueue(event, id=event) for event in signals])
        await client.drain("30 seconds")
        assert Counter(seen) == {("snooze", 1): 2, ("cancel", 1): 1, ("dead", 1): 1}
        assert [letter.event_id for letter in (await client.dead_letters.list()).items] == ["dead"]
        assert (await client.status()).processed == 1


async def test_one_id_is_one_event_however_often_and_concurrently_it_is_sent(open_app: Open) -> None:
    seen = Seen()

    @Queue.make("q", event_schema=str, concurrency=5)
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note(ctx.event_id)

    async with open_app(queue) as running:
        client = running.client.queue(queue)
        results = await asyncio.gather(*(client.enqueue("e", id=f"id-{n % 20}") for n in range(200)))
        await client.drain("30 seconds")
        results += await asyncio.gather(*(client.enqueue("e", id=f"id-{n}") for n in range(20)))
        await client.drain("30 seconds")
    assert sum(not result.duplicate for result in results) == 20
    assert Counter(seen) == {f"id-{n}": 1 for n in range(20)}
    for n in range(20):
        receipts = {(r.instance_id, r.position) for r in results if r.event_id == f"id-{n}"}
        assert len(receipts) == 1, "a duplicate gets the first receipt"


async def test_a_paused_queue_accepts_and_a_resumed_one_goes_on(open_app: Open) -> None:
    seen = Seen()

    @Queue.make("q", event_schema=int, concurrency=2)
    async def queue(ctx: QueueExecuteContext[int]) -> None:
        await seen.note(ctx.event)

    async with open_app(queue) as running:
        client = running.client.queue(queue)
        assert (await client.pause()).paused
        await client.enqueue_many(range(10))
        status = await client.status()
        assert (status.paused, status.pending, status.running) == (True, 10, 0)
        assert not (await client.drain("0s")).drained
        assert seen == []
        assert not (await client.resume()).paused
        await client.drain("30 seconds")
    assert sorted(seen) == list(range(10))


async def test_cancel_takes_out_what_waits_and_asks_what_runs(open_app: Open) -> None:
    seen, asked = Seen(), asyncio.Event()

    @Queue.make("q", event_schema=str)
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note(ctx)
        if ctx.event == "long":
            await asked.wait()
            raise Cancel("as asked")

    async with open_app(queue) as running:
        client = running.client.queue(queue)
        await client.enqueue_many([Enqueue("long", id="long"), Enqueue("waiting", id="waiting")])
        await seen.reach(1)
        assert (await client.cancel("waiting")).outcome == "cancelled"
        assert not seen[0].cancelled
        assert (await client.cancel("long")).outcome == "running"
        while not seen[0].cancelled:
            await asyncio.sleep(0)
        asked.set()
        await client.drain("30 seconds")
        assert (await client.cancel("long")).outcome == "cancelled"
        assert (await client.cancel("never sent")).outcome == "not_found"
    assert [ctx.event for ctx in seen] == ["long"]


async def test_a_full_queue_refuses_and_an_emptied_one_accepts(open_app: Open) -> None:
    queue = Queue.make("q", event_schema=int, max_pending=3, execute=lambda ctx: None)
    async with open_app(queue, worker=False) as running:
        client = running.client.queue(queue)
        await client.enqueue_many(range(3))
        with pytest.raises(QueueFullError) as full:
            await client.enqueue(3)
        assert (full.value.limit, full.value.code) == (3, "queue_full")
        assert (await client.clear()).discarded_events == 3
        await client.enqueue(4)
        assert (await client.status()).pending == 1


async def test_an_invalid_event_is_refused_before_anything_is_written(open_app: Open) -> None:
    queue = Queue.make("q", event_schema=Delivery, execute=lambda ctx: None)
    async with open_app(queue, worker=False) as running:
        client = running.client.queue(queue)
        with pytest.raises(ValidationError) as refused:
            await client.enqueue_many([Delivery("fine", 1), {"repository": 5, "number": 1}])  # type: ignore[list-item]
        assert refused.value.issues[0].path == "$.repository"
        assert (await client.status()).pending == 0


async def test_a_plain_function_is_a_handler_too(open_app: Open) -> None:
    ran: list[str] = []

    @Queue.make("q", event_schema=str)
    def queue(ctx: QueueExecuteContext[str]) -> None:
        ran.append(ctx.event)

    async with open_app(queue) as running:
        client = running.client.queue(queue)
        await client.enqueue_many(["a", "b"])
        await client.drain("30 seconds")
    assert ran == ["a", "b"]


async def test_closing_finishes_what_runs_and_keeps_the_rest_for_the_next_worker(open_app: Open) -> None:
    seen, finish = Seen(), asyncio.Event()

    @Queue.make("q", event_schema=str)
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note((ctx.event, ctx.delivery))
        await finish.wait()

    async with open_app(queue) as running:
        await running.client.queue(queue).enqueue_many(["a", "b", "c"])
        await seen.reach(1)
        asyncio.get_running_loop().call_soon(finish.set)
    assert seen == [("a", 1)]
    async with open_app(queue) as running:
        await running.client.queue(queue).drain("30 seconds")
    assert seen == [("a", 1), ("b", 1), ("c", 1)]
