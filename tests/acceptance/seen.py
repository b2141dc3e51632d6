"""What handlers saw, and waiting for it: nothing here looks at a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE_SECONDS = 30
"""When a test gives up; no test that passes waits for it."""


class Seen(list[Any]):
    """A list that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Condition()

    async def note(self, what: Any) -> None:
        """Append, and tell who waits."""
        async with self._changed:
            self.append(what)
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(condition)

    async def reach(self, count: int) -> None:
        """Wait for so many entries."""
        await self.until(lambda: len(self) >= count)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what only a look at the store can tell: what a handler's end leads to."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0)
