"""A handler whose events wait until the test lets them go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from durable_primitives.primitives.queue import QueueExecuteContext


class Gated:
    """Counts what runs; every event waits for `gate`."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.ran: list[str] = []
        """The events that were finished, in order."""
        self.contexts: list[QueueExecuteContext[str]] = []
        """One for every start."""
        self.running = 0
        self.most = 0
        self.gate = asyncio.Event()
        if is_open:
            self.gate.set()
        self._changed = asyncio.Condition()

    @property
    def started(self) -> list[str]:
        return [ctx.event for ctx in self.contexts]

    async def __call__(self, ctx: QueueExecuteContext[str]) -> None:
        self.contexts.append(ctx)
        self.running += 1
        self.most = max(self.most, self.running)
        await self._tell()
        try:
            await self.gate.wait()
            self.ran.append(ctx.event)
        finally:
            self.running -= 1
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)
