"""Standing between the engine and a tracker that may raise."""

from __future__ import annotations

import asyncio

from durable_primitives.durations import Duration, parse
from durable_primitives.events.model import PrimitiveEvent
from durable_primitives.events.tracker import EventTracker
from durable_primitives.events.trackers.drops import DropCounter
from durable_primitives.logs import get_logger

_log = get_logger("durable_primitives.events")


class InlineTracker:
    """Calls `tracker` in the caller's thread and turns what it raises into a count.

    Wrap your own tracker in this to be told of events in order, at once and in their context, when you know that its
    `track` never blocks. Otherwise leave it as it is: it is then called from the background.

    Example:
        >>> from durable_primitives.events import InMemoryTracker
        >>> tracker = InlineTracker(InMemoryTracker())
    """

    def __init__(self, tracker: EventTracker, *, close_timeout: Duration = "5 seconds") -> None:
        self._tracker = tracker
        self._close_timeout_s = parse(close_timeout, what="close_timeout").total_seconds()
        self._drops = DropCounter()
        self._warned = False

    @property
    def enabled(self) -> bool:
        """What `tracker` says; False if asking it raises."""
        try:
            return bool(self._tracker.enabled)
        except Exception:
            return False

    @property
    def dropped(self) -> int:
        """Events on which `tracker` raised, and those it says it lost."""
        try:
            return self._drops.total + self._tracker.dropped
        except Exception:
            return self._drops.total

    def track(self, event: PrimitiveEvent) -> None:
        """Pass `event` on."""
        if not self.offer(event):
            self._drops.add()

    def offer(self, event: PrimitiveEvent) -> bool:
        """Pass `event` on; False if `tracker` raised."""
        try:
            self._tracker.track(event)
        except Exception as error:
            self._warn_once(error)
            return False
        return True

    async def close(self) -> None:
        """Close `tracker`, but wait no longer than `close_timeout` for it."""
        closing = asyncio.create_task(self._close())
        # Unlike wait_for, this returns in time even if the tracker swallows its cancellation.
        _, late = await asyncio.wait({closing}, timeout=self._close_timeout_s)
        for task in late:
            task.cancel()

    def _warn_once(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            _warn(self._tracker, "track", error)

    async def _close(self) -> None:
        try:
            await self._tracker.close()
        except Exception as error:
            _warn(self._tracker, "close", error)


def _warn(tracker: EventTracker, method: str, error: BaseException) -> None:
    try:
        _log.warning("tracker raised", tracker=type(tracker).__qualname__, method=method, exc_info=error)
    except Exception:
        pass  # the application's logging is broken too: the counter is what remains
