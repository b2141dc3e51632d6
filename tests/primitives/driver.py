"""Drives the real engine and worker on the memory backend with a clock that the test owns."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from durable_primitives.backends.memory import MemoryBackend
from durable_primitives.client import PrimitivesClient
from durable_primitives.engine.engine import DurablePrimitivesEngine
from durable_primitives.engine.worker import Worker
from durable_primitives.events import InMemoryTracker, PrimitiveEvent
from durable_primitives.kernel.primitive import Registry
from durable_primitives.primitives import BUILTIN
from durable_primitives.services.environment import Environment
from durable_primitives.services.senders import Sender

EPOCH_MS = 1_700_000_000_000


class ManualRuntime:
    """A clock that moves only when the test says so, and randomness from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.ms = EPOCH_MS
        self._random = random.Random(seed)
        self._ids = 0

    def now(self) -> int:
        return self.ms

    def until(self, due: int) -> float:
        return (due - self.ms) / 1000

    def monotonic(self) -> float:
        return self.ms / 1000

    def random(self) -> float:
        return self._random.random()

    def new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids:06d}"

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, name=name)

    def heartbeat(self, seconds: float, beat: Callable[[], None]) -> ManualRuntime:
        return self

    def stop(self) -> None:
        """A heartbeat that never beats has nothing to stop."""


class Driver:
    """One process over one store.  `crash()` loses the process and keeps the store."""

    def __init__(self, *definitions: Any, seed: int = 0) -> None:
        self.definitions = definitions
        self.runtime = ManualRuntime(seed)
        self.backend = MemoryBackend()
        self.tracker = InMemoryTracker()
        self._boot(definitions)

    def _boot(self, definitions: tuple[Any, ...]) -> None:
        self.environment = Environment(
            "default",
            lambda derive: PrimitivesClient(self.engine.registry, self.engine.call, self.runtime, derive),
        )
        self.engine = DurablePrimitivesEngine(
            Registry(definitions, BUILTIN), self.backend, self.runtime, self.tracker, "default", self.environment
        )
        self.worker = Worker(self.engine)

    async def open(self) -> Driver:
        await self.backend.open("default")
        return self

    @property
    def now(self) -> int:
        return self.runtime.ms

    @property
    def events(self) -> list[PrimitiveEvent]:
        return list(self.tracker.events)

    def client(self, definition: Any) -> Any:
        return self.engine.registry.primitive(definition.kind).client(
            definition, self.engine.call, Sender(self.runtime)
        )

    def restart(self, *definitions: Any) -> None:
        """A new process on the same store, with the same definitions or a later deploy's."""
        self._boot(definitions or self.definitions)

    async def run_due(self) -> int:
        return await self.worker.run_due()

    async def advance(self, ms: int) -> None:
        """Let time pass, stopping at every alarm on the way."""
        end = self.runtime.ms + ms
        await self.run_due()
        while True:
            due = await self.backend.next_due()
            if due is None or due > end:
                break
            self.runtime.ms = max(self.runtime.ms, due)
            await self.run_due()
        self.runtime.ms = end
