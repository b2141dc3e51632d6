"""Faults that shipped in systems of this family, each reproduced there; here each one stays fixed.

The numbers are those of the list of defects that this project started from.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from durable_primitives.durations import to_datetime
from durable_primitives.errors import DefinitionError, ValidationError
from durable_primitives.events import (
    ContinuousExecuted,
    ContinuousFailed,
    ContinuousRetryExhausted,
    ContinuousTerminated,
    InstanceOrphaned,
    InstanceParked,
)
from durable_primitives.kernel.record import TERMINATED
from durable_primitives.primitives.continuous import Continuous
from durable_primitives.retry import RetryPolicy
from durable_primitives.services.metadata import RECHECK_MS
from tests.primitives.continuous_job import MINUTE, Context, Job, count, fail

NO_RETRY = RetryPolicy(max_attempts=1)
INSTANCE = "continuous:job:a"


async def test_p3_first_run_that_failed_left_an_instance_that_never_ran_again() -> None:
    job = Job(retry=NO_RETRY)
    job.acts = [fail]
    await job.started()
    await job.advance(0)
    status = await job.client.status("a")
    assert (status.status, status.next_run_at) == ("scheduled", to_datetime(job.epoch + 10 * MINUTE))
    await job.advance(10)
    assert job.minutes == [0, 10]
    assert await job.client.get_state("a") == 1


async def test_p4_later_run_that_failed_ended_the_schedule_in_silence() -> None:
    job = Job(retry=NO_RETRY)
    job.acts = [count, count, fail, fail]
    await job.started()
    await job.advance(40)
    assert job.minutes == [0, 10, 20, 30, 40]
    assert await job.client.get_state("a") == 3


async def test_p5_exhausted_retries_deleted_the_state() -> None:
    job = Job()
    job.acts = [fail] * 3
    await job.started(state=41)
    await job.advance(3)
    assert job.attempts == [(1, 1), (1, 2), (1, 3)]
    assert await job.client.get_state("a") == 41
    assert (await job.client.status("a")).status == "scheduled"


async def test_p7_trigger_during_a_run_started_a_second_one_beside_it() -> None:
    job = Job()
    flight = job.in_flight()
    running = overlaps = 0

    def counted(act: Any) -> Any:
        async def guarded(ctx: Context) -> None:
            nonlocal running, overlaps
            running += 1
            overlaps = max(overlaps, running)
            result = act(ctx)
            if result is not None:
                await result
            running -= 1

        return guarded

    job.acts = [counted(job.acts[0]), counted(count)]
    await job.started()
    async with flight:
        await job.client.trigger("a")
        await job.driver.engine.commits.claim()
        assert running == 1
    assert overlaps == 1
    assert await job.client.get_state("a") == 2


async def test_p11_run_that_ended_after_terminate_brought_its_instance_back() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        assert (await job.client.terminate("a")).terminated
        flight.then = lambda ctx: ctx.set_state(99)
    assert flight.ctx.cancelled
    record = (await job.driver.backend.load(INSTANCE)).record
    assert record is not None
    assert (record.status, record.data, record.dues) == (TERMINATED, b"", {})
    assert (await job.client.status("a")).status == "not_found"
    assert await job.driver.backend.next_due() is None
    assert not job.driver.tracker.of_type(ContinuousExecuted)


@pytest.mark.parametrize("number", [60_000, 60, 0.5])
def test_p15_bare_number_was_taken_for_a_moment_long_ago(number: Any) -> None:
    with pytest.raises(DefinitionError, match="a number alone has no unit") as refused:
        Continuous.every(number)
    assert '"30 minutes"' in refused.value.help


async def test_p17_failed_run_without_a_retry_sent_no_event_at_all() -> None:
    job = Job(retry=NO_RETRY)
    job.acts = [fail]
    await job.started()
    await job.advance(0)
    assert job.driver.tracker.types == ["continuous.started", "continuous.failed", "continuous.retry_exhausted"]


async def test_p18_events_invented_the_error_and_the_reason() -> None:
    job = Job(retry=RetryPolicy(max_attempts=3, give_up_on=(KeyError,)))

    def fatal(ctx: Context) -> None:
        raise KeyError("token")

    job.acts = [fail, fatal]
    await job.started()
    await job.advance(5)
    failures = job.driver.tracker.of_type(ContinuousFailed)
    assert [(event.error.type, event.error.message, event.will_retry) for event in failures] == [
        ("ValueError", "boom", True),
        ("KeyError", "'token'", False),
    ]
    (exhausted,) = job.driver.tracker.of_type(ContinuousRetryExhausted)
    assert (exhausted.reason, exhausted.error.type, exhausted.attempt) == ("give_up_on", "KeyError", 2)


async def test_p19_terminate_by_the_handler_sent_no_event() -> None:
    job = Job()
    job.acts = [lambda ctx: ctx.terminate("expired")]
    await job.started()
    await job.advance(0)
    (terminated,) = job.driver.tracker.of_type(ContinuousTerminated)
    assert (terminated.reason, terminated.run_count) == ("expired", 1)


async def test_p20_invalid_input_blocked_the_id_for_valid_input() -> None:
    job = Job()
    await job.driver.open()
    job.epoch = job.driver.now
    nonsense: Any = {"not": "a number"}
    with pytest.raises(ValidationError):
        await job.client.start("a", nonsense)
    assert (await job.driver.backend.load(INSTANCE)).record is None
    result = await job.client.start("a", 1)
    assert (result.created, result.status) == (True, "scheduled")
    await job.advance(0)
    assert job.minutes == [0]


class Old(Struct):
    token: str


class New(Struct):
    token: str
    issuer: str


async def test_p21_schema_with_a_new_field_ended_the_schedule_and_bumped_the_count() -> None:
    states: list[Any] = []
    job = Job(state_schema=Old, execute=lambda ctx: states.append(ctx.state))
    await job.driver.open()
    start: Any = Old("t-1")
    await job.client.start("a", start)
    await job.advance(0)
    job.deploy(state_schema=New)
    await job.advance(30)
    status = await job.client.status("a")
    assert (status.status, status.run_count) == ("failed", 1)
    assert {event.reason for event in job.driver.tracker.of_type(InstanceParked)} == {"undecodable"}
    job.deploy(state_schema=Old)
    await job.advance(RECHECK_MS / MINUTE)
    assert states == [Old("t-1"), Old("t-1")]
    assert (await job.client.status("a")).status == "scheduled"


async def test_p22_deploy_without_the_definition_lost_the_schedule() -> None:
    job = Job()
    await job.started()
    await job.advance(0)
    other: Any = Continuous.make("other", state_schema=int, schedule=Continuous.every("1 hour"), execute=count)
    job.driver.restart(other)
    await job.advance(60)
    assert len(job.driver.tracker.of_type(InstanceOrphaned)) == 1
    job.deploy()
    await job.advance(RECHECK_MS / MINUTE)
    assert (await job.client.status("a")).status == "scheduled"
    assert (job.seen[-1].state, job.seen[-1].missed) == (1, 5)
