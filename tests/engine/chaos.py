"""Processes that come and go over a store that is slow and fails, in an order that a seed decides."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from durable_primitives.engine import worker as worker_module
from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.errors import StorageBusyError, StorageError
from durable_primitives.kernel.transition import ClaimRequest, Transition
from durable_primitives.primitives.buffer import executor as buffer_executor
from durable_primitives.primitives.queue import stream
from durable_primitives.services import ownership
from tests.engine.fleet import SECOND, Fleet, Process, Wire, turns

PROCESSES = 2


class Faults:
    """What the store does to the commits of one process: it is slow, refuses some, and loses the replies of others."""

    def __init__(self, draws: random.Random, wire: Wire) -> None:
        self._draws, self._wire = draws, wire
        self.healed = False

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Any:
        await turns(self._draws.randrange(6))
        fate = 1.0 if self.healed else self._draws.random()
        if fate < 0.04:
            raise StorageBusyError("locked")
        if fate < 0.06:
            raise StorageError("cut off before the commit", outcome="unknown")
        reply = self._wire.commit_now(transitions, request)
        if fate < 0.08:
            raise StorageError("cut off after the commit", outcome="unknown")
        await turns(self._draws.randrange(3))
        return reply


class World:
    """One seed, and all that follows from it."""

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(worker_module, "LOOK_AGAIN_SECONDS", 0.0)
        for module in (stream, buffer_executor, ownership):
            monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
        self.draws = random.Random(seed)
        self.fleet = Fleet()
        self.definitions: tuple[Any, ...] = ()
        self.processes: list[Process] = []
        self._faults: list[Faults] = []

    async def open(self, *definitions: Any) -> None:
        await self.fleet.open()
        self.definitions = definitions
        for _ in range(PROCESSES):
            self.start()

    def start(self) -> None:
        """A new process joins."""
        options = WorkerOptions(max_instances=self.draws.choice((1, 2)))
        process = self.fleet.process(*self.definitions, options=options, immediate=False)
        faults = Faults(self.draws, process.wire)
        process.engine.commits._backend = faults  # type: ignore[assignment]
        process.worker.start()
        self.processes.append(process)
        self._faults.append(faults)

    def client(self, definition: Any) -> Any:
        """The client of one of the processes."""
        return self.draws.choice(self.processes).client(definition)

    async def disturb(self) -> None:
        """A process dies or is told to leave, and another one takes its place; or time passes."""
        what = self.draws.random()
        if what < 0.5:
            self.pass_time(self.draws.choice((100, SECOND, 5 * SECOND)))
            return
        process = self.processes.pop(self.draws.randrange(len(self.processes)))
        if what < 0.75:
            await process.crash()
        else:
            await process.worker.stop(grace_s=self.draws.choice((0.0, 5.0)))
        self.start()

    def pass_time(self, ms: int) -> None:
        """Also for the heartbeats of those that live, and the timers of those that sleep."""
        self.fleet.pass_time(ms)
        for process in self.processes:
            process.runtime.beat()
        self.fleet.wake()

    async def settle(self, done: Callable[[], Awaitable[bool]]) -> None:
        """No fault from now on, until all is done."""
        for faults in self._faults:
            faults.healed = True
        for _ in range(200):
            await turns(50)
            if await done():
                break
            self.pass_time(5 * SECOND)
        else:
            pytest.fail(f"work is left over that nobody does: {await self.fleet.store.scan('', '', 100)}")
        for process in self.processes:
            await process.worker.stop(grace_s=5.0)


async def until_told(call: Callable[[], Awaitable[Any]]) -> Any:
    """Unknown is not failed: the same call, with the same id, until there is an answer."""
    while True:
        try:
            return await call()
        except StorageError:
            continue
