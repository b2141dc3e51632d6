"""Keeping events in memory, for tests and for looking at what happened last."""

from __future__ import annotations

import threading
from collections import deque
from typing import TypeVar

from durable_primitives.events.model import PrimitiveEvent

E = TypeVar("E", bound=PrimitiveEvent)


class InMemoryTracker:
    """Keeps the last `limit` events; an older one makes room and is counted in `dropped`.

    Example:
        >>> tracker = InMemoryTracker(limit=1000)
        >>> tracker.types
        []
    """

    enabled = True

    def __init__(self, limit: int = 10_000) -> None:
        self.dropped = 0
        self._events: deque[PrimitiveEvent] = deque(maxlen=limit)
        self._lock = threading.Lock()

    @property
    def events(self) -> list[PrimitiveEvent]:
        """What was kept, oldest first."""
        with self._lock:
            return list(self._events)

    @property
    def types(self) -> list[str]:
        """The `type` of each event that was kept, oldest first."""
        return [event.type for event in self.events]

    def of_type(self, event_class: type[E]) -> list[E]:
        """The kept events of one class, oldest first."""
        return [event for event in self.events if isinstance(event, event_class)]

    def track(self, event: PrimitiveEvent) -> None:
        """Keep `event`."""
        with self._lock:
            if len(self._events) == self._events.maxlen:
                self.dropped += 1
            self._events.append(event)

    def clear(self) -> None:
        """Forget what was kept; `dropped` stays."""
        with self._lock:
            self._events.clear()

    async def close(self) -> None:
        """The events stay readable."""
