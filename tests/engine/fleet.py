"""Several processes over one store and one clock, and a store that a test can hold back, break or cut off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from durable_primitives.backends.memory import MemoryBackend
from durable_primitives.client import PrimitivesClient
from durable_primitives.engine.engine import DurablePrimitivesEngine
from durable_primitives.engine.worker import Worker, WorkerOptions
from durable_primitives.errors import StorageError
from durable_primitives.events import InMemoryTracker
from durable_primitives.kernel.primitive import Registry
from durable_primitives.kernel.record import Record
from durable_primitives.kernel.transition import ClaimRequest, LeaseRef, Transition
from durable_primitives.primitives import BUILTIN
from durable_primitives.services.environment import Environment
from durable_primitives.services.senders import Sender
from durable_primitives.spi import Capabilities

EPOCH_MS = 1_700_000_000_000
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
LEASE, HEARTBEAT = 30 * SECOND, 10 * SECOND


class Clock:
    """One machine's clocks, for the whole fleet; only the test moves them."""

    def __init__(self) -> None:
        self.ms = EPOCH_MS
        """The wall clock, which may be set."""
        self.monotonic_ms = 0
        self.ids = 0


class ProcessRuntime:
    """A process on the fleet's clock.  Its heartbeat beats when the test says so."""

    beats_every: float | None = None
    """The seconds that were asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._random = random.Random(0)
        self._beat: Callable[[], None] | None = None

    def now(self) -> int:
        return self._clock.ms

    def until(self, due: int) -> float:
        return (due - self._clock.ms) / 1000

    def monotonic(self) -> float:
        return self._clock.monotonic_ms / 1000

    def random(self) -> float:
        return self._random.random()

    def new_id(self) -> str:
        self._clock.ids += 1
        return f"id-{self._clock.ids:06d}"

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, name=name)

    def heartbeat(self, seconds: float, beat: Callable[[], None]) -> ProcessRuntime:
        self._beat, self.beats_every = beat, seconds
        return self

    def beat(self) -> None:
        if self._beat is not None:
            self._beat()

    def stop(self) -> None:
        self._beat = None


class Wire:
    """What stands between one process and the store: commits can be held back, made to fail, or cut off for good."""

    def __init__(
        self, store: MemoryBackend, *, immediate: bool = True, overlapping: bool = False, partitions: int = 1
    ) -> None:
        self._store = store
        self.capabilities = Capabilities(
            durable=False, multi_process=False, immediate=immediate, overlapping=overlapping, partitions=partitions
        )
        self.url = store.url
        self.calls: list[str] = []
        """The name of every call that was made, in order."""
        self.trips: list[tuple[list[Transition], ClaimRequest | None]] = []
        """What each commit carried."""
        self.failures: list[Exception] = []
        """Raised by the next commits, one each, instead of committing."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.stuck: set[str] = set()
        """Instances whose commits wait until they are `freed`."""
        self.freed = asyncio.Event()
        self.arrived = asyncio.Event()
        """A commit has reached the gate."""
        self.turns = 0
        """How many turns of the event loop a commit takes, once it is through the gate."""
        self.under_way = 0
        """Commits that have not returned."""
        self.most_under_way = 0
        self._order = asyncio.Lock()
        self._cut = False

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._store, name)

    def cut(self) -> None:
        """The process is dead: nothing that it still does reaches the store."""
        self._cut = True

    def commit_now(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Any:
        self.calls.append("commit")
        self.trips.append((list(transitions), request))
        if self._cut:
            raise StorageError("this process is dead")
        if self.failures:
            raise self.failures.pop(0)
        return self._store.commit_now(transitions, request)

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Any:
        self.arrived.set()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.stuck.intersection(transition.instance for transition in transitions):
                await self.freed.wait()
            async with self._order:
                await self.gate.wait()
                await turns(self.turns)
                return self.commit_now(transitions, request)
        finally:
            self.under_way -= 1

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Any:
        self.calls.append("renew")
        if self._cut:
            raise StorageError("this process is dead")
        return self._store.renew(leases, until)


class Process:
    """One process: an engine, a worker and clients, all behind one wire."""

    def __init__(
        self, fleet: Fleet, definitions: Sequence[Any], options: WorkerOptions | None, immediate: bool
    ) -> None:
        self.wire = Wire(fleet.store, immediate=immediate)
        self.runtime = ProcessRuntime(fleet.clock)
        self.tracker = InMemoryTracker()
        self.engine = DurablePrimitivesEngine(
            Registry(definitions, BUILTIN),
            self.wire,  # type: ignore[arg-type]
            self.runtime,
            self.tracker,
            "default",
            Environment("default", self._client),
        )
        self.worker = Worker(self.engine, options)

    def _client(self, derive: Callable[[], str]) -> PrimitivesClient:
        return PrimitivesClient(self.engine.registry, self.engine.call, self.runtime, derive)

    def client(self, definition: Any) -> Any:
        primitive = self.engine.registry.primitive(definition.kind)
        return primitive.client(definition, self.engine.call, Sender(self.runtime))

    async def run_due(self) -> int:
        return await self.worker.run_due()

    async def crash(self) -> None:
        """Lose the process: no lease is given back, nothing in flight arrives."""
        self.wire.cut()
        mine = [task for task in (self.worker._loop, *self.worker._runs) if task is not None]
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)


class Fleet:
    """The store and the clock that all processes share."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryBackend()

    async def open(self) -> Fleet:
        await self.store.open("default")
        return self

    def process(self, *definitions: Any, options: WorkerOptions | None = None, immediate: bool = True) -> Process:
        return Process(self, definitions, options, immediate)

    def producer(self, definition: Any) -> Any:
        """The client of a process that runs no handler."""
        return self.process(definition, options=WorkerOptions(max_instances=0)).client(definition)

    def pass_time(self, ms: int) -> None:
        self.clock.ms += ms
        self.clock.monotonic_ms += ms

    def set_clock(self, by_ms: int) -> None:
        """Somebody sets the machine's clock: no time passes."""
        self.clock.ms += by_ms

    def wake(self) -> None:
        """The timers of those who sleep are over."""
        self.store._bell.ring()

    async def record(self, instance: str) -> Record:
        record = (await self.store.load(instance)).record
        assert record is not None
        return record


async def turns(count: int = 20) -> None:
    """Let everything that can go on without time passing go on."""
    for _ in range(count):
        await asyncio.sleep(0)
