"""What callers ask for, before, between and while an instance runs."""

from __future__ import annotations

from typing import Any

import pytest

from durable_primitives.durations import to_datetime
from durable_primitives.errors import DefinitionError, InstanceNotFoundError, InvalidStateError, ValidationError
from durable_primitives.events import (
    ContinuousPaused,
    ContinuousResumed,
    ContinuousStarted,
    ContinuousStopped,
    ContinuousTerminated,
    ContinuousTriggered,
)
from durable_primitives.primitives.continuous import (
    ContinuousStatus,
    PauseResult,
    StartResult,
    StopResult,
    TerminateResult,
    TriggerResult,
)
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.services.purge import DAY_MS
from tests.primitives.continuous_job import MINUTE, Context, Job, count, fail

# --- start ------------------------------------------------------------------------------------------------------------


async def test_start_says_when_it_runs() -> None:
    job = Job(start_immediately=False)
    await job.driver.open()
    due = to_datetime(job.driver.now + 10 * MINUTE)
    assert await job.client.start("a", 0) == StartResult("continuous:job:a", True, "scheduled", due)
    (started,) = job.driver.tracker.of_type(ContinuousStarted)
    assert (started.next_due_ms, started.restarted) == (job.driver.now + 10 * MINUTE, False)


async def test_start_of_what_exists_changes_nothing() -> None:
    job = await Job(start_immediately=False).started(state=1)
    await job.advance(5)
    result = await job.client.start("a", 99)
    assert (result.created, result.status) == (False, "scheduled")
    assert result.next_run_at == to_datetime(job.epoch + 10 * MINUTE)
    assert await job.client.get_state("a") == 1


async def test_start_can_refuse_what_exists() -> None:
    job = await Job().started()
    with pytest.raises(InvalidStateError, match="start needs the state not_found, and the state is"):
        await job.client.start("a", 0, if_exists="raise")


async def test_restart_begins_another_life() -> None:
    job = Job(start_immediately=False)
    job.acts = [count, fail]
    await job.started(state=1)
    await job.advance(20)
    result = await job.client.start("a", 50, if_exists="restart")
    assert (result.created, result.status) == (False, "scheduled")
    status = await job.client.status("a")
    assert (status.run_count, status.last_error, status.next_run_at) == (0, None, to_datetime(job.epoch + 30 * MINUTE))
    await job.advance(10)
    assert (job.seen[-1].run, job.seen[-1].state) == (1, 50)
    assert len({seen.key for seen in job.seen}) == 3


async def test_restart_while_a_run_is_in_flight_ignores_its_outcome() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started(state=1)
    async with flight:
        assert not flight.ctx.cancelled
        await job.client.start("a", 50, if_exists="restart")

        async def lands(ctx: Context) -> None:
            ctx.set_state(99)
            ctx.schedule("1 minute")

        flight.then = lands
    assert flight.ctx.cancelled
    assert [seen.state for seen in job.seen] == [1, 50]
    assert await job.client.get_state("a") == 51
    assert (await job.client.status("a")).next_run_at == to_datetime(job.epoch + 10 * MINUTE)


async def test_checkpoint_of_a_superseded_run_ends_it() -> None:
    job = Job()
    flight = job.in_flight()
    reached: list[str] = []
    await job.started(state=1)
    async with flight:
        await job.client.start("a", 50, if_exists="restart")

        async def lands(ctx: Context) -> None:
            ctx.set_state(99)
            await ctx.checkpoint()
            reached.append("went on")

        flight.then = lands
    assert reached == []
    assert await job.client.get_state("a") == 51


async def test_stopped_instance_starts_again_with_its_state() -> None:
    job = await Job().started(state=1)
    await job.advance(15)
    await job.client.stop("a", "night")
    await job.advance(8)
    result = await job.client.start("a", 99)
    assert (result.created, result.status) == (False, "scheduled")
    await job.advance(10)
    assert job.minutes == [0, 10, 23, 33]
    assert [seen.run for seen in job.seen] == [1, 2, 3, 4]
    assert (await job.client.get_state("a"), (await job.client.status("a")).stop_reason) == (5, None)


