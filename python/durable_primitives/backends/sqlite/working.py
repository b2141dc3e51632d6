"""What a transaction knows of one instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import structs

from durable_primitives.kernel.record import Item, Receipt, Record, Settlement

Run = tuple[int, int, int, int, int]
"""Items to delete: `ik`, `due`, `rank`, first and last `seq`."""


class Working:
    """One instance inside a transaction, with what was read of it and what must yet be deleted."""

    __slots__ = (
        "alarm",
        "gone",
        "ik",
        "known",
        "lane_ranks",
        "moved",
        "new",
        "purge_at",
        "record",
        "settled",
        "stored_as",
        "touched",
        "written",
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
        self.new = not stored
        """All that there is under `ik` came in this transaction, and nothing has left."""
        self.touched = False
        """The record was changed."""
        self.written = record.sequence
        """The last sequence given to an item that a query would see."""
        self.moved: set[int] = set()
        """Items to update."""
        self.gone: dict[int, tuple[int, int]] = {}
        """Items to delete: `due` and `rank` by sequence."""
        self.settled: set[str] = set()
        """Ids whose receipts are to be settled."""
        self.known: dict[str, Receipt | None] = {}
        """The receipts that the batch asks for, as they are now."""
        self.lane_ranks: dict[str, int | None] = {}
        """Highest ranks, as far as the batch asks for them."""

    def is_stored(self, item: Item) -> bool:
        """Whether the item stands in its row as it is now."""
        seq = item.seq
        return seq <= self.written and seq not in self.moved and seq not in self.gone

    @property
    def unwritten(self) -> bool:
        """Whether a query would not see all items as they are now, those to delete aside."""
        return self.record.sequence > self.written or bool(self.moved)

    def drop(self, item: Item) -> None:
        """The item is to be deleted."""
        self.gone[item.seq] = (item.due, item.rank)
        self.new = False
        if item.lane is not None:
            # What is left in the lane must be asked for.
            self.lane_ranks.pop(item.lane, None)

    def runs(self) -> Iterator[Run]:
        """What to delete, in runs without a gap: a queue is served in order, so that is few of them."""
        order = sorted((*place, seq) for seq, place in self.gone.items())
        start = 0
        for index, (due, rank, seq) in enumerate(order, 1):
            if index == len(order) or order[index] != (due, rank, seq + 1):
                yield (self.ik, due, rank, order[start][2], seq)
                start = index

    def raise_lane(self, lane: str, rank: int) -> None:
        """An item of that rank came into the lane."""
        if self.new or lane in self.lane_ranks:
            highest = self.lane_ranks.get(lane)
            self.lane_ranks[lane] = rank if highest is None else max(highest, rank)

    def settle_known(self, leaves: Callable[[Receipt], bool], settlement: Settlement, expires_at: int) -> None:
        """Settle those of the known receipts that are live and for which `leaves` holds."""
        for id, receipt in self.known.items():
            if receipt is not None and receipt.expires_at is None and leaves(receipt):
                self.known[id] = structs.replace(receipt, settlement=settlement, expires_at=expires_at)

    def forget(self, ik: int) -> None:
        """The instance was erased: it goes on under another key, where nothing is stored."""
        self.ik, self.new = ik, True
        self.lane_ranks = {}
        self.known = dict.fromkeys(self.known)
