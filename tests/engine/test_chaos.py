"""Two workers, a store that is slow and fails, crashes and shutdowns, in an order that a seed decides."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from durable_primitives.engine import worker as worker_module
from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.errors import StorageBusyError, StorageError
from durable_primitives.kernel.transition import ClaimRequest, Transition
from durable_primitives.primitives.queue import Queue, QueueExecuteContext, stream
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Retry, Snooze
from tests.engine.fleet import SECOND, Fleet, Process, turns

SEEDS = int(os.environ.get("SEEDS", 60))
TALLY = Counter()
import atexit

atexit.register(lambda: print(TALLY))
STEPS = 60


class Faults:
    """What the store does to the commits of one process."""

    def __init__(self, draws: random.Random, store: Any) -> None:
        self._draws, self._store = draws, store
        self.healed = False

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Any:
        await turns(self._draws.randrange(6))
        fate = 1.0 if self.healed else self._draws.random()
        if fate < 0.04:
            raise StorageBusyError("locked")
        if fate < 0.06:
            raise StorageError("cut off", outcome="unknown")
        reply = self._store.commit_now(transitions, request)
        if fate < 0.08:
            raise StorageError("cut off after the commit", outcome="unknown")
        await turns(self._draws.randrange(3))
        return reply


class World:
    """Everything that one seed leads to."""

    def __init__(self, seed: int) -> None:
        self.draws = random.Random(seed)
        self.fleet = Fleet()
        self.accepted: set[str] = set()
        self.cancelled: set[str] = set()
        self.starts: dict[str, list[int]] = {}
        self.running: dict[str, int] = {}
        self.violations: list[str] = []
        self.processes: list[Process] = []
        self.dead: set[Process] = set()
        self.faults: list[Faults] = []
        self.queue = Queue.make(
            "q",
            event_schema=str,
            execute=self.execute,
            concurrency=2,
            per_instance=self.draws.choice((1, 2, 3)),
            ordering=self.draws.choice(("strict", "relaxed")),
            retry=RetryPolicy(max_attempts=50, backoff=Backoff.constant("1 second", jitter="none")),
        )

    def start(self) -> None:
        options = WorkerOptions(max_instances=self.draws.choice((1, 2)))
        process = self.fleet.process(self.queue, options=options, immediate=False)
        faults = Faults(self.draws, process.wire)
        process.engine.commits._backend = faults  # type: ignore[assignment]
        process.worker.start()
        self.processes.append(process)
        self.faults.append(faults)

    async def execute(self, ctx: QueueExecuteContext[str]) -> None:
        key, n = ctx.partition_key, int(ctx.event)
        if key is None:
            await self._work()
            return
        self.starts.setdefault(key, []).append(n)
        if key in self.running:
            self.violations.append(f"{n} overlaps {self.running[key]} of {key}")
        self.running[key] = n
        try:
            await self._work()
        finally:
            if self.running.get(key) == n:
                del self.running[key]

    async def _work(self) -> None:
        await turns(self.draws.randrange(5))
        if self.draws.random() < 0.2:
            raise self.draws.choice((ValueError("no"), Snooze("1 second"), Retry("2 seconds")))


async def until_told(call: Any) -> Any:
    while True:
        try:
            return await call()
        except StorageError:
            continue


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_happens_every_accepted_event_ends_once_and_in_order(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(stream, "RETRY_SECONDS", 0.0)
    world = World(seed)
    await world.fleet.open()
    draws = world.draws
    world.start()
    world.start()
    for step in range(STEPS):
        process = draws.choice(world.processes)
        client = process.client(world.queue)
        what = draws.random()
        if what < 0.5:
            id, key = f"{step}", draws.choice((None, "a", "b", "c"))
            delay = draws.choice((None, None, None, "1 second", "3 seconds"))
            await until_told(
                lambda: client.enqueue(id, id=id, partition_key=key, delay=delay, priority=draws.choice((0, 0, 5)))  # noqa: B023
            )
            world.accepted.add(id)
        elif what < 0.6 and world.accepted:
            id = draws.choice(sorted(world.accepted))
            await until_told(lambda: client.cancel(id))  # noqa: B023
        elif what < 0.65:
            await until_told(client.pause)
        elif what < 0.75:
            await until_told(client.resume)
        elif what < 0.8:
            world.processes.remove(process)
            world.dead.add(process)
            await process.crash()
            world.start()
        elif what < 0.85:
            world.processes.remove(process)
            world.processes.append(process)
            await process.worker.stop(grace_s=draws.choice((0.0, 5.0)))
            world.processes.remove(process)
            world.start()
        else:
            world.fleet.pass_time(draws.choice((100, 1000, 5000)))
            for other in world.processes:
                other.runtime.beat()
            world.fleet.wake()
        await turns(draws.randrange(10))
    for faults in world.faults:
        faults.healed = True
    client = world.processes[0].client(world.queue)
    await until_told(client.resume)
    for _ in range(200):
        await turns(50)
        status = await client.status()
        if not status.pending + status.delayed + status.running + status.retrying:
            break
        world.fleet.pass_time(5 * SECOND)
        for other in world.processes:
            other.runtime.beat()
        world.fleet.wake()
    else:
        pytest.fail(f"seed {seed}: not drained: {status} {[await world.fleet.record(f'queue:q:{n}') for n in (0, 1)]}")
    for process in world.processes:
        await process.worker.stop(grace_s=5.0)
    assert world.violations == []
    if world.queue.ordering == "strict":
        for key, numbers in world.starts.items():
            assert numbers == sorted(numbers), f"{key} ran out of order: {numbers}"
    receipts = Counter[str]()
    for index in (0, 1):
        snapshot = await world.fleet.store.load(f"queue:q:{index}", sorted(world.accepted))
        receipts.update(receipt.settlement for receipt in snapshot.receipts.values())
        assert set(snapshot.receipts) <= world.accepted
    assert receipts[None] == 0
    assert receipts.total() == len(world.accepted)
    assert receipts["dead"] == 0
    TALLY.update(receipts)
    TALLY["violations"] += len(world.violations)
    TALLY["redelivered"] += sum(len(v) - len(set(v)) for v in world.starts.values())
