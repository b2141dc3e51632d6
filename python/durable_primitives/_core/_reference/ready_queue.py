"""The lanes of one queue instance."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple, final

from durable_primitives._core._reference.priority_set import PrioritySet


class _Waiting(NamedTuple):
    rank: int
    lane: str | None


class _Lane:
    __slots__ = ("busy", "waiting")

    def __init__(self) -> None:
        self.waiting: PrioritySet[tuple[int, int]] = PrioritySet()  # (seq, rank): a lane is in order of seq
        self.busy = False

    def head(self) -> tuple[int, int] | None:
        """Return what this lane has among the ready items, as (rank, seq)."""
        first = self.waiting.first()
        if self.busy or first is None:
            return None
        seq, rank = first
        return rank, seq


@final
class ReadyQueue:
    """What the owner of a queue instance holds in memory: which item may start next.

    Items of one lane run one at a time, in order of `seq`. Among the heads of the lanes that are not busy the lowest
    (`rank`, `seq`) starts first: `rank` chooses between lanes and never reorders one. An item without a lane is a lane
    of its own. Every operation takes O(log n) time, amortised.

    Example:
        >>> queue = ReadyQueue()
        >>> for seq in (1, 2):
        ...     queue.push(seq, "user-42", 0)
        >>> queue.push(3, None, 0)
        >>> queue.pop(), queue.pop(), queue.pop()
        (1, 3, None)
        >>> queue.done(1)
        >>> queue.pop()
        2
    """

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._busy: dict[int, str | None] = {}
        # Items without a lane are not here: they take the short way.
        self._lanes: dict[str, _Lane] = {}
        # The heads of idle lanes and all items without a lane, as (rank, seq).
        self._ready: PrioritySet[tuple[int, int]] = PrioritySet()

    def push(self, seq: int, lane: str | None, rank: int) -> None:
        """Add an item.

        Raises:
            ValueError: An item with this `seq` is already waiting or busy.
        """
        if seq in self._waiting or seq in self._busy:
            raise ValueError(f"seq {seq} is already waiting or busy")
        self._waiting[seq] = _Waiting(rank, lane)
        if lane is None:
            self._ready.add((rank, seq))
            return
        self._lanes.setdefault(lane, _Lane())
        with self._changed(lane) as changed:
            changed.waiting.add((seq, rank))

    def pop(self) -> int | None:
        """Take the best item that may start and make its lane busy; return its seq, or None if nothing may start."""
        first = self._ready.first()
        if first is None:
            return None
        self._ready.remove(first)
        _, seq = first
        rank, lane = self._waiting.pop(seq)
        self._busy[seq] = lane
        if lane is not None:
            with self._changed(lane) as changed:
                changed.waiting.remove((seq, rank))
                changed.busy = True
        return seq

    def done(self, seq: int) -> None:
        """Forget a popped item, which has its outcome now: its lane is free again, and the seq too.

        Raises:
            KeyError: No item with this `seq` is busy.
        """
        if seq not in self._busy:
            raise KeyError(f"seq {seq} is not busy: only a popped item can be done")
        lane = self._busy.pop(seq)
        if lane is not None:
            with self._changed(lane) as changed:
                changed.busy = False

    def evict(self, lane: str) -> list[int]:
        """Drop the items of `lane` that wait, not the busy one; return their seqs in order."""
        if lane not in self._lanes:
            return []
        with self._changed(lane) as changed:
            seqs = [seq for seq, _ in changed.waiting]
            changed.waiting = PrioritySet()
        for seq in seqs:
            del self._waiting[seq]
        return seqs

    def remove(self, seq: int) -> bool:
        """Drop a waiting item; return whether there was one."""
        item = self._waiting.pop(seq, None)
        if item is None:
            return False
        if item.lane is None:
            self._ready.remove((item.rank, seq))
            return True
        with self._changed(item.lane) as changed:
            changed.waiting.remove((seq, item.rank))
        return True

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """How many items are popped and not done."""
        return len(self._busy)

    def __len__(self) -> int:
        """Return how many items wait."""
        return len(self._waiting)

    @contextmanager
    def _changed(self, name: str) -> Generator[_Lane]:
        """Give the lane to change, then let the ready items follow its head; a lane without items goes."""
        lane = self._lanes[name]
        old_head = lane.head()
        yield lane
        new_head = lane.head()
        if new_head != old_head:
            if old_head is not None:
                self._ready.remove(old_head)
            if new_head is not None:
                self._ready.add(new_head)
        if not lane.busy and not lane.waiting:
            del self._lanes[name]