@pytest.mark.parametrize("input", ["many", None, 1.5])
async def test_input_that_does_not_fit_is_refused_before_anything_is_written(input: Any) -> None:
    job = Job()
    await job.driver.open()
    with pytest.raises(ValidationError):
        await job.client.start("a", input)
    assert (await job.client.status("a")).status == "not_found"
    assert await job.driver.backend.scan("", "", 10) == []


@pytest.mark.parametrize("id", ["", 7, "a\n", "x" * 513])
async def test_id_that_cannot_be_one_is_refused(id: Any) -> None:
    job = Job()
    await job.driver.open()
    for call in (job.client.start(id, 0), job.client.stop(id), job.client.status(id)):
        with pytest.raises(ValidationError):
            await call


async def test_unknown_choice_is_refused() -> None:
    job = await Job().started()
    nonsense: Any = "replace"
    with pytest.raises(DefinitionError, match="if_exists must be one of"):
        await job.client.start("a", 0, if_exists=nonsense)


# --- stop and terminate -----------------------------------------------------------------------------------------------


async def test_stop_keeps_the_state_and_nothing_to_do() -> None:
    job = await Job().started()
    await job.advance(15)
    assert await job.client.stop("a", "night") == StopResult("continuous:job:a", True, "night")
    assert await job.client.stop("a", "again") == StopResult("continuous:job:a", True, "night")
    await job.advance(60)
    assert job.minutes == [0, 10]
    assert await job.client.get_state("a") == 2
    assert await job.driver.backend.next_due() is None
    assert [event.reason for event in job.driver.tracker.of_type(ContinuousStopped)] == ["night"]


async def test_stop_while_running_asks_the_handler_to_end_and_ignores_its_schedule() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        await job.client.stop("a")

        async def lands(ctx: Context) -> None:
            ctx.set_state(5)
            ctx.schedule("1 minute")

        flight.then = lands
    assert flight.ctx.cancelled
    await job.advance(60)
    assert (await job.client.status("a")).status == "stopped"
    assert job.minutes == [0]
    assert await job.client.get_state("a") == 5


async def test_failure_of_a_run_that_was_stopped_is_no_reason_to_retry() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        await job.client.stop("a")
        flight.then = fail
    await job.advance(60)
    assert (await job.client.status("a")).status == "stopped"
    assert job.minutes == [0]


async def test_stop_and_start_while_running_waits_for_the_run_and_keeps_its_state() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        await job.client.stop("a")
        await job.client.start("a", 99)
        flight.then = lambda ctx: ctx.set_state(5)
    assert [(seen.run, seen.state) for seen in job.seen] == [(1, 0), (2, 5)]
    assert await job.client.get_state("a") == 6


async def test_stopped_instance_is_purged_after_its_retention() -> None:
    job = await Job(retention="2 days").started()
    await job.advance(0)
    await job.client.stop("a")
    await job.driver.backend.sweep(job.driver.now + 2 * DAY_MS - 1, 100)
    assert (await job.client.status("a")).status == "stopped"
    await job.driver.backend.sweep(job.driver.now + 2 * DAY_MS, 100)
    assert (await job.client.status("a")).status == "not_found"


async def test_terminate_deletes_and_can_be_repeated() -> None:
    job = await Job().started()
    await job.advance(0)
    assert await job.client.terminate("a", "gone") == TerminateResult("continuous:job:a", True)
    assert await job.client.terminate("a") == TerminateResult("continuous:job:a", False)
    assert await job.client.status("a") == ContinuousStatus("not_found")
    assert await job.client.get_state("a") is None
    (event,) = job.driver.tracker.of_type(ContinuousTerminated)
    assert (event.run_count, event.reason) == (1, "gone")
    await job.advance(60)
    assert job.minutes == [0]


