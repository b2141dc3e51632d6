"""Processes that die, leases that are lost, state that nobody can read, deploys that forget a definition."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest

from durable_primitives.backends.memory import MemoryBackend
from durable_primitives.durations import to_datetime
from durable_primitives.errors import LeaseLostError, SerializationError
from durable_primitives.events import ErrorInfo, InstanceLeaseLost, InstanceOrphaned, InstanceParked, InstanceRecovered
from durable_primitives.kernel.transition import ClaimRequest
from durable_primitives.primitives.continuous import Continuous
from durable_primitives.services.metadata import RECHECK_MS
from durable_primitives.services.ownership import MAX_DELIVERIES
from durable_primitives.spi import Capabilities
from tests.primitives.continuous_job import MINUTE, Context, Job, fail, kill
from tests.primitives.driver import Driver

LEASE_MINUTES = 0.5
RECHECK_MINUTES = RECHECK_MS / MINUTE
INSTANCE = "continuous:job:a"


# --- crashes ----------------------------------------------------------------------------------------------------------


async def test_run_that_died_with_its_process_is_run_again_when_its_lease_ends() -> None:
    job = Job()
    job.acts = [kill]
    await job.started()
    await job.advance(0)
    job.deploy()
    await job.advance(10)
    assert job.minutes == [0, LEASE_MINUTES, 10]
    assert job.attempts == [(1, 1), (1, 1), (2, 1)]
    assert job.seen[0].key == job.seen[1].key


async def test_process_that_dies_between_claim_and_begin_loses_nothing() -> None:
    job = Job(start_immediately=False)
    await job.started()
    job.driver.runtime.ms += 10 * MINUTE
    dead = ClaimRequest(owner="dead", at=job.driver.now, lease_ms=30_000, limit=1, take=0)
    _, claims = job.driver.backend.commit_now((), dead)
    assert len(claims) == 1
    await job.advance(10)
    assert job.minutes == [10 + LEASE_MINUTES, 20]
    assert job.seen[0].scheduled_for == to_datetime(job.epoch + 10 * MINUTE)


async def test_due_work_runs_after_a_restart_with_no_client_call() -> None:
    job = await Job().started()
    await job.advance(0)
    job.deploy()
    job.driver.runtime.ms += 35 * MINUTE
    await job.advance(0)
    assert (job.minutes, job.seen[1].missed) == ([0, 35], 2)


async def test_crash_does_not_undo_a_pause() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        await job.client.pause("a")
        flight.then = kill
    job.deploy()
    await job.advance(60)
    assert (await job.client.status("a")).status == "paused"
    assert job.attempts == [(1, 1)]
    await job.client.resume("a")
    await job.advance(0)
    assert job.attempts == [(1, 1), (1, 1)]


async def test_crash_does_not_undo_a_stop() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        await job.client.stop("a")
        flight.then = kill
    job.deploy()
    await job.advance(60)
    assert (await job.client.status("a")).status == "stopped"
    assert job.attempts == [(1, 1)]


async def test_handler_that_keeps_killing_its_process_is_parked() -> None:
    job = Job()
    job.acts = [kill] * 100
    await job.started(state=7)
    for _ in range(MAX_DELIVERIES):
        await job.advance(LEASE_MINUTES)
        job.deploy()
    assert (await job.client.status("a")).status == "failed"
    assert len(job.seen) == MAX_DELIVERIES
    assert set(job.attempts) == {(1, 1)}
    assert [event.reason for event in job.driver.tracker.of_type(InstanceParked)] == ["crash_loop"]
    assert await job.client.get_state("a") == 7


async def test_resume_tries_a_parked_instance_again_at_once() -> None:
    job = Job()
    job.acts = [kill] * MAX_DELIVERIES
    await job.started()
    for _ in range(MAX_DELIVERIES):
        await job.advance(LEASE_MINUTES)
        job.deploy()
    assert (await job.client.status("a")).next_run_at is None
    await job.client.resume("a")
    await job.advance(0)
    assert (await job.client.status("a")).status == "scheduled"
    assert job.attempts == [(1, 1)] * (MAX_DELIVERIES + 1)


async def test_lost_lease_cancels_the_handler_and_voids_its_outcome() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    other = None
    async with flight:
        job.driver.runtime.ms += 31_000
        other = Driver(job.definition)
        other.backend = job.driver.backend
        other.runtime.ms = job.driver.now
        other.restart()
        await other.run_due()
        assert await job.client.get_state("a") == 1
        flight.then = lambda ctx: ctx.set_state(99)
    assert await job.client.get_state("a") == 1
    assert job.attempts == [(1, 1), (1, 1)]
    assert len(job.driver.tracker.of_type(InstanceLeaseLost)) == 1


async def test_checkpoint_without_the_lease_is_refused() -> None:
    job = Job()
    flight = job.in_flight()
    refused: list[LeaseLostError] = []
    await job.started()
    async with flight:
        await job.client.terminate("a")

        async def lands(ctx: Context) -> None:
            ctx.set_state(99)
            try:
                await ctx.checkpoint()
            except LeaseLostError as error:
                refused.append(error)

        flight.then = lands
    assert len(refused) == 1
    assert (await job.client.status("a")).status == "not_found"


async def test_stop_by_another_process_reaches_the_handler_with_the_next_heartbeat() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        other = Driver(job.definition)
        other.backend = job.driver.backend
        other.restart()
        await other.client(job.definition).stop("a")
        assert not flight.ctx.cancelled
        job.driver.engine.owned[INSTANCE].notice()
        flight.then = still_running
    assert flight.ctx.cancelled


async def still_running(ctx: Context) -> None:
    """Give the look at the record its turn."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_shutdown_lets_a_handler_finish_within_the_grace() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        job.driver.engine.drain()
        assert flight.ctx.cancelled
    assert await job.client.get_state("a") == 1


