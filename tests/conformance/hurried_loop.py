"""An event loop on which waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from selectors import SelectorKey


class _Hurry(selectors.DefaultSelector):
    """Waits for no timer: it only adds up how long that would have taken."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        self.skipped += 0 if ready else timeout
        return ready


class HurriedLoop(asyncio.SelectorEventLoop):
    """When nothing is left to do but to wait, it is later at once: what hangs for ever shows now, whatever the machine.

    Other threads are waited for as long as no timer runs.
    """

    def __init__(self) -> None:
        self._hurry = _Hurry()
        super().__init__(self._hurry)

    def time(self) -> float:
        return super().time() + self._hurry.skipped

    async def shutdown_default_executor(self, *_bound: float | None) -> None:
        await super().shutdown_default_executor()
