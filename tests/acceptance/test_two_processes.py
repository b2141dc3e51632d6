"""Two worker processes on one database: they share the work, wake each other, take over, and fence each other off."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import statistics
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from durable_primitives import Enqueue, PrimitivesClient
from tests.acceptance.child import PATIENCE_SECONDS, Child
from tests.acceptance.pair_worker import application
from tests.acceptance.stores import url

MODULE = "tests.acceptance.pair_worker"
WELL_BEFORE_THE_LEASE_ENDS = 10.0
"""Seconds; the lease lasts 30."""

SOON_AFTER_THE_LEASE_ENDS = 1.0
"""Seconds."""

HANDED_OVER_MS = 100
"""From the signal to the start of the next event elsewhere."""

either_signal = pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])


@asynccontextmanager
async def client_of(folder: Path) -> AsyncGenerator[PrimitivesClient]:
    """The third process: this one, which runs no handler."""
    async with application(folder, "client").connect(url(folder)) as client:
        yield client


@asynccontextmanager
async def worker(folder: Path, name: str, **options: object) -> AsyncGenerator[Child]:
    async with Child(MODULE, folder, name, *(f"{key}={value}" for key, value in options.items())) as child:
        await child.hear("ready")
        yield child


async def what_it_ran(child: Child) -> list[str]:
    """Ask it to leave, and listen to all that it said."""
    child.send(signal.SIGTERM)
    assert await child.ended() == 0
    return [line.split()[1] for line in await child.rest() if line.startswith("ran ")]


async def test_they_share_the_work_and_run_nothing_twice(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        queue = client.queue("work")
        async with worker(tmp_path, "one", max_instances=4) as one, worker(tmp_path, "two", max_instances=4) as two:
            await queue.enqueue_many([Enqueue("meet", id=f"meet-{n}", partition_key=f"m{n}") for n in range(64)])
            await queue.enqueue_many([Enqueue("quick", id=f"e-{n}", partition_key=f"k{n % 50}") for n in range(1000)])
            assert (await queue.drain("60 seconds")).drained
            ran = [await what_it_ran(one), await what_it_ran(two)]
        assert (await queue.status()).processed == 1064
    assert Counter(ran[0] + ran[1]) == {f"meet-{n}": 1 for n in range(64)} | {f"e-{n}": 1 for n in range(1000)}
    assert all(ran), "one of them did everything"


async def test_no_wake_up_is_lost_from_one_process_to_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workers never look by themselves, so this ends only if every single enqueue wakes one."""
    heard: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    async def listen(child: Child) -> None:
        while True:
            id, at = (await child.hear("ran")).split()
            heard.put_nowait((id, int(at)))

    latencies = []
    async with client_of(tmp_path) as client, worker(tmp_path, "one") as one, worker(tmp_path, "two") as two:
        listeners = [asyncio.create_task(listen(child)) for child in (one, two)]
        queue = client.queue("work")
        for n in range(100):
            acknowledged = await queue.enqueue("quick", id=f"e-{n}")
            since = time.monotonic_ns()
            async with asyncio.timeout(PATIENCE_SECONDS):
                id, at = await heard.get()
            assert id == acknowledged.event_id
            latencies.append((at - since) / 1e6)
        for listener in listeners:
            listener.cancel()
    with capsys.disabled():
        ordered = sorted(latencies)
        p50, p99 = statistics.median(ordered), ordered[98]
        print(f"\n  enqueue to start across processes: p50 {p50:.1f} ms, p99 {p99:.1f} ms", end=" ")


@either_signal
async def test_a_worker_that_is_told_to_leave_hands_over_long_before_its_leases_end(
    tmp_path: Path, told: signal.Signals
) -> None:
    async with client_of(tmp_path) as client, worker(tmp_path, "one") as one:
        queue = client.queue("work")
        await queue.enqueue_many([Enqueue("hold", id="held", partition_key="a")])
        await one.hear("started")
        await queue.enqueue_many([Enqueue("quick", id=f"e-{n}", partition_key="a") for n in range(20)])
        async with worker(tmp_path, "two") as two:
            since = time.monotonic()
            one.send(told)
            assert await one.ended() == 0
            assert [line.split()[0] for line in await one.rest()] == ["ran", "left"]
            assert (await queue.drain("30 seconds")).drained
            took = time.monotonic() - since
            assert await what_it_ran(two) == [f"e-{n}" for n in range(20)]
        assert (await queue.status()).processed == 21
    assert took < WELL_BEFORE_THE_LEASE_ENDS