async def test_shutdown_gives_back_a_handler_that_does_not_finish() -> None:
    job = Job()
    flight = job.in_flight()
    await job.driver.open()
    job.driver.worker.start()
    job.epoch = job.driver.now
    await job.client.start("a", 0)
    await flight.begun.wait()
    await job.driver.worker.stop(grace_s=0)
    status = await job.client.status("a")
    assert (status.status, status.attempt, status.next_run_at) == ("retrying", 1, to_datetime(job.epoch))
    job.deploy()
    await job.advance(0)
    assert job.attempts == [(1, 1), (1, 1)]
    assert await job.client.get_state("a") == 1


class GatedBackend(MemoryBackend):
    """What is committed after a claim waits for a gate."""

    capabilities = Capabilities(durable=False, multi_process=False, immediate=False)

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.waits = asyncio.Event()

    async def commit(self, transitions: Any, request: Any = None) -> Any:
        if not self.gate.is_set():
            self.waits.set()
            await self.gate.wait()
            return self.commit_now(transitions, request)
        reply = self.commit_now(transitions, request)
        if reply[1]:
            self.gate.clear()
        return reply


async def test_shutdown_while_the_begin_is_decided_anew_reaches_the_handler() -> None:
    job = Job(start_immediately=False)
    job.driver.backend = backend = GatedBackend()
    job.deploy()
    cancelled: list[bool] = []
    job.acts = [lambda ctx: cancelled.append(ctx.cancelled)]
    await job.started()
    job.driver.runtime.ms += 10 * MINUTE
    worker = asyncio.create_task(job.driver.run_due())
    await backend.waits.wait()
    record = (await backend.load(INSTANCE)).record
    assert record is not None
    assert record.status == "scheduled"
    await damage(job, record.data)  # somebody else writes the record, and the begin meets a conflict
    job.driver.engine.drain()
    backend.gate.set()
    await worker
    assert cancelled == [True]


async def test_draining_worker_begins_nothing() -> None:
    job = Job(start_immediately=False)
    await job.started()
    job.driver.runtime.ms += 10 * MINUTE
    claim = ClaimRequest(owner="w", at=job.driver.now, lease_ms=30_000, limit=1, take=0)
    _, (claimed,) = job.driver.backend.commit_now((), claim)
    job.driver.engine.commits.claimant = lambda: None
    ownership = job.driver.engine.own(claimed)
    ownership.drain()
    await job.driver.engine.alarm(ownership)
    assert job.seen == []
    job.deploy()
    await job.advance(0)
    assert job.minutes == [10]


# --- parking ----------------------------------------------------------------------------------------------------------


async def test_state_that_does_not_decode_parks_the_instance_with_its_bytes() -> None:
    job = await Job().started(state=7)
    await job.advance(5)
    before = (await job.driver.backend.load(INSTANCE)).record
    job.deploy(state_schema=dict[str, int])
    await job.advance(5)
    after = (await job.driver.backend.load(INSTANCE)).record
    assert before is not None
    assert after is not None
    assert (after.status, after.data) == ("failed", before.data)
    status = await job.client.status("a")
    assert (status.status, status.run_count, status.next_run_at) == ("failed", 1, None)
    with pytest.raises(SerializationError):
        await job.client.get_state("a")
    (parked,) = job.driver.tracker.of_type(InstanceParked)
    assert parked.reason == "undecodable"
    assert parked.error is not None
    assert parked.error.type.endswith("SerializationError")