async def test_terminated_instance_starts_from_the_beginning() -> None:
    job = await Job().started()
    await job.advance(10)
    await job.client.terminate("a")
    assert (await job.client.start("a", 5)).created
    await job.advance(0)
    assert [(seen.run, seen.state) for seen in job.seen] == [(1, 0), (2, 1), (1, 5)]
    assert len({seen.key for seen in job.seen}) == 3


async def test_ending_what_does_not_exist_is_no_error() -> None:
    job = Job()
    await job.driver.open()
    assert await job.client.stop("a") == StopResult("continuous:job:a", False, None)
    assert await job.client.terminate("a") == TerminateResult("continuous:job:a", False)


@pytest.mark.parametrize("operation", ["trigger", "pause", "resume"])
async def test_steering_what_does_not_exist_is_an_error(operation: str) -> None:
    job = Job()
    await job.driver.open()
    with pytest.raises(InstanceNotFoundError) as missing:
        await getattr(job.client, operation)("a")
    assert missing.value.instance_id == "continuous:job:a"


# --- trigger ----------------------------------------------------------------------------------------------------------


async def test_trigger_runs_now_and_keeps_the_cadence() -> None:
    job = await Job().started()
    await job.advance(4)
    assert await job.client.trigger("a") == TriggerResult("continuous:job:a", True)
    await job.advance(16)
    assert job.minutes == [0, 4, 10, 20]
    assert job.seen[1].scheduled_for == to_datetime(job.epoch + 4 * MINUTE)


async def test_trigger_while_running_is_followed_by_exactly_one_more_run() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        for _ in range(5):
            assert (await job.client.trigger("a")).triggered
    await job.advance(9)
    assert job.attempts == [(1, 1), (2, 1)]
    assert await job.client.get_state("a") == 2
    assert [event.while_running for event in job.driver.tracker.of_type(ContinuousTriggered)] == [True] * 5


async def test_trigger_while_running_waits_for_the_retries_of_that_run() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        await job.client.trigger("a")
        flight.then = fail
    await job.advance(9)
    assert job.attempts == [(1, 1), (1, 2), (2, 1)]
    assert job.minutes == [0, 1, 1]


async def test_trigger_while_retrying_begins_a_new_run_at_once() -> None:
    job = Job()
    job.acts = [fail]
    await job.started()
    await job.advance(0)
    assert (await job.client.status("a")).status == "retrying"
    await job.client.trigger("a")
    await job.advance(9)
    assert job.attempts == [(1, 1), (2, 1)]
    assert job.minutes == [0, 0]


async def test_trigger_before_the_next_run_that_the_handler_asked_for_keeps_that() -> None:
    job = Job()
    job.acts = [lambda ctx: ctx.schedule("25 minutes")]
    await job.started()
    await job.advance(5)
    await job.client.trigger("a")
    await job.advance(30)
    assert job.minutes == [0, 5, 25, 30]


async def test_retry_of_a_triggered_run_does_not_swallow_the_run_that_the_handler_asked_for() -> None:
    job = Job(retry=RetryPolicy(max_attempts=2, backoff=Backoff.constant("26 minutes", jitter="none")))
    job.acts = [lambda ctx: ctx.schedule("25 minutes"), fail]
    await job.started()
    await job.advance(5)
    await job.client.trigger("a")
    await job.advance(40)
    assert job.minutes == [0, 5, 31, 31, 40]
    assert [seen.missed for seen in job.seen] == [0, 0, 0, 1, 0]
    assert job.seen[3].scheduled_for == to_datetime(job.epoch + 25 * MINUTE)


@pytest.mark.parametrize("operation", ["pause", "stop"])
async def test_trigger_of_what_is_held_back_does_nothing(operation: str) -> None:
    job = await Job().started()
    await job.advance(0)
    await getattr(job.client, operation)("a")
    assert await job.client.trigger("a") == TriggerResult("continuous:job:a", False)
    await job.advance(60)
    assert job.minutes == [0]


