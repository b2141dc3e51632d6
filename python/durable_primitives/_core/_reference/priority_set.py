"""A set whose smallest member is at hand: what ``BTreeSet`` and ``BTreeMap`` are to the Rust core."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar, final

Member = TypeVar("Member", bound="tuple[int | str, ...]")

# So many removed members may stay in the heap however small the set is: rebuilding has a price as well.
_SLACK = 16


@final
class PrioritySet(Generic[Member]):
    """Distinct tuples, ordered; add and remove take O(log n), amortised.

    A binary heap beside a set. A removed member leaves the set at once, and the heap when it comes to the top or when
    most of the heap is such leftovers.

    Example:
        >>> members = PrioritySet[tuple[int, str]]()
        >>> members.add((2, "b"))
        >>> members.add((1, "a"))
        >>> members.remove((1, "a"))
        >>> members.first()
        (2, 'b')
    """

    __slots__ = ("_heap", "_members")

    def __init__(self) -> None:
        self._members: set[Member] = set()
        self._heap: list[Member] = []

    def add(self, member: Member) -> None:
        """Add a member."""
        self._members.add(member)
        heappush(self._heap, member)

    def remove(self, member: Member) -> None:
        """Remove a member if it is there."""
        self._members.discard(member)
        if len(self._heap) > 2 * len(self._members) + _SLACK:
            self._heap = sorted(self._members)

    def first(self) -> Member | None:
        """Return the smallest member, or None if there is none."""
        while self._heap:
            if self._heap[0] in self._members:
                return self._heap[0]
            heappop(self._heap)
        return None

    def __iter__(self) -> Iterator[Member]:
        """Yield the members in order."""
        return iter(sorted(self._members))

    def __len__(self) -> int:
        """Return how many members there are."""
        return len(self._members)