async def test_later_deploy_that_reads_the_state_resumes_a_parked_instance() -> None:
    job = await Job().started(state=7)
    await job.advance(0)
    job.deploy(state_schema=dict[str, int])
    await job.advance(12)
    job.deploy(state_schema=int)
    await job.advance(RECHECK_MINUTES)
    assert (await job.client.status("a")).status == "scheduled"
    assert job.seen[-1].state == job.seen[0].state + 1
    assert len(job.driver.tracker.of_type(InstanceRecovered)) >= 1


async def test_restart_replaces_a_state_that_nobody_can_read() -> None:
    job = await Job().started(state=7)
    await job.advance(0)
    seen: list[dict[str, int]] = []
    job.deploy(state_schema=dict[str, int], execute=lambda ctx: seen.append(ctx.state))
    await job.advance(10)
    result = await job.client.start("a", {"n": 1}, if_exists="restart")  # type: ignore[arg-type]
    assert result.status == "scheduled"
    await job.advance(0)
    assert seen == [{"n": 1}]


async def test_stop_and_terminate_reach_a_parked_instance() -> None:
    job = await Job().started(state=7)
    await job.advance(0)
    job.deploy(state_schema=dict[str, int])
    await job.advance(10)
    assert (await job.client.stop("a")).stopped
    assert (await job.client.status("a")).status == "stopped"
    assert (await job.client.terminate("a")).terminated


async def test_bytes_of_a_later_release_are_left_alone() -> None:
    job = await Job(start_immediately=False).started()
    record = (await job.driver.backend.load(INSTANCE)).record
    assert record is not None
    later = b"\x92\x02\xa5later"
    await damage(job, later)
    await job.advance(10)
    record = (await job.driver.backend.load(INSTANCE)).record
    assert record is not None
    assert (record.status, record.data) == ("failed", later)
    assert (await job.client.status("a")).status == "failed"
    assert [item.status for item in (await job.client.list()).items] == ["failed"]
    with pytest.raises(SerializationError, match="expected format 1"):
        await job.client.stop("a")
    assert (await job.client.terminate("a")).terminated


async def damage(job: Job, data: bytes) -> None:
    """Let another writer replace what a record holds."""
    from durable_primitives.kernel.transition import Put, Transition

    put = Put(status="scheduled", data=data)
    job.driver.backend.commit_now((Transition(instance=INSTANCE, at=job.driver.now, put=put),))


async def test_schedule_function_that_raises_parks_the_instance_and_says_why() -> None:
    broken = False

    def next_tick(previous: datetime | None, now: datetime) -> datetime:
        if broken:
            raise ZeroDivisionError("oops")
        return (previous or now) + timedelta(minutes=10)

    job = await Job(schedule=next_tick, start_immediately=False).started()
    broken = True
    await job.advance(10)
    assert (await job.client.status("a")).status == "failed"
    (parked,) = job.driver.tracker.of_type(InstanceParked)
    assert (parked.reason, parked.error) == ("schedule_failed", ErrorInfo("ZeroDivisionError", "oops"))
    broken = False
    await job.advance(RECHECK_MINUTES)
    assert job.minutes == [15]


async def test_instance_without_a_definition_waits_for_one() -> None:
    job = await Job().started()
    await job.advance(5)
    other: Any = Continuous.make("other", state_schema=int, schedule=Continuous.every("1 hour"), execute=fail)
    job.driver.restart(other)
    await job.advance(5)
    assert [event.reason for event in job.driver.tracker.of_type(InstanceOrphaned)] == ["no definition"]
    job.deploy()
    assert (await job.client.status("a")).status == "orphaned"
    await job.advance(RECHECK_MINUTES)
    assert job.minutes == [0, 15]
    assert (await job.client.status("a")).status == "scheduled"


async def test_orphan_that_was_paused_in_the_middle_of_a_run_is_paused_again() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        await job.client.pause("a")
        flight.then = kill
    other: Any = Continuous.make("other", state_schema=int, schedule=Continuous.every("1 hour"), execute=fail)
    job.driver.restart(other)
    await job.advance(1)
    job.deploy()
    assert (await job.client.status("a")).status == "orphaned"
    await job.advance(60)
    assert (await job.client.status("a")).status == "paused"
    assert job.attempts == [(1, 1)]


async def test_old_name_of_a_definition_still_runs_its_instances() -> None:
    job = await Job().started()
    await job.advance(0)
    renamed = Continuous.make(
        "new", aliases=("job",), state_schema=int, schedule=Continuous.every("10 minutes"), execute=job
    )
    job.driver.restart(renamed)
    await job.advance(10)
    assert job.minutes == [0, 10]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Deaths are logged; here they are meant."""
    caplog.set_level(logging.CRITICAL)