async def test_the_next_event_begins_elsewhere_a_tenth_of_a_second_after_the_signal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    took: list[float] = []
    async with client_of(tmp_path) as client, AsyncExitStack() as stack:
        queue = client.queue("work")
        # Each of them holds an event until it is told to leave; the next one then gets the rest of its key.
        await queue.enqueue_many([Enqueue("hold", id=f"held-{n}", partition_key="a") for n in range(6)])
        holder = await stack.enter_async_context(worker(tmp_path, "0"))
        await holder.hear("started")
        for n in range(1, 6):
            heir = await stack.enter_async_context(worker(tmp_path, str(n)))
            since = time.monotonic_ns()
            holder.send(signal.SIGTERM)
            id, at = (await heir.hear("started")).split()
            assert id == f"held-{n}"
            took.append((int(at) - since) / 1e6)
            holder = heir
    with capsys.disabled():
        print(f"\n  SIGTERM to the next start: {', '.join(f'{ms:.0f}' for ms in took)} ms", end=" ")
    assert statistics.median(took) < HANDED_OVER_MS


async def test_what_a_killed_worker_held_is_taken_over_when_its_lease_ends(tmp_path: Path) -> None:
    """The other one sleeps, and has been told of nothing but the end of that lease."""
    lease_ms = 2000
    async with (
        client_of(tmp_path) as client,
        worker(tmp_path, "one", lease_ms=lease_ms) as one,
    ):
        queue = client.queue("work")
        await queue.enqueue("cling", id="clung")
        await one.hear("started")
        async with worker(tmp_path, "two", lease_ms=lease_ms) as two:
            since = time.monotonic()
            one.send(signal.SIGKILL)
            assert (await two.hear("ran")).split()[0] == "clung"
            took = time.monotonic() - since
            assert (await queue.drain("30 seconds")).drained
        assert (await queue.status()).processed == 1
    assert took < lease_ms / 1000 + SOON_AFTER_THE_LEASE_ENDS


@either_signal
async def test_a_handler_that_does_not_end_within_the_grace_runs_again_elsewhere_at_once(
    tmp_path: Path, told: signal.Signals
) -> None:
    async with client_of(tmp_path) as client, worker(tmp_path, "one", grace_s=0.1) as one:
        queue = client.queue("work")
        await queue.enqueue("cling", id="clung")
        await one.hear("started")
        async with worker(tmp_path, "two") as two:
            since = time.monotonic()
            one.send(told)
            assert await one.ended() == 0
            assert (await queue.drain("30 seconds")).drained
            took = time.monotonic() - since
            assert await what_it_ran(two) == ["clung"]
    assert took < WELL_BEFORE_THE_LEASE_ENDS


def stop_between_commits(child: Child, folder: Path) -> None:
    """One that is stopped in the midst of a commit to a file would hold everybody up, which is another story."""
    lock = folder / "app.db-lock"
    if not lock.exists():
        child.send(signal.SIGSTOP)
        return
    with lock.open() as file:
        while True:
            child.send(signal.SIGSTOP)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                child.send(signal.SIGCONT)
            else:
                return


async def test_what_a_zombie_says_after_its_lease_changes_nothing(tmp_path: Path) -> None:
    lease_ms = 1000
    async with client_of(tmp_path) as client, worker(tmp_path, "one", lease_ms=lease_ms) as zombie:
        queue, job = client.queue("work"), client.continuous("job")
        accepted = await queue.enqueue("sleepwalk", id="e")
        await zombie.hear("started")
        await job.start("j", "new")
        await zombie.hear("started")
        async with worker(tmp_path, "two") as heir:
            stop_between_commits(zombie, tmp_path)
            since = time.monotonic()
            assert {(await heir.hear("ran")).split()[0], (await heir.hear("ran")).split()[0]} == {"e", "j"}
            took = time.monotonic() - since
            await queue.drain("30 seconds")
            await settled(job)
            (tmp_path / "awake").touch()
            zombie.send(signal.SIGCONT)
            lost = {await zombie.hear("lost"), await zombie.hear("lost")}
            assert lost == {accepted.instance_id, "continuous:job:j"}
            zombie.send(signal.SIGTERM)
            assert await zombie.ended() == 0
        status = await queue.status()
        assert (status.processed, status.dead, status.pending, status.running) == (1, 0, 0, 0)
        assert await job.get_state("j") == "set by two"
        assert (await job.status("j")).run_count == 1
    assert took < lease_ms / 1000 + SOON_AFTER_THE_LEASE_ENDS


async def settled(job: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await job.status("j")).status != "scheduled":
            await asyncio.sleep(0)
