"""What a transaction knows of one instance, and what it has yet to write of it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from durable_primitives.kernel.record import Item, Receipt, Record

UNREAD = -1
"""The position of a receipt that was not read: all that can become of it is a settlement or another due time."""

Place = tuple[int, int]
"""`due` and `rank` under which an item is stored."""


class Working:
    """One instance inside a transaction.

    Nothing is written before it must be seen or the transaction ends, and what came and went meanwhile never is.
    """

    __slots__ = (
        "alarm",
        "bare",
        "dropped",
        "fresh",
        "gone",
        "ik",
        "kept",
        "known",
        "lane_ranks",
        "moved",
        "moved_receipts",
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
        self.stored_as = ik if stored else None
        """The key under which the record is stored."""
        self.bare = not stored
        """Nothing is stored under `ik`, so there is nothing to look up."""
        self.touched = False

        self.fresh: dict[int, Item] = {}
        """Items to insert, by sequence."""
        self.gone: dict[int, Place] = {}
        """Items to delete."""
        self.moved: dict[int, tuple[Place, Item]] = {}
        """Items to update, with the place where they are stored."""
        self.lane_ranks: dict[str, int | None] = {}
        """Highest ranks, as far as they were asked for."""

        self.known: dict[str, Receipt | None] = {}
        """Receipts that were looked up; None is one that does not exist."""
        self.kept: dict[str, Receipt] = {}
        """Receipts to write."""
        self.dropped: dict[str, Item] = {}
        """Dropped items by event id: their receipts exist, and need not be read to be settled."""
        self.settled: dict[str, tuple[str, int]] = {}
        """Settlement and expiry of receipts that were not read."""
        self.moved_receipts: dict[str, int] = {}
        """Due times of receipts that were not read."""

    # Items.

    def add_item(self, item: Item) -> None:
        seq = item.seq
        if seq in self.gone:
            self.moved[seq] = (self.gone.pop(seq), item)
        else:
            self.fresh[seq] = item
        lane = item.lane
        if lane is not None and (self.bare or lane in self.lane_ranks):
            highest = self.lane_ranks.get(lane)
            self.lane_ranks[lane] = item.rank if highest is None else max(highest, item.rank)

    def drop_item(self, item: Item) -> None:
        seq = item.seq
        if seq in self.fresh:
            del self.fresh[seq]
        elif seq in self.moved:
            self.gone[seq] = self.moved.pop(seq)[0]
        else:
            self.gone[seq] = (item.due, item.rank)
        if item.id is not None:
            self.dropped[item.id] = item
        if item.lane is not None:
            # What is left in the lane must be counted again.
            self.lane_ranks.pop(item.lane, None)
            self.bare = False

    def find_item(self, due: int, rank: int, seq: int) -> Item | None:
        """The item at that place, if it is yet to be written."""
        item = self.fresh.get(seq)
        if item is None and seq in self.moved:
            item = self.moved[seq][1]
        return item if item is not None and (item.due, item.rank) == (due, rank) else None

    def gone_runs(self) -> Iterator[tuple[int, int, int, int, int]]:
        """What to delete, as ``(ik, due, rank, first, last)``: a queue is served in order, so a batch is few runs."""
        order = sorted((*place, seq) for seq, place in self.gone.items())
        start = 0
        for index, (due, rank, seq) in enumerate(order, 1):
            if index == len(order) or order[index] != (due, rank, seq + 1):
                yield (self.ik, due, rank, order[start][2], seq)
                start = index

    # Receipts.

    def keep_receipt(self, receipt: Receipt) -> None:
        id = receipt.id
        if receipt.position != UNREAD:
            self.kept[id] = receipt
            self.settled.pop(id, None)
            self.moved_receipts.pop(id, None)
            return
        read = self.kept.get(id) or self.known.get(id)
        if receipt.settlement is None or receipt.expires_at is None:
            if read is not None:
                self.kept[id] = structs.replace(read, due=receipt.due)
            else:
                self.moved_receipts[id] = receipt.due
        elif read is not None:
            self.kept[id] = structs.replace(read, settlement=receipt.settlement, expires_at=receipt.expires_at)
        else:
            self.settled[id] = (receipt.settlement, receipt.expires_at)

    def forget(self, ik: int) -> None:
        """The instance was erased: it goes on under another key, where nothing is stored."""
        self.ik, self.bare = ik, True
        for rows in (self.fresh, self.gone, self.moved, self.lane_ranks, self.known, self.kept, self.dropped):
            rows.clear()
        self.settled.clear()
        self.moved_receipts.clear()
