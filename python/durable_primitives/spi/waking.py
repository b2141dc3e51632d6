"""When a sleeping worker must look again: at once for what is due, and for what is not, when it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Bell:
    """A bell that rings at the earliest of the times that it is told.

    To ring at once for an alarm that is far away would be right too, and would have every worker look for nothing.

    Args:
        clock: The store's time, in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rung = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0

    def tell(self, due: int) -> None:
        """Somebody brought an alarm to this time, in milliseconds."""
        delay = due / 1000 - self._clock()
        if delay <= 0:
            self.ring()
        elif self._timer is None or due < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = asyncio.get_running_loop().call_later(delay, self.ring)

    def ring(self) -> None:
        """End the waits that are under way, or the next one."""
        self.silence()
        self._rung.set()

    def silence(self) -> None:
        """Forget the times: whoever asks, looks for himself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def wait(self, seconds: float) -> bool:
        """Whether it rang within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True
