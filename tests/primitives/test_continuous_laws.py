"""What holds over any history of successes, failures, deaths and gaps."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_primitives.events import ContinuousExecuted
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.services.ownership import MAX_DELIVERIES
from durable_primitives.signals import Snooze
from tests.primitives.continuous_job import MINUTE, Context, Job, count, fail, kill

MAX_ATTEMPTS = 3


def snooze(ctx: Context) -> None:
    raise Snooze("30 seconds")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures and deaths are logged; here they are meant."""
    caplog.set_level(logging.CRITICAL)


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([count, count, fail, fail, kill, snooze]), max_size=30),
    st.lists(st.integers(min_value=0, max_value=40), min_size=1, max_size=8),
    st.sampled_from(["run_once", "skip", "run_all"]),
)
def test_every_tick_is_run_or_counted_and_every_success_is_stored_once(
    acts: list[Any], gaps: list[int], misfire: str
) -> None:
    asyncio.run(live_through(acts, gaps, misfire))


async def live_through(acts: list[Any], gaps: list[int], misfire: str) -> None:
    backoff = Backoff.constant("3 minutes", jitter="none")
    job = Job(misfire=misfire, start_immediately=False, retry=RetryPolicy(max_attempts=MAX_ATTEMPTS, backoff=backoff))
    job.acts = list(acts)
    await job.started()
    for gap in gaps:
        job.deploy()  # nobody works while the gap passes
        job.driver.runtime.ms += gap * MINUTE
        await job.advance(7)
    job.acts = []
    job.deploy()
    await job.advance(30)

    status = await job.client.status("a")
    executed = job.driver.tracker.of_type(ContinuousExecuted)
    assert await job.client.get_state("a") == len(executed)
    assert [seen.at for seen in job.seen] == sorted(seen.at for seen in job.seen)
    assert all(job.seen[n].at >= job.epoch + 10 * MINUTE for n in range(len(job.seen)))
    tries = Counter((seen.run, seen.attempt) for seen in job.seen)
    assert max(attempt for _, attempt in tries) <= MAX_ATTEMPTS
    assert status.run_count == max(seen.run for seen in job.seen)
    if status.status == "scheduled":
        assert status.next_run_at is not None
        reached = (status.next_run_at.timestamp() * 1000 - job.epoch) / (10 * MINUTE) - 1
        missed = {seen.run: seen.missed for seen in job.seen}
        assert status.run_count + sum(missed.values()) == reached
    else:
        assert status.status == "failed"
        assert acts.count(kill) >= MAX_DELIVERIES
