"""A tracker hears of an end when the store has it: what a failed or fenced commit did not do is not told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_primitives.errors import StorageBusyError, StorageError
from durable_primitives.kernel.transition import Put, Transition
from durable_primitives.primitives.buffer import executor as buffer_executor
from durable_primitives.primitives.queue import stream
from durable_primitives.services import ownership
from tests.engine.fleet import LEASE, Fleet, Process, turns
from tests.engine.kinds import KINDS, POLICIES

every_end = pytest.mark.parametrize(
    ("raises", "attempts"), [(False, 1), (True, 2), (True, 1)], ids=["done", "retry", "given up"]
)
every_kind = pytest.mark.parametrize("kind", KINDS)


class Scene:
    """A process whose handler waits at a gate, in its first run, with the work of one call; and another process."""

    def __init__(self, kind: str, raises: bool, attempts: int) -> None:
        self._kind, self._raises = KINDS[kind], raises
        self.gate, self.begun = asyncio.Event(), asyncio.Event()
        self._definition = self._kind.make(self._execute, POLICIES[attempts])

    async def _execute(self, ctx: Any) -> None:
        self.begun.set()
        await self.gate.wait()
        if self._raises:
            raise ValueError("no")

    async def __aenter__(self) -> Scene:
        self.fleet = await Fleet().open()
        self.first, self.other = (self.fleet.process(self._definition, immediate=False) for _ in range(2))
        await self._kind.begin(self.fleet.producer(self._definition))
        # No loop that claims: what the process commits from here on is the end of its run.
        await self.first.engine.commits.claim()
        await self.begun.wait()
        self.before = told(self.first)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.first.worker.stop()

    async def taken_over(self) -> list[str]:
        """What the other process tells, which does the same work undisturbed once the lease is over."""
        self.fleet.pass_time(LEASE)
        self.gate.set()
        await self.other.run_due()
        return told(self.other)


def told(process: Process) -> list[str]:
    return [event.type for event in process.tracker.events]


@every_end
@every_kind
async def test_the_end_that_a_zombie_came_to_is_not_told(kind: str, raises: bool, attempts: int) -> None:
    async with Scene(kind, raises, attempts) as scene:
        scene.first.wire.gate.clear()
        ends = [type for type in await scene.taken_over() if type not in scene.before]
        scene.first.wire.gate.set()
        await turns()
        assert ends, "its successor told of an end"
        assert told(scene.first) == [*scene.before, "instance.lease_lost"]


@every_end
@every_kind
async def test_an_end_whose_commit_failed_is_not_told(kind: str, raises: bool, attempts: int) -> None:
    async with Scene(kind, raises, attempts) as scene:
        scene.first.wire.failures.append(StorageError("the reply was lost", outcome="unknown"))
        scene.gate.set()
        await asyncio.wait(scene.first.worker._runs)
        assert not scene.first.wire.failures
        assert told(scene.first) == scene.before
        assert [type for type in await scene.taken_over() if type not in scene.before]


@every_end
@every_kind
async def test_an_end_that_a_busy_store_took_in_the_end_is_told_once(
    kind: str, raises: bool, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (stream, buffer_executor, ownership):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    async with Scene(kind, raises, attempts) as undisturbed:
        undisturbed.gate.set()
        await asyncio.wait(undisturbed.first.worker._runs)
    async with Scene(kind, raises, attempts) as scene:
        scene.first.wire.failures += [StorageBusyError("locked")] * 3
        scene.gate.set()
        await asyncio.wait(scene.first.worker._runs)
        assert not scene.first.wire.failures
    assert told(scene.first) == told(undisturbed.first) != scene.before


@every_end
@pytest.mark.parametrize("kind", ["buffer", "continuous"])
async def test_an_end_that_was_decided_anew_is_told_once(kind: str, raises: bool, attempts: int) -> None:
    """Somebody wrote the record meanwhile, so the first commit is refused."""
    async with Scene(kind, raises, attempts) as undisturbed:
        undisturbed.first.wire.trips.clear()
        undisturbed.gate.set()
        await asyncio.wait(undisturbed.first.worker._runs)
    async with Scene(kind, raises, attempts) as scene:
        record = await scene.fleet.record(f"{kind}:w:a")
        same = Put(status=record.status, data=record.data, linger_ms=record.linger_ms)
        await scene.fleet.store.commit([Transition(instance=record.instance, at=scene.fleet.clock.ms, put=same)])
        scene.first.wire.trips.clear()
        scene.gate.set()
        await asyncio.wait(scene.first.worker._runs)
    assert len(scene.first.wire.trips) == len(undisturbed.first.wire.trips) + 1, "one was refused"
    assert told(scene.first) == told(undisturbed.first) != scene.before
