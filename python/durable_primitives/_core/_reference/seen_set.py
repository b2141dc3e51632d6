"""Ids remembered for idempotency."""

from __future__ import annotations

from typing import final

from durable_primitives._core._reference.alarm_heap import AlarmHeap
from durable_primitives._core._reference.invalid_argument import invalid_argument

_FOREVER = 2**63 - 1


@final
class SeenSet:
    """Ids that were seen: live from acceptance to outcome, then settled until their window ends.

    A live id stays however long its work takes. A settled one stays until `expire` finds its window over, or until more
    than `cap` ids are held: then the settled ids whose windows end soonest go first. Live ids never go, so the set can
    hold more than `cap` of them. Windows that end together end in the order in which they were set.

    Args:
        cap: How many ids to hold, 0 or more; None for no limit.

    Raises:
        ValueError: `cap` is negative.

    Example:
        >>> seen = SeenSet(cap=None)
        >>> seen.insert("event-1"), seen.insert("event-1")
        (True, False)
        >>> seen.settle("event-1", expires_at_ms=1_000)
        True
        >>> seen.expire(now_ms=1_000, budget=100)
        1
        >>> seen.contains("event-1")
        False
    """

    def __init__(self, cap: int | None) -> None:
        if cap is not None and cap < 0:
            raise invalid_argument("cap", "None, or 0 or more", cap)
        self._live: set[str] = set()
        self._settled = AlarmHeap()  # the end of the window is the due time
        self._cap = cap

    def insert(self, id: str) -> bool:
        """Remember `id` as live; return False, changing nothing, if it is known."""
        if self.contains(id):
            return False
        self._live.add(id)
        self._evict_over_cap()
        return True

    def contains(self, id: str) -> bool:
        """Return whether `id` is remembered, live or settled."""
        return id in self._live or self._settled.get(id) is not None

    def settle(self, id: str, expires_at_ms: int) -> bool:
        """Start the window of `id`, or move the end of it; return False if the id is unknown."""
        if not self.contains(id):
            return False
        self._live.discard(id)
        self._settled.set(id, expires_at_ms)
        self._evict_over_cap()
        return True

    def expires_at(self, id: str) -> int | None:
        """Return when the window of `id` ends in milliseconds, or None if it is live or unknown."""
        return self._settled.get(id)

    def forget(self, id: str) -> bool:
        """Drop `id`, live or settled; return whether it was known."""
        known = self.contains(id)
        self._live.discard(id)
        self._settled.cancel(id)
        return known

    def expire(self, now_ms: int, budget: int) -> int:
        """Drop the ids whose windows ended by `now_ms`, at most `budget`, the oldest end first; return how many."""
        return len(self._settled.pop_due(now_ms, budget))

    def __len__(self) -> int:
        """Return how many ids are remembered, live and settled."""
        return len(self._live) + len(self._settled)

    def _evict_over_cap(self) -> None:
        if self._cap is not None:
            self._settled.pop_due(_FOREVER, len(self) - self._cap)
