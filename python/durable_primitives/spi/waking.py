"""When a sleeping worker must look again: at once for what is due, and for what is not, when it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from durable_primitives.errors import StorageError


class Bell:
    """When it rings, the waits that are under way end, or else the next one.  It belongs to one event loop."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Something may be due earlier than whoever sleeps knows."""
        self._rung.set()

    async def wait(self, seconds: float) -> bool:
        """Whether it rang within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class Nearer(Protocol):
    """The reply to a commit, which says to when it brought an alarm nearer, in milliseconds, if it did."""

    @property
    def nearest(self) -> int | None: ...


R = TypeVar("R", bound=Nearer)


class TimedBell(Bell):
    """A bell that rings at the earliest of the times that it is told.

    To ring at once for an alarm that is far away would be right too, and would have every worker look for nothing.

    Args:
        clock: The store's time, in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
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
        # Forget the times: whoever wakes looks for himself.
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().ring()

    async def follow(self, commit: Awaitable[R]) -> R:
        """The reply of a commit, and ring for what it brought nearer: at once if nobody knows whether it was applied.

        Raises what the commit raises.
        """
        try:
            reply = await commit
        except StorageError as error:
            if error.outcome == "unknown":
                self.ring()
            raise
        if reply.nearest is not None:
            self.tell(reply.nearest)
        return reply


class Watch:
    """Sleeps until the earliest alarm of a store comes nearer: the bell says so, or it sees for itself.

    A ring may get lost on its way from another process, so nobody relies on it alone.

    Args:
        bell: Rung by whoever brings an alarm nearer.
        look: Asks the store for its earliest alarm, in milliseconds; None when nothing is scheduled.
    """

    def __init__(self, bell: Bell, look: Callable[[], Awaitable[int | None]]) -> None:
        self._bell, self._look = bell, look
        self._seen: int | None = None

    async def next_due(self) -> int | None:
        """The earliest alarm.  From now on, only an earlier one ends a `wait` in which no bell rings."""
        self._seen = await self._look()
        return self._seen

    async def wait(self, seconds: float, *, recheck_seconds: float) -> None:
        """Return when an alarm may have come nearer, or after so many seconds.

        A ring that got lost is missed for `recheck_seconds` at the most.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not await self._bell.wait(min(left := until - loop.time(), recheck_seconds)):
            if left <= recheck_seconds or self._is_nearer(await self._look()):
                return

    def _is_nearer(self, due: int | None) -> bool:
        return due is not None and (self._seen is None or due < self._seen)
