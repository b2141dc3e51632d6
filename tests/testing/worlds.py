"""Small simulated applications for the tests of the kit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from durable_primitives import Backoff, Queue, QueueClient, QueueExecuteContext, RetryPolicy
from durable_primitives.testing import TraceEntry
from durable_primitives.testing.simulation import Simulation

INSTANCE = "queue:q:0"
SECOND_US = 1_000_000

SOON = RetryPolicy(max_attempts=20, backoff=Backoff.constant("1 second", jitter="none"))


class QueueWorld:
    """A simulation of one queue, whose handler takes `takes` seconds and notes what it was given."""

    def __init__(self, *schedule: str, takes: float = 0.0, timeout: str | None = None, **options: Any) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.takes = takes
        self.queue = Queue.make("q", event_schema=str, execute=self._execute, retry=SOON, timeout=timeout)
        self.simulation = Simulation(self.queue, schedule=schedule, **options)

    async def _execute(self, ctx: QueueExecuteContext[str]) -> None:
        self.begun.append(ctx.event)
        await asyncio.sleep(self.takes)
        self.ended.append(ctx.event)

    def __enter__(self) -> QueueWorld:
        self.simulation.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.simulation.close()

    @property
    def client(self) -> QueueClient[str]:
        return self.simulation.client.queue(self.queue)

    def enqueue(self, *events: str) -> None:
        async def send() -> None:
            for event in events:
                await self.client.enqueue(event, id=event)

        self.simulation.run(send())

    def begin(self) -> None:
        """Send one event, up to the moment at which its handler waits."""
        self.enqueue("a")
        self.simulation.run_until(lambda: bool(self.begun))

    def worked_off(self) -> QueueWorld:
        """Send one event, and let two hours pass."""
        self.enqueue("a")
        self.simulation.advance("2 hours")
        return self

    # What happened.

    def seconds(self, what: str, detail: str = "", actor: str = "") -> list[float]:
        """When something happened."""
        return [entry.at_us / SECOND_US for entry in self.entries(what, detail, actor)]

    def entries(self, what: str, detail: str = "", actor: str = "") -> Sequence[TraceEntry]:
        return [
            entry
            for entry in self.simulation.trace
            if entry.what == what and detail in entry.detail and entry.actor.startswith(actor)
        ]

    @property
    def is_done(self) -> bool:
        """Whether everything that was accepted was completed, once."""
        record = self.simulation.store.record(INSTANCE)
        return record is not None and record.count == 0 and record.owner is None and record.finished == 1
