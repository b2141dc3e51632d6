"""Load on an application, and what it must see of its own events whatever happens to the server."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from durable_primitives import PrimitivesClient, Queue, QueueExecuteContext, WorkerOptions, create_durable_primitives
from durable_primitives.errors import StorageError
from durable_primitives.spi import Backend

PATIENCE_SECONDS = 60.0
"""When a test gives up; no test that passes waits for it."""

SHORT_LEASE = WorkerOptions(lease="2 seconds", heartbeat="500ms")


class Load:
    """Producers that send one event after the other, each until it is acknowledged, and handlers that note them.

    An event is ``key:number``; the events of a key are sent in the order of their numbers.
    """

    def __init__(self, keys: int = 4) -> None:
        self.keys = [f"k{n}" for n in range(keys)]
        self.acknowledged: dict[str, int] = dict.fromkeys(self.keys, 0)
        """How many events of a key."""
        self.refusals: list[StorageError] = []
        self.ran: dict[str, list[int]] = defaultdict(list)
        """The numbers of the events of a key, in the order in which their handlers began."""
        self.overlaps: list[str] = []
        self._running: set[str] = set()
        self._more = asyncio.Condition()
        self._stopping = False

        async def note(ctx: QueueExecuteContext[str]) -> None:
            key, _, number = ctx.event.partition(":")
            if key in self._running:
                self.overlaps.append(ctx.event)
            self._running.add(key)
            self.ran[key].append(int(number))
            await asyncio.sleep(0)
            self._running.discard(key)
            await self._notify()

        self.queue = Queue.make(
            "work", event_schema=str, execute=note, concurrency=2, partition_key=lambda event: event.partition(":")[0]
        )
        self.application = create_durable_primitives(self.queue)

    async def _notify(self) -> None:
        async with self._more:
            self._more.notify_all()

    @property
    def sent(self) -> int:
        return sum(self.acknowledged.values())

    @property
    def begun(self) -> int:
        return sum(map(len, self.ran.values()))

    @asynccontextmanager
    async def on(self, backend: str | Backend, *, worker: bool = True) -> AsyncGenerator[PrimitivesClient]:
        """The application and its producers, until the end of the block; a worker then runs the rest."""
        async with self.application.open(backend, worker=worker, options=SHORT_LEASE) as running:
            self._stopping = False
            producers = [asyncio.create_task(self._produce(running.client, key)) for key in self.keys]
            yield running.client
            self._stopping = True
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*producers)
                if worker:
                    await running.client.queue(self.queue).drain()

    async def _produce(self, client: PrimitivesClient, key: str) -> None:
        queue = client.queue(self.queue)
        while not self._stopping:
            number = self.acknowledged[key]
            try:
                await queue.enqueue(f"{key}:{number}", id=f"{key}:{number}")
            except StorageError as error:
                self.refusals.append(error)
                await asyncio.sleep(0.01)  # as a caller would
            else:
                self.acknowledged[key] += 1
                await self._notify()

    async def more(self, events: int = 50, *, run: bool = True) -> None:
        """Returns when so many further events have been acknowledged, and, if they `run`, have been run."""
        sent, ran = self.sent + events, self.begun + events * run
        async with asyncio.timeout(PATIENCE_SECONDS), self._more:
            await self._more.wait_for(lambda: self.sent >= sent and self.begun >= ran)

    async def finish(self, backend: str | Backend) -> None:
        """Run what there is to the end."""
        async with self.application.open(backend) as running, asyncio.timeout(PATIENCE_SECONDS):
            await running.client.queue(self.queue).drain()

    def check(self) -> None:
        """Nothing acknowledged is lost, nothing is out of order, nothing runs twice at once."""
        assert self.overlaps == []
        for key, numbers in self.ran.items():
            assert numbers == sorted(numbers), f"{key} ran out of order"
        assert {key: set(numbers) for key, numbers in self.ran.items()} == {
            key: set(range(self.acknowledged[key])) for key in self.keys
        }
        self.check_refusals()

    def check_refusals(self) -> None:
        """Each is a line that says what became of the call."""
        for error in self.refusals:
            assert "\n" not in str(error)
            assert error.outcome in ("not_applied", "unknown")
