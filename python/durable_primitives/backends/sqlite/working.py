"""What a transaction knows of one instance, and what it has yet to write of it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from durable_primitives.kernel.record import Item, Receipt, Record, Settlement
from durable_primitives.kernel.transition import NewItem

Place = tuple[int, int]
"""`due` and `rank` under which an item is stored."""


Arrival = tuple[NewItem, int, int, int, int, int]
"""A new event with its time, rank, sequence, position and segment."""


class Working:
    """One instance inside a transaction.

    Nothing is written before it must be seen or the transaction ends, and what came and went meanwhile never is.
    """

    __slots__ = (
        "alarm",
        "arrivals",
        "bare",
        "gone",
        "ik",
        "known",
        "lane_ranks",
        "loose",
        "moved",
        "moved_receipts",
        "purge_at",
        "record",
        "settled",
        "stored_as",
        "touched",
    )

    def __init__(self, ik: int, record: Record, alarm: int | None = None, *, stored: bool) -> None:
        self.ik = ik
        self.record = record
        self.alarm = alarm
        """The alarm before this transaction."""
        self.purge_at = record.purge_at
        """The time to go before this transaction."""
        self.stored_as = ik if stored else None
        """The key under which the record is stored."""
        self.bare = not stored
        """Nothing is stored under `ik`, so there is nothing to look up."""
        self.touched = False

        self.arrivals: list[Arrival] = []
        """New events to insert, with their receipts."""
        self.gone: dict[int, Place] = {}
        """Items to delete, by sequence."""
        self.moved: dict[int, tuple[Place, Item]] = {}
        """Items to update, by sequence, with the place where they are stored."""
        self.lane_ranks: dict[str, int | None] = {}
        """Highest ranks, as far as they were asked for."""

        self.known: dict[str, Receipt | None] = {}
        """Receipts that were looked up; None is one that does not exist."""
        self.loose: list[tuple[str, int]] = []
        """Ids to remember that have no item, with their segment."""
        self.settled: dict[tuple[Settlement, int], list[str]] = {}
        """Ids of receipts to settle, by settlement and expiry."""
        self.moved_receipts: dict[str, int] = {}
        """Due times of receipts that follow their items."""

    def accept(self, new: NewItem, at: int, rank: int, seq: int, position: int) -> None:
        """A new event, and its receipt."""
        segment = self.record.segment
        self.arrivals.append((new, at, rank, seq, position, segment))
        lane, id = new.lane, new.id
        if lane is not None and (self.bare or lane in self.lane_ranks):
            highest = self.lane_ranks.get(lane)
            self.lane_ranks[lane] = rank if highest is None else max(highest, rank)
        if id is not None and (not new.fresh or id in self.known):
            self.known[id] = Receipt(id, seq, position, new.due, rank, segment)

    def remember(self, id: str) -> None:
        """An id without an item."""
        segment = self.record.segment
        self.loose.append((id, segment))
        self.known[id] = Receipt(id, 0, 0, segment=segment)

    def settle(self, item: Item, settlement: Settlement, expires_at: int) -> None:
        """A stored item leaves; its receipt need not be read for that."""
        seq, id = item.seq, item.id
        self.gone[seq] = self.moved.pop(seq)[0] if seq in self.moved else (item.due, item.rank)
        if id is not None:
            self.settle_receipt(id, settlement, expires_at)
        if item.lane is not None:
            # What is left in the lane must be counted again.
            self.lane_ranks.pop(item.lane, None)
            self.bare = False

    def settle_receipt(self, id: str, settlement: Settlement, expires_at: int) -> None:
        """How an event ended, and until when that is remembered."""
        self.settled.setdefault((settlement, expires_at), []).append(id)
        known = self.known.get(id)
        if known is not None:
            self.known[id] = structs.replace(known, settlement=settlement, expires_at=expires_at)

    def move(self, item: Item, moved: Item) -> None:
        """A stored item changes."""
        seq, id = item.seq, item.id
        place = self.moved[seq][0] if seq in self.moved else (item.due, item.rank)
        self.moved[seq] = (place, moved)
        if id is not None and item.due != moved.due:
            self.moved_receipts[id] = moved.due
            known = self.known.get(id)
            if known is not None:
                self.known[id] = structs.replace(known, due=moved.due)

    def gone_runs(self) -> Iterator[tuple[int, int, int, int, int]]:
        """What to delete, as ``(ik, due, rank, first, last)``: a queue is served in order, so a batch is few runs."""
        order = sorted((*place, seq) for seq, place in self.gone.items())
        start = 0
        for index, (due, rank, seq) in enumerate(order, 1):
            if index == len(order) or order[index] != (due, rank, seq + 1):
                yield (self.ik, due, rank, order[start][2], seq)
                start = index

    def forget(self, ik: int) -> None:
        """The instance was erased: it goes on under another key, where nothing is stored."""
        self.ik, self.bare = ik, True
        self.arrivals.clear()
        self.loose.clear()
        for rows in (self.gone, self.moved, self.lane_ranks, self.known, self.settled, self.moved_receipts):
            rows.clear()
