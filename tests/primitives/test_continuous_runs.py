"""One run after another: cadence, state, and what a handler decides for itself."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from durable_primitives.durations import to_datetime
from durable_primitives.errors import DefinitionError, InvalidStateError, ValidationError
from durable_primitives.events import (
    ContinuousFailed,
    ContinuousStopped,
    ContinuousTerminated,
)
from durable_primitives.primitives.continuous import Continuous, ContinuousContext
from durable_primitives.retry import RetryPolicy
from durable_primitives.signals import Cancel, Retry, Snooze
from tests.primitives.continuous_job import HOUR, MINUTE, Context, Job, count, kill

# --- cadence ----------------------------------------------------------------------------------------------------------


async def test_runs_at_once_and_then_at_every_tick() -> None:
    job = await Job().started()
    await job.advance(35)
    assert job.minutes == [0, 10, 20, 30]
    assert [seen.scheduled_for for seen in job.seen] == [to_datetime(job.epoch + n * 10 * MINUTE) for n in range(4)]
    assert await job.client.get_state("a") == 4


async def test_first_run_can_wait_for_the_first_tick() -> None:
    job = await Job(start_immediately=False).started()
    await job.advance(25)
    assert job.minutes == [10, 20]


async def test_long_run_does_not_move_the_cadence() -> None:
    job = Job()

    def slow(ctx: Context) -> None:
        job.driver.runtime.ms += 4 * MINUTE

    job.acts = [slow, slow, slow]
    await job.started()
    await job.advance(35)
    assert job.minutes == [0, 10, 20, 30]


async def test_spaced_runs_follow_the_end_of_the_one_before() -> None:
    job = Job(schedule=Continuous.every("10 minutes", anchor="finish"))

    def slow(ctx: Context) -> None:
        job.driver.runtime.ms += 4 * MINUTE

    job.acts = [slow, slow, slow]
    await job.started()
    await job.advance(40)
    assert job.minutes == [0, 14, 28]


async def test_function_as_schedule_ends_the_instance_with_none() -> None:
    job = Job(start_immediately=False)
    await job.driver.open()
    last = job.driver.now + 25 * MINUTE

    def next_tick(previous: Any, now: Any) -> Any:
        following = (previous or now) + timedelta(minutes=10)
        return following if following <= to_datetime(last) else None

    job.deploy(schedule=next_tick)
    await job.started()
    await job.advance(60)
    status = await job.client.status("a")
    assert job.minutes == [10, 20]
    assert (status.status, status.stop_reason, status.next_run_at) == ("stopped", "schedule_ended", None)


async def test_max_runs_stops_it_with_its_state() -> None:
    job = await Job(max_runs=2).started()
    await job.advance(60)
    status = await job.client.status("a")
    assert job.minutes == [0, 10]
    assert (status.status, status.stop_reason) == ("stopped", "max_runs")
    assert await job.client.get_state("a") == 2


async def test_max_runs_counts_from_the_last_start() -> None:
    job = await Job(max_runs=2).started()
    await job.advance(20)
    await job.client.start("a", 0)
    await job.advance(60)
    assert job.minutes == [0, 10, 20, 30]
    assert (await job.client.status("a")).stop_reason == "max_runs"


async def test_until_is_the_last_moment_of_a_tick() -> None:
    job = Job()
    job.deploy(until=to_datetime(job.driver.now + 20 * MINUTE))
    await job.started()
    await job.advance(60)
    assert job.minutes == [0, 10, 20]
    assert (await job.client.status("a")).stop_reason == "schedule_ended"


async def test_ids_have_their_own_cadence_and_state() -> None:
    job = await Job().started("a", 0)
    await job.advance(5)
    await job.client.start("b", 100)
    await job.advance(7)
    assert job.minutes == [0, 5, 10]
    assert (await job.client.get_state("a"), await job.client.get_state("b")) == (2, 101)


# --- state ------------------------------------------------------------------------------------------------------------


async def test_state_is_saved_only_if_the_run_succeeds() -> None:
    job = Job()

    def set_and_fail(ctx: Context) -> None:
        ctx.set_state(50)
        raise ValueError("boom")

    job.acts = [set_and_fail]
    await job.started(state=7)
    await job.advance(0)
    assert await job.client.get_state("a") == 7
    await job.advance(1)
    assert job.seen[1].state == 7
    assert await job.client.get_state("a") == 8


async def test_every_attempt_gets_a_fresh_decode_of_what_is_stored() -> None:
    seen: list[list[int]] = []

    async def mutate_in_place(ctx: ContinuousContext[list[int]]) -> None:
        seen.append(list(ctx.state))
        ctx.state.append(99)
        if ctx.attempt == 1:
            raise ValueError("boom")

    job = Job(state_schema=list[int], execute=mutate_in_place)
    await job.driver.open()
    await job.client.start("a", [1])  # type: ignore[arg-type]
    await job.advance(1)
    assert seen == [[1], [1]]
    assert await job.client.get_state("a") == [1]


async def test_state_that_does_not_fit_is_refused_where_it_is_set() -> None:
    job = Job()
    refused: list[ValidationError] = []

    def set_nonsense(ctx: Context) -> None:
        try:
            ctx.set_state("many")  # type: ignore[arg-type]
        except ValidationError as error:
            refused.append(error)
        ctx.set_state(5)

    job.acts = [set_nonsense]
    await job.started()
    await job.advance(0)
    assert len(refused) == 1
    assert await job.client.get_state("a") == 5


async def test_checkpoint_survives_a_failure_later_in_the_run() -> None:
    job = Job()

    async def half_way(ctx: Context) -> None:
        ctx.set_state(1)
        await ctx.checkpoint()
        ctx.set_state(2)
        raise ValueError("boom")

    job.acts = [half_way]
    await job.started()
    await job.advance(0)
    assert await job.client.get_state("a") == 1
    await job.advance(1)
    assert (job.seen[1].state, job.seen[1].attempt) == (1, 2)


async def test_checkpoint_survives_the_death_of_the_process() -> None:
    job = Job()

    async def half_way(ctx: Context) -> None:
        ctx.set_state(1)
        await ctx.checkpoint()
        kill(ctx)

    job.acts = [half_way]
    await job.started()
    await job.advance(0)
    job.deploy()
    await job.advance(1)
    assert [(seen.run, seen.attempt, seen.state) for seen in job.seen] == [(1, 1, 0), (1, 1, 1)]


async def test_context_is_closed_when_the_handler_has_ended() -> None:
    kept: list[Context] = []
    job = Job()
    job.acts = [kept.append]
    await job.started()
    await job.advance(0)
    for late in (lambda: kept[0].set_state(1), lambda: kept[0].schedule("1 hour"), kept[0].stop):
        with pytest.raises(InvalidStateError):
            late()


# --- signals and control ----------------------------------------------------------------------------------------------


async def test_retry_signal_sets_the_delay_and_consumes_an_attempt() -> None:
    job = Job()

    def later(ctx: Context) -> None:
        raise Retry(after="5 minutes")

    job.acts = [later]
    await job.started()
    await job.advance(9)
    assert job.minutes == [0, 5]
    assert job.attempts == [(1, 1), (1, 2)]


async def test_snooze_runs_the_same_attempt_again() -> None:
    job = Job()

    def snooze(ctx: Context) -> None:
        raise Snooze("2 minutes")

    job.acts = [snooze] * 4
    await job.started()
    await job.advance(9)
    assert job.minutes == [0, 2, 4, 6, 8]
    assert set(job.attempts) == {(1, 1)}
    assert not job.driver.tracker.of_type(ContinuousFailed)


async def test_cancel_gives_the_run_up_without_a_retry() -> None:
    job = Job()

    def cancel(ctx: Context) -> None:
        ctx.set_state(99)
        raise Cancel("not today")

    job.acts = [cancel]
    await job.started()
    await job.advance(10)
    assert job.minutes == [0, 10]
    assert job.attempts == [(1, 1), (2, 1)]
    assert job.seen[1].state == 0
    assert [event.will_retry for event in job.driver.tracker.of_type(ContinuousFailed)] == [False]


async def test_schedule_replaces_the_next_tick_once() -> None:
    job = Job()
    job.acts = [lambda ctx: ctx.schedule("4 minutes")]
    await job.started()
    await job.advance(35)
    assert job.minutes == [0, 4, 20, 30]
    assert [seen.missed for seen in job.seen] == [0, 0, 0, 0]


async def test_schedule_may_put_the_next_run_off_beyond_several_ticks() -> None:
    job = Job()
    job.acts = [lambda ctx: ctx.schedule(ctx.now() + timedelta(minutes=25))]
    await job.started()
    await job.advance(35)
    assert job.minutes == [0, 25, 30]
    assert [seen.missed for seen in job.seen] == [0, 0, 0]


async def test_schedule_beyond_until_is_void() -> None:
    job = Job()
    job.deploy(until=to_datetime(job.driver.now + 15 * MINUTE))
    job.acts = [lambda ctx: ctx.schedule("20 minutes")]
    await job.started()
    await job.advance(60)
    assert job.minutes == [0, 10]


async def test_schedule_of_a_failed_run_is_void() -> None:
    job = Job(retry=RetryPolicy(max_attempts=1))

    def schedule_and_fail(ctx: Context) -> None:
        ctx.schedule("1 minute")
        raise ValueError("boom")

    job.acts = [schedule_and_fail]
    await job.started()
    await job.advance(10)
    assert job.minutes == [0, 10]


@pytest.mark.parametrize("when", [5, "soon", "0s"])
async def test_schedule_refuses_what_is_no_time(when: Any) -> None:
    job = Job()
    refused: list[str] = []

    def schedule(ctx: Context) -> None:
        try:
            ctx.schedule(when)
        except DefinitionError as error:
            refused.append(error.code)

    job.acts = [schedule]
    await job.started()
    await job.advance(0)
    assert refused == ["definition"]


async def test_stop_ends_the_handler_there_and_saves_what_was_set() -> None:
    job = Job()
    reached: list[str] = []

    def stop(ctx: Context) -> None:
        ctx.set_state(5)
        try:
            ctx.stop("done")
        except Exception:
            reached.append("swallowed")
        reached.append("went on")

    job.acts = [stop]
    await job.started()
    await job.advance(60)
    status = await job.client.status("a")
    assert reached == []
    assert job.minutes == [0]
    assert (status.status, status.stop_reason, await job.client.get_state("a")) == ("stopped", "done", 5)
    assert [event.reason for event in job.driver.tracker.of_type(ContinuousStopped)] == ["done"]


@pytest.mark.parametrize("how", ["thread", "task group", "bare except"])
async def test_stop_counts_however_the_signal_travels(how: str) -> None:
    def in_thread(ctx: Context) -> None:
        ctx.stop(how)

    async def in_group(ctx: Context) -> None:
        async def child() -> None:
            ctx.stop(how)

        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    async def hidden(ctx: Context) -> None:
        try:
            ctx.stop(how)
        except BaseException:
            pass

    job = Job(execute={"thread": in_thread, "task group": in_group, "bare except": hidden}[how])
    await job.started()
    await job.advance(0)
    assert (await job.client.status("a")).stop_reason == how


async def test_terminate_deletes_the_instance() -> None:
    job = Job()
    job.acts = [lambda ctx: ctx.terminate("gone")]
    await job.started()
    await job.advance(60)
    assert (await job.client.status("a")).status == "not_found"
    assert await job.client.get_state("a") is None
    assert job.minutes == [0]
    assert [event.reason for event in job.driver.tracker.of_type(ContinuousTerminated)] == ["gone"]


async def test_context_tells_who_and_when() -> None:
    contexts: list[Context] = []
    job = Job()
    job.acts = [contexts.append]
    await job.started("user:42")
    await job.advance(0)
    (ctx,) = contexts
    assert (ctx.instance_id, ctx.id, ctx.name) == ("continuous:job:user:42", "user:42", "job")
    assert (ctx.run_count, ctx.attempt, ctx.is_retry, ctx.cancelled) == (1, 1, False, False)
    assert ctx.now() == to_datetime(job.epoch)
    assert ctx.resources is None
    ctx.log.info("seen")
    assert repr(ctx) == "ContinuousContext('continuous:job:user:42', run_count=1, attempt=1)"


async def test_plain_function_runs_in_a_thread() -> None:
    threads: list[int] = []

    def handler(ctx: Context) -> None:
        threads.append(threading.get_ident())
        count(ctx)

    job = Job(execute=handler)
    await job.started()
    await job.advance(0)
    assert threads != [threading.get_ident()]
    assert await job.client.get_state("a") == 1


async def test_longer_gap_than_an_hour_is_one_run() -> None:
    job = await Job().started()
    await job.advance(0)
    job.driver.runtime.ms += HOUR + 5 * MINUTE
    await job.advance(0)
    assert [(seen.missed, minute) for seen, minute in zip(job.seen, job.minutes, strict=True)] == [(0, 0), (5, 65)]
