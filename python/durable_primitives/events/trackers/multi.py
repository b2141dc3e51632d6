"""Telling several listeners."""

from __future__ import annotations

import asyncio

from durable_primitives.events.model import PrimitiveEvent
from durable_primitives.events.tracker import EventTracker
from durable_primitives.events.trackers.guard import guard


class MultiTracker:
    """Passes every event to each of `trackers` that is enabled.  Each is guarded: one can not harm another.

    Example:
        >>> from durable_primitives.events import InMemoryTracker, StructlogTracker
        >>> tracker = MultiTracker(StructlogTracker(), InMemoryTracker())
    """

    def __init__(self, *trackers: EventTracker) -> None:
        self._trackers = tuple(guard(tracker) for tracker in trackers)

    @property
    def enabled(self) -> bool:
        """Whether any of them is."""
        return any(tracker.enabled for tracker in self._trackers)

    @property
    def dropped(self) -> int:
        """What all of them lost together."""
        return sum(tracker.dropped for tracker in self._trackers)

    def track(self, event: PrimitiveEvent) -> None:
        """Pass `event` on."""
        for tracker in self._trackers:
            if tracker.enabled:
                tracker.track(event)

    async def close(self) -> None:
        """Close all of them at the same time."""
        await asyncio.gather(*(tracker.close() for tracker in self._trackers))