# --- pause and resume -------------------------------------------------------------------------------------------------


async def test_nothing_runs_while_paused() -> None:
    job = await Job().started()
    await job.advance(5)
    assert await job.client.pause("a") == PauseResult("continuous:job:a", True)
    assert await job.client.pause("a") == PauseResult("continuous:job:a", True)
    await job.advance(60)
    status = await job.client.status("a")
    assert (status.status, status.next_run_at) == ("paused", None)
    assert job.minutes == [0]
    assert len(job.driver.tracker.of_type(ContinuousPaused)) == 1


@pytest.mark.parametrize(
    ("misfire", "minutes", "missed", "told"),
    [
        ("run_once", [0, 45, 50], [0, 3, 0], 3),
        ("skip", [0, 50], [0, 4], 4),
        ("run_all", [0, 45, 45, 45, 50], [0, 1, 0, 0, 0], 1),
    ],
)
async def test_resume_applies_the_misfire_rule_to_the_gap(
    misfire: str, minutes: list[int], missed: list[int], told: int
) -> None:
    job = await Job(misfire=misfire, catchup_limit=3).started()
    await job.advance(5)
    await job.client.pause("a")
    await job.advance(40)
    assert await job.client.resume("a") == PauseResult("continuous:job:a", False)
    await job.advance(5)
    assert job.minutes == minutes
    assert [seen.missed for seen in job.seen] == missed
    assert [event.missed for event in job.driver.tracker.of_type(ContinuousResumed)] == [told]


async def test_short_pause_moves_nothing() -> None:
    job = await Job().started()
    await job.advance(2)
    await job.client.pause("a")
    await job.advance(2)
    await job.client.resume("a")
    assert (await job.client.status("a")).next_run_at == to_datetime(job.epoch + 10 * MINUTE)


async def test_pause_lets_a_run_in_flight_end() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        await job.client.pause("a")
    assert not flight.ctx.cancelled
    await job.advance(60)
    assert (await job.client.status("a")).status == "paused"
    assert (job.minutes, await job.client.get_state("a")) == ([0], 1)


async def test_pause_and_resume_while_running_leave_no_trace() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        await job.client.pause("a")
        await job.client.resume("a")
        assert (await job.client.status("a")).status == "running"
    await job.advance(10)
    assert job.minutes == [0, 10]


async def test_retry_waits_for_the_resume() -> None:
    job = Job()
    job.acts = [fail]
    await job.started()
    await job.advance(0)
    await job.client.pause("a")
    await job.advance(5)
    assert job.attempts == [(1, 1)]
    await job.client.resume("a")
    await job.advance(0)
    assert job.attempts == [(1, 1), (1, 2)]


@pytest.mark.parametrize("misfire", ["run_once", "skip"])
async def test_retry_that_waited_for_the_resume_stands_for_the_ticks_of_the_gap(misfire: str) -> None:
    job = Job(misfire=misfire)
    job.acts = [fail]
    await job.started()
    await job.advance(0)
    await job.client.pause("a")
    await job.advance(25)
    await job.client.resume("a")
    await job.advance(5)
    assert job.minutes == [0, 25, 30]
    assert [seen.missed for seen in job.seen] == [0, 2, 0]


async def test_resume_of_what_is_not_paused_does_nothing() -> None:
    job = await Job().started()
    await job.advance(0)
    assert await job.client.resume("a") == PauseResult("continuous:job:a", False)
    assert not job.driver.tracker.of_type(ContinuousResumed)


@pytest.mark.parametrize("operation", ["pause", "resume"])
async def test_stopped_instance_can_be_neither_paused_nor_resumed(operation: str) -> None:
    job = await Job().started()
    await job.client.stop("a")
    with pytest.raises(InvalidStateError) as refused:
        await getattr(job.client, operation)("a")
    assert (refused.value.actual, refused.value.operation) == ("stopped", operation)
