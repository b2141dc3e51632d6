"""What stands between one simulated process and the store: it does what the choices say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from durable_primitives.errors import StorageError
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import ClaimRequest, LeaseRef, Renewal, Transition
from durable_primitives.spi.backend import Capabilities, Reply
from durable_primitives.testing.simulation.choices import Deviation
from durable_primitives.testing.simulation.errors import ProcessKilled
from durable_primitives.testing.simulation.store import SimulatedStore

if TYPE_CHECKING:
    from durable_primitives.testing.simulation.loop import SimulationLoop
    from durable_primitives.testing.simulation.process import SimulatedProcess

R = TypeVar("R")

IDLE_SECONDS = 6 * 3600
"""How long a worker sleeps at most, in a world that skips what is idle."""


class SimulatedBackend:
    """The backend of one process.  Every call is a point at which the schedule may deviate."""

    capabilities = Capabilities(durable=True, multi_process=True, immediate=False)
    url = "simulation://"

    def __init__(self, store: SimulatedStore, process: SimulatedProcess) -> None:
        self._store = store
        self._inner = store.backend
        self._process = process
        self._loop: SimulationLoop = process.loop
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False
        store.on_nearer.append(self.wake)

    async def open(self, namespace: str) -> None:
        """The store is open already: it outlives its processes."""

    async def close(self) -> None:
        """The store outlives its processes."""

    # Changing it.

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        def apply() -> Reply:
            return self._store.commit(self._process.name, transitions, request)

        deviation = self._deviation(transitions)
        return apply() if deviation is None else await self._deviate(deviation, apply)

    def commit_now(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        raise NotImplementedError("a simulated store is never immediate")

    def _deviation(self, transitions: Sequence[Transition]) -> Deviation | None:
        """What befalls a round trip: whatever is the first to befall one of its transitions."""
        if not transitions:
            return self._process.choose("claim")
        found: Deviation | None = None
        for transition in transitions:
            found = self._process.choose("commit", transition.instance) or found
        return found

    async def _deviate(self, deviation: Deviation, apply: Callable[[], R]) -> R:
        process, amount = self._process, deviation.amount
        match deviation.fault:
            case "put the clock forward at":
                process.shift_clock(amount)
            case "put the clock back at":
                process.shift_clock(-amount)
            case "shut down at":
                process.leave()
            case "refuse":
                raise StorageError("the store refused, as it was told", backend="simulation", outcome="not_applied")
            case "lose":
                raise StorageError("the connection was lost, as it was told", backend="simulation", outcome="unknown")
            case "delay":
                await process.world.delay(amount)
            case "pause before" | "freeze before":
                await process.halt(deviation)
            case "crash before":
                await process.die()
            case _:
                return await self._deviate_after(deviation, apply())
        return apply()

    async def _deviate_after(self, deviation: Deviation, reply: R) -> R:
        """It is durable; what is left to go wrong is the way back."""
        process = self._process
        match deviation.fault:
            case "lose the reply of":
                raise StorageError("the reply was lost, as it was told", backend="simulation", outcome="unknown")
            case "delay the reply of":
                await process.world.delay(deviation.amount)
            case "pause during" | "freeze during":
                await process.halt(deviation)
            case "crash during":
                await process.die()
            case "crash after":
                # A turn for those who waited, and one for what they do at once.
                self._loop.call_soon(self._loop.call_soon, process.crash)
            case _:
                pass
        return reply

    async def sweep(self, now: int, budget: int) -> int:
        await self._read("")
        count = await self._inner.sweep(now, budget)
        self._store.changed()
        return count

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        deviation = self._process.choose("renewal")
        fault = None if deviation is None else deviation.fault
        if fault == "crash before":
            self._process.crash()
            raise ProcessKilled
        if fault == "refuse":
            raise StorageError("the store refused, as it was told", backend="simulation", outcome="not_applied")
        answers = self._inner.renew(leases, until)
        self._store.changed()
        self._process.note("renewal", "", ", ".join(f"{one.instance} {_kept(one)}" for one in answers))
        if fault is not None:
            raise StorageError("the reply was lost, as it was told", backend="simulation", outcome="unknown")
        return answers

    # Looking at it.

    async def _read(self, instance: str) -> None:
        deviation = self._process.choose("read", instance)
        if deviation is not None:
            await self._deviate(deviation, lambda: None)

    async def load(self, instance: str, receipts: Sequence[str] = (), letters: Sequence[str] = ()) -> Snapshot:
        await self._read(instance)
        return await self._inner.load(instance, receipts, letters)

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        await self._read(instance)
        return await self._inner.items(instance, segment, after, limit)

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        await self._read(instance)
        return await self._inner.letters(instance, after, limit)

    async def scan(self, prefix: str, after: str, limit: int) -> Sequence[Record]:
        await self._read("")
        return await self._inner.scan(prefix, after, limit)

    async def tally(self, instance: str, now: int) -> Tally:
        await self._read(instance)
        return await self._inner.tally(instance, now)

    # Waking.

    async def next_due(self) -> int | None:
        await self._read("")
        return self._store.next_due

    async def wait(self, seconds: float) -> None:
        deviation = self._process.choose("wait")
        fault = None if deviation is None else deviation.fault
        if fault == "cut short":
            return
        if fault == "delay" and deviation is not None:
            # The doorbell is out of order: it sleeps to the end, and then some.
            await self._process.world.delay(round(seconds * 1000) + deviation.amount)
            return
        if not self._woken:
            seconds = self._stretched(seconds)
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(seconds, self.wake)
            try:
                await self._waiter
            finally:
                self._waiter = None
                timer.cancel()
        self._woken = fault == "repeat"

    def _stretched(self, seconds: float) -> float:
        """Until something is due, in a world that skips what is idle: a worker that only looks has nothing to find."""
        world, due = self._process.world, self._store.next_due
        if not world.skips_idle:
            return seconds
        return max(seconds, IDLE_SECONDS if due is None else min(self._process.runtime.until(due), IDLE_SECONDS))

    def wake(self) -> None:
        """An alarm may have come nearer."""
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _kept(renewal: Renewal) -> str:
    return "kept" if renewal.held else "lost"
