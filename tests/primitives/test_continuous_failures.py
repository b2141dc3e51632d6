"""What a failure leads to: retries, exhaustion, timeouts, `on_error`."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from durable_primitives.durations import to_datetime
from durable_primitives.errors import ExecutionError
from durable_primitives.events import (
    ContinuousExecuted,
    ContinuousFailed,
    ContinuousPaused,
    ContinuousRetryExhausted,
    ContinuousRetryScheduled,
    ContinuousStarted,
    ContinuousStopped,
    ErrorInfo,
)
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import DeadLetter
from tests.primitives.continuous_job import MINUTE, Context, Job, fail


async def test_failed_run_is_tried_again_with_the_same_key_after_the_backoff() -> None:
    job = Job()
    job.acts = [fail, fail]
    await job.started()
    await job.advance(12)
    assert job.minutes == [0, 1, 2, 10]
    assert job.attempts == [(1, 1), (1, 2), (1, 3), (2, 1)]
    assert len({seen.key for seen in job.seen[:3]}) == 1
    assert job.seen[3].key != job.seen[0].key
    assert len({seen.scheduled_for for seen in job.seen[:3]}) == 1


async def test_status_tells_of_the_retry() -> None:
    job = Job()
    job.acts = [fail, fail]
    await job.started()
    await job.advance(0)
    status = await job.client.status("a")
    assert (status.status, status.attempt, status.run_count) == ("retrying", 2, 1)
    assert status.next_run_at == to_datetime(job.epoch + MINUTE)
    assert status.last_error == ErrorInfo("ValueError", "boom")
    await job.advance(2)
    status = await job.client.status("a")
    assert (status.status, status.attempt, status.last_error) == ("scheduled", 1, None)


async def test_tick_reached_while_retrying_is_coalesced_and_counted() -> None:
    job = Job(retry=RetryPolicy(max_attempts=2, backoff=Backoff.constant("25 minutes", jitter="none")))
    job.acts = [fail]
    await job.started()
    await job.advance(35)
    assert job.minutes == [0, 25, 30]
    assert [seen.missed for seen in job.seen] == [0, 2, 0]
    assert [event.missed for event in job.driver.tracker.of_type(ContinuousExecuted)] == [2, 0]


async def test_tick_does_not_bypass_the_backoff() -> None:
    job = Job(retry=RetryPolicy(max_attempts=3, backoff=Backoff.constant("15 minutes", jitter="none")))
    job.acts = [fail, fail, fail]
    await job.started()
    await job.advance(29)
    assert job.minutes == [0, 15]


@pytest.mark.parametrize(
    ("on_exhausted", "expected", "events"),
    [
        ("continue", ("scheduled", 10, None), []),
        ("pause", ("paused", None, None), [ContinuousPaused]),
        ("stop", ("stopped", None, "exhausted"), [ContinuousStopped]),
    ],
)
async def test_exhausted_run_keeps_the_state_and_does_what_the_definition_says(
    on_exhausted: str, expected: tuple[str, int | None, str | None], events: list[type]
) -> None:
    job = Job(on_exhausted=on_exhausted)
    job.acts = [fail, fail, fail]
    await job.started(state=7)
    await job.advance(3)
    status = await job.client.status("a")
    due = None if expected[1] is None else to_datetime(job.epoch + expected[1] * MINUTE)
    assert (status.status, status.next_run_at, status.stop_reason) == (expected[0], due, expected[2])
    assert (status.consecutive_failures, status.last_error) == (1, ErrorInfo("ValueError", "boom"))
    assert await job.client.get_state("a") == 7
    assert [type(event) for event in job.driver.events] == [
        ContinuousStarted,
        *(ContinuousFailed, ContinuousRetryScheduled) * 2,
        ContinuousFailed,
        ContinuousRetryExhausted,
        *events,
    ]


async def test_success_forgets_the_failures_before_it() -> None:
    job = Job(retry=RetryPolicy(max_attempts=1))
    job.acts = [fail, fail]
    await job.started()
    await job.advance(10)
    assert (await job.client.status("a")).consecutive_failures == 2
    await job.advance(10)
    status = await job.client.status("a")
    assert (status.consecutive_failures, status.last_error, status.run_count) == (0, None, 3)


class FatalError(Exception):
    """No retry mends this."""


def fatal(ctx: Context) -> None:
    raise FatalError("never")


def dead(ctx: Context) -> None:
    raise DeadLetter("useless")


@pytest.mark.parametrize(
    ("policy", "act", "reason"),
    [
        (RetryPolicy(max_attempts=1), fail, "max_attempts"),
        (RetryPolicy(give_up_on=(FatalError,)), fatal, "give_up_on"),
        (RetryPolicy(retry_on=(ConnectionError,)), fail, "retry_on"),
        (RetryPolicy(), dead, "dead_letter"),
    ],
)
async def test_exhaustion_says_why(policy: RetryPolicy, act: Any, reason: str) -> None:
    job = Job(retry=policy)
    job.acts = [act]
    await job.started()
    await job.advance(9)
    (exhausted,) = job.driver.tracker.of_type(ContinuousRetryExhausted)
    assert (exhausted.reason, exhausted.attempt, exhausted.on_exhausted) == (reason, 1, "continue")
    assert job.minutes == [0]


async def test_timeout_is_a_failure() -> None:
    job = Job(timeout="10ms")

    async def hang(ctx: Context) -> None:
        ctx.set_state(99)
        await asyncio.Event().wait()

    job.acts = [hang]
    await job.started()
    await job.advance(0)
    status = await job.client.status("a")
    assert status.last_error == ErrorInfo("TimeoutError", "the run took longer than 10ms")
    assert (status.status, await job.client.get_state("a")) == ("retrying", 0)


async def test_timeout_counts_even_if_the_handler_hides_it() -> None:
    job = Job(timeout="10ms")

    async def swallow(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ctx.set_state(99)

    job.acts = [swallow]
    await job.started()
    await job.advance(0)
    assert (await job.client.status("a")).status == "retrying"
    assert await job.client.get_state("a") == 0


async def test_timeout_of_a_thread_asks_it_to_end_and_waits_for_it() -> None:
    ended = threading.Event()

    def patient(ctx: Context) -> None:
        while not ctx.cancelled:
            ended.wait(0.001)
        ended.set()

    job = Job(timeout="10ms", execute=patient)
    await job.started()
    await job.advance(0)
    assert ended.is_set()
    assert (await job.client.status("a")).last_error == ErrorInfo("TimeoutError", "the run took longer than 10ms")


async def test_timeout_of_the_users_own_is_an_ordinary_failure() -> None:
    job = Job(timeout="1 hour")

    async def impatient(ctx: Context) -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    job.acts = [impatient]
    await job.started()
    await job.advance(0)
    assert (await job.client.status("a")).last_error == ErrorInfo("TimeoutError", "")


async def test_cancellation_inside_the_handler_is_a_failure_like_any_other() -> None:
    job = Job()

    async def await_cancelled(ctx: Context) -> None:
        task = asyncio.create_task(asyncio.Event().wait())
        task.cancel()
        await task

    job.acts = [await_cancelled]
    await job.started()
    await job.advance(1)
    assert job.attempts == [(1, 1), (1, 2)]


async def test_failure_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    job = Job()
    job.acts = [fail]
    await job.started()
    with caplog.at_level(logging.WARNING):
        await job.advance(0)
    (record,) = [record for record in caplog.records if record.message == "a run failed"]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
    assert vars(record)["instance_id"] == "continuous:job:a"


# --- on_error ---------------------------------------------------------------------------------------------------------


async def test_on_error_is_told_about_each_failed_attempt() -> None:
    told: list[tuple[Exception, int]] = []

    async def on_error(error: Exception, ctx: Context) -> None:
        told.append((error, ctx.attempt))
        ctx.set_state(99)

    job = Job(on_error=on_error)
    job.acts = [fail, fail, fail]
    await job.started()
    await job.advance(3)
    assert [(repr(error), attempt) for error, attempt in told] == [("ValueError('boom')", n) for n in (1, 2, 3)]
    assert await job.client.get_state("a") == 0


async def test_on_error_may_stop_the_instance_and_saves_nothing() -> None:
    def on_error(error: Exception, ctx: Context) -> None:
        ctx.stop("hopeless")

    job = Job(on_error=on_error)

    def set_and_fail(ctx: Context) -> None:
        ctx.set_state(50)
        raise ValueError("boom")

    job.acts = [set_and_fail]
    await job.started(state=7)
    await job.advance(60)
    status = await job.client.status("a")
    assert (status.status, status.stop_reason) == ("stopped", "hopeless")
    assert await job.client.get_state("a") == 7


async def test_failing_on_error_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def on_error(error: Exception, ctx: Context) -> None:
        raise ZeroDivisionError

    job = Job(on_error=on_error)
    job.acts = [fail]
    await job.started()
    with caplog.at_level(logging.ERROR):
        await job.advance(1)
    assert job.attempts == [(1, 1), (1, 2)]
    assert "on_error failed" in caplog.messages


async def test_on_error_gets_an_exception_for_what_is_none() -> None:
    told: list[Exception] = []

    async def on_error(error: Exception, ctx: Context) -> None:
        told.append(error)

    job = Job(on_error=on_error)
    job.acts = [dead]
    await job.started()
    await job.advance(0)
    assert isinstance(told[0], ExecutionError)
    assert isinstance(told[0].__cause__, DeadLetter)
