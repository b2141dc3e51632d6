"""Stories of a Continuous, through the public API."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from durable_primitives import (
    Backoff,
    Continuous,
    ContinuousContext,
    InstanceNotFoundError,
    InvalidStateError,
    RetryPolicy,
    ValidationError,
)
from tests.acceptance.conftest import Open
from tests.acceptance.seen import Seen, eventually

SOON = RetryPolicy(max_attempts=3, backoff=Backoff.constant("5ms", jitter="none"))
OFTEN = Continuous.every("20ms")
SELDOM = Continuous.every("1 hour")


async def until_it_is(client: Any, id: str, wanted: str) -> None:
    async def reached() -> bool:
        return (await client.status(id)).status == wanted

    await eventually(reached)


class Token(msgspec.Struct):
    user: str
    refreshed: int = 0


async def test_a_job_repeats_and_keeps_its_state(open_app: Open) -> None:
    seen = Seen()

    @Continuous.make("refresher", state_schema=Token, schedule=OFTEN)
    async def refresher(ctx: ContinuousContext[Token]) -> None:
        ctx.update_state(lambda token: Token(token.user, token.refreshed + 1))
        await seen.note((ctx.run_count, ctx.state.refreshed, ctx.attempt))

    async with open_app(refresher) as running:
        client = running.client.continuous(refresher)
        started = await client.start("user-42", Token("ada"))
        assert (started.instance_id, started.created) == ("continuous:refresher:user-42", True)
        await seen.reach(5)
        stopped = await client.stop("user-42", "enough")
        assert (stopped.stopped, stopped.reason) == (True, "enough")
    assert [entry[:2] for entry in seen] == [(n, n) for n in range(1, len(seen) + 1)]
    async with open_app(refresher, worker=False) as running:
        client = running.client.continuous(refresher)
        status = await client.status("user-42")
        assert (status.status, status.stop_reason, status.next_run_at) == ("stopped", "enough", None)
        state = await client.get_state("user-42")
        assert state is not None
        assert state.user == "ada"
        assert status.run_count - state.refreshed in (0, 1), "only the run that was in flight may have ended in vain"


async def test_a_job_goes_on_in_the_next_process_without_any_call(open_app: Open) -> None:
    seen = Seen()

    @Continuous.make("counter", state_schema=int, schedule=OFTEN)
    async def counter(ctx: ContinuousContext[int]) -> None:
        ctx.set_state(ctx.state + 1)
        await seen.note(ctx.run_count)

    async with open_app(counter) as running:
        await running.client.continuous(counter).start("c", 0)
        await seen.reach(2)
    first = len(seen)
    async with open_app(counter) as running:
        await seen.reach(first + 2)
        assert await running.client.continuous(counter).get_state("c") in (len(seen) - 1, len(seen))
    assert seen == list(range(1, len(seen) + 1)), "no run was lost and none ran twice"


async def test_starting_what_lives_changes_nothing_unless_it_is_asked_to(open_app: Open) -> None:
    counter = Continuous.make(
        "counter", state_schema=int, schedule=SELDOM, start_immediately=False, execute=lambda ctx: None
    )
    async with open_app(counter, worker=False) as running:
        client = running.client.continuous(counter)
        assert (await client.start("c", 1)).created
        again = await client.start("c", 2)
        assert (again.created, again.status) == (False, "scheduled")
        assert await client.get_state("c") == 1
        with pytest.raises(InvalidStateError):
            await client.start("c", 2, if_exists="raise")
        await client.start("c", 3, if_exists="restart")
        assert await client.get_state("c") == 3
        with pytest.raises(ValidationError):
            await client.start("d", "not a number")  # type: ignore[arg-type]
        assert (await client.status("d")).status == "not_found"
        with pytest.raises(InstanceNotFoundError) as missing:
            await client.trigger("d")
        assert missing.value.instance_id == "continuous:counter:d"


async def test_a_failed_run_leaves_the_state_untouched_and_is_tried_again(open_app: Open) -> None:
    seen = Seen()

    @Continuous.make("flaky", state_schema=int, schedule=SELDOM, retry=SOON)
    async def flaky(ctx: ContinuousContext[int]) -> None:
        await seen.note((ctx.run_count, ctx.attempt, ctx.state, ctx.idempotency_key))
        ctx.set_state(ctx.state + 100)
        if ctx.attempt < 3:
            raise ConnectionError("not yet")
        ctx.set_state(ctx.state + 1)

    async with open_app(flaky) as running:
        client = running.client.continuous(flaky)
        await client.start("f", 0)
        await seen.reach(3)
        await until_it_is(client, "f", "scheduled")
        assert await client.get_state("f") == 101
        status = await client.status("f")
        assert (status.run_count, status.consecutive_failures, status.last_error) == (1, 0, None)
    assert [entry[:3] for entry in seen] == [(1, 1, 0), (1, 2, 0), (1, 3, 0)]
    assert len({entry[3] for entry in seen}) == 1


async def test_a_trigger_during_a_run_is_exactly_one_more_run(open_app: Open) -> None:
    seen, go_on = Seen(), asyncio.Event()

    @Continuous.make("job", state_schema=int, schedule=SELDOM)
    async def job(ctx: ContinuousContext[int]) -> None:
        await seen.note(ctx.run_count)
        if ctx.run_count == 1:
            await go_on.wait()
        ctx.set_state(ctx.run_count)
        if ctx.run_count == 2:
            ctx.stop("that is all")

    async with open_app(job) as running:
        client = running.client.continuous(job)
        await client.start("j", 0)
        await seen.reach(1)
        for _ in range(5):
            assert (await client.trigger("j")).triggered
        go_on.set()
        await seen.reach(2)
        await until_it_is(client, "j", "stopped")
        status = await client.status("j")
        assert (status.run_count, status.stop_reason) == (2, "that is all")
        assert await client.get_state("j") == 2
        assert not (await client.trigger("j")).triggered
    assert seen == [1, 2]


async def test_a_paused_job_waits_and_a_resumed_one_runs(open_app: Open) -> None:
    seen = Seen()

    @Continuous.make("job", state_schema=int, schedule=SELDOM)
    async def job(ctx: ContinuousContext[int]) -> None:
        await seen.note(ctx.run_count)

    async with open_app(job, worker=False) as running:
        client = running.client.continuous(job)
        await client.start("j", 0)
        assert (await client.pause("j")).paused
    async with open_app(job) as running:
        client = running.client.continuous(job)
        assert (await client.status("j")).status == "paused"
        assert not (await client.resume("j")).paused
        await seen.reach(1)


async def test_a_terminated_job_is_gone_and_a_run_in_flight_cannot_bring_it_back(open_app: Open) -> None:
    seen, go_on = Seen(), asyncio.Event()

    @Continuous.make("job", state_schema=int, schedule=SELDOM)
    async def job(ctx: ContinuousContext[int]) -> None:
        await seen.note((ctx.state, ctx.idempotency_key))
        await go_on.wait()
        ctx.set_state(99)

    async with open_app(job) as running:
        client = running.client.continuous(job)
        await client.start("j", 1)
        await seen.reach(1)
        assert (await client.terminate("j")).terminated
        assert not (await client.terminate("j")).terminated
        assert (await client.status("j")).status == "not_found"
        assert await client.get_state("j") is None
        go_on.set()
        again = await client.start("j", 2)
        assert again.created
        await seen.reach(2)
    assert [state for state, _ in seen] == [1, 2]
    assert len({key for _, key in seen}) == 2, "another life, another key"
    async with open_app(job, worker=False) as running:
        assert await running.client.continuous(job).get_state("j") == 99


async def test_a_run_may_end_its_own_job(open_app: Open) -> None:
    seen = Seen()

    @Continuous.make("job", state_schema=int, schedule=OFTEN)
    async def job(ctx: ContinuousContext[int]) -> None:
        await seen.note(ctx.run_count)
        if ctx.run_count == 3:
            ctx.terminate("done")

    async with open_app(job) as running:
        client = running.client.continuous(job)
        await client.start("j", 0)
        await seen.reach(3)
        await until_it_is(client, "j", "not_found")
    assert seen == [1, 2, 3]


async def test_jobs_are_listed_page_by_page(open_app: Open) -> None:
    job = Continuous.make("job", state_schema=int, schedule=SELDOM, start_immediately=False, execute=lambda ctx: None)
    async with open_app(job, worker=False) as running:
        client = running.client.continuous(job)
        for n in range(25):
            await client.start(f"{'even' if n % 2 == 0 else 'odd'}-{n:02}", n)
        await client.stop("even-00")
        found, cursor = list[str](), None
        while True:
            page = await client.list(prefix="even-", limit=4, cursor=cursor)
            assert len(page.items) <= 4
            found += [summary.id for summary in page.items]
            if (cursor := page.cursor) is None:
                break
        assert found == [f"even-{n:02}" for n in range(0, 25, 2)]
        assert [s.id for s in (await client.list(status="stopped")).items] == ["even-00"]
