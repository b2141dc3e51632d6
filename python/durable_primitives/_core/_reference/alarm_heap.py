"""Due times by key."""

from __future__ import annotations

from typing import final

from durable_primitives._core._reference.priority_set import PrioritySet


@final
class AlarmHeap:
    """At most one alarm per key, the earliest at hand.

    Alarms are ordered by due time; equal due times keep the order of the last `set`. Every operation takes O(log n)
    time, so a million sleeping keys cost no more than their memory. Due times are milliseconds since the Unix epoch.

    A binary heap with lazy deletion, as in "Priority Queue Implementation Notes" of the documentation of `heapq`.

    Example:
        >>> alarms = AlarmHeap()
        >>> alarms.set("user-42", 1_000)
        >>> alarms.set("user-7", 500)
        >>> alarms.set("user-42", 400)
        >>> alarms.pop_due(now_ms=600, limit=10)
        ['user-42', 'user-7']
    """

    def __init__(self) -> None:
        self._places: dict[str, tuple[int, int]] = {}
        self._order: PrioritySet[tuple[int, int, str]] = PrioritySet()
        self._sets = 0

    def set(self, key: str, due_ms: int) -> None:
        """Add the alarm of `key`, or move it; among equal due times it is now the last."""
        self.cancel(key)
        self._sets += 1
        self._places[key] = (due_ms, self._sets)
        self._order.add((due_ms, self._sets, key))

    def cancel(self, key: str) -> bool:
        """Remove the alarm of `key`; return whether there was one."""
        place = self._places.pop(key, None)
        if place is None:
            return False
        self._order.remove((*place, key))
        return True

    def get(self, key: str) -> int | None:
        """Return the due time of `key` in milliseconds, or None if it has no alarm."""
        place = self._places.get(key)
        return None if place is None else place[0]

    def peek(self) -> tuple[int, str] | None:
        """Return the due time and the key of the earliest alarm, or None if there is none."""
        earliest = self._order.first()
        return None if earliest is None else (earliest[0], earliest[2])

    def pop_due(self, now_ms: int, limit: int) -> list[str]:
        """Remove the alarms due at or before `now_ms`, at most `limit`, and return their keys, the earliest first."""
        popped: list[str] = []
        while len(popped) < limit:
            earliest = self._order.first()
            if earliest is None or earliest[0] > now_ms:
                break
            popped.append(earliest[2])
            self.cancel(earliest[2])
        return popped

    def __len__(self) -> int:
        """Return how many keys have an alarm."""
        return len(self._places)
