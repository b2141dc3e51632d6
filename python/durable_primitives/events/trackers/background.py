"""Keeping a tracker that may be slow away from the work."""

from __future__ import annotations

from durable_primitives.durations import Duration, parse
from durable_primitives.events.model import PrimitiveEvent
from durable_primitives.events.tracker import EventTracker
from durable_primitives.events.trackers.inline import InlineTracker
from durable_primitives.events.trackers.sender import Limits, Pause
from durable_primitives.events.trackers.threaded import ThreadedTracker, positive

# Waking the thread for each event would cost the caller several times what queueing it does.
_BATCH_SIZE = 100
_FLUSH_INTERVAL_S = 0.01


class BackgroundTracker(ThreadedTracker):
    """Calls `tracker` from a daemon thread, one event at a time, in the order in which they were tracked.

    While `tracker` is slower than the work, up to `max_queue` events wait; the newest are dropped and counted after
    that. What it raises is counted too.

    Example:
        >>> from durable_primitives.events import StructlogTracker
        >>> tracker = BackgroundTracker(StructlogTracker(), max_queue=1000)
    """

    def __init__(
        self, tracker: EventTracker, *, max_queue: int = 10_000, close_timeout: Duration = "5 seconds"
    ) -> None:
        super().__init__(
            Limits(
                batch_size=_BATCH_SIZE,
                flush_interval_s=_FLUSH_INTERVAL_S,
                max_queue=positive("max_queue", max_queue),
                close_timeout_s=parse(close_timeout, what="close_timeout").total_seconds(),
            )
        )
        self._tracker = InlineTracker(tracker, close_timeout=close_timeout)

    @property
    def enabled(self) -> bool:
        """What `tracker` says; False if asking it raises."""
        return self._tracker.enabled

    @property
    def dropped(self) -> int:
        """Events that found the queue full, on which `tracker` raised, or that it says it lost."""
        return super().dropped + self._tracker.dropped

    async def close(self) -> None:
        """Pass on what is queued, then close `tracker`; each is given `close_timeout`."""
        await super().close()
        await self._tracker.close()

    def _deliver(self, batch: list[PrimitiveEvent], pause: Pause) -> int:
        taken = 0
        for event in batch:
            if not pause(0):
                break
            taken += self._tracker.offer(event)
        return taken
