"""The rows as `apply` sees them (`durable_primitives.kernel.apply.Shelf` says what each method means).

Everything is read and written where it stands: the database is in the same process, and a transaction is one turn.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from durable_primitives.kernel.record import DeadLetter, Item, Receipt, Record, Settlement
from durable_primitives.kernel.transition import NewItem
from durable_primitives_cloudflare.object.life import Life
from durable_primitives_cloudflare.object.rows import (
    LATEST,
    due_of,
    due_row,
    fits,
    items_of,
    json_array,
    key_of,
    letter_of,
    letter_rows,
    payload_row,
    receipt_of,
)
from durable_primitives_cloudflare.object.statements import sql
from durable_primitives_cloudflare.object.storage import ObjectStorage

PAGE = 100
"""Candidates that are read at a time."""


class ObjectShelf:
    """The instances of one object, usually one."""

    def __init__(self, storage: ObjectStorage, lives: dict[str, Life], first_key: int) -> None:
        self._storage = storage
        self._run = storage.execute
        self.lives = lives
        self.first_expiry: int | None = None
        """The earliest time at which a row outlives its use, as far as anybody has looked."""
        self._last_key = first_key

    def _ik(self, record: Record) -> int:
        return self.lives[record.instance].ik

    def expires(self, at: int) -> None:
        """A row will have outlived its use."""
        self.first_expiry = at if self.first_expiry is None else min(self.first_expiry, at)

    # Records.

    def record(self, instance: str) -> Record | None:
        life = self.lives.get(instance)
        return None if life is None else life.record

    def add_record(self, record: Record) -> None:
        self._last_key += 1
        self.lives[record.instance] = Life(self._last_key, record, None)

    def erase(self, record: Record) -> None:
        ik = self._ik(record)
        self._run(sql("delete_life"), ik)
        self._run(sql("delete_letters"), ik)

    # Receipts.

    def receipt(self, record: Record, id: str) -> Receipt | None:
        rows = self._run(sql("find_receipt"), self._ik(record), id)
        return receipt_of(rows[0]) if rows else None

    def remember(self, record: Record, id: str) -> None:
        self._put(record, id, 0, 0, NewItem(id, b""), record.updated_at, 0, None)

    # Events.

    def accept(self, record: Record, new: NewItem, at: int, rank: int, seq: int, position: int) -> None:
        self._put(record, key_of(new.id, seq), seq, position, new, at, rank, payload_row(new.payload))
        self.lives[record.instance].replay(seq, new.due, record.segment, at)

    def _put(
        self, record: Record, key: str, seq: int, position: int, new: NewItem, at: int, rank: int, payload: object
    ) -> None:
        place = (self._ik(record), key, seq, position, due_row(new.due), rank, record.segment, at)
        row = (*place, new.lane, int(new.blocks), payload)
        fits("stored event", *row)
        self._run(sql("put_event"), *row)

    def settle(self, record: Record, item: Item, settlement: Settlement, expires_at: int) -> None:
        ik, key = self._ik(record), key_of(item.id, item.seq)
        if item.id is None:
            self._run(sql("delete_event"), ik, key)
        else:
            self._run(sql("settle_event"), settlement, expires_at, ik, key)
            self.expires(expires_at)

    def move(self, record: Record, item: Item, moved: Item) -> None:
        state = (due_row(moved.due), moved.attempt, moved.delivery, moved.error, int(moved.blocks))
        self._run(sql("move_event"), *state, self._ik(record), key_of(item.id, item.seq))

    def find_item(self, record: Record, due: int, rank: int, seq: int) -> Item | None:
        found = items_of(self._run(sql("find_item"), self._ik(record), due_row(due), rank, seq))
        return found[0] if found else None

    def oldest(self, record: Record) -> Item | None:
        found = items_of(self._run(sql("find_oldest_item"), self._ik(record), json_array(record.taken)))
        return found[0] if found else None

    def lane_rank(self, record: Record, lane: str) -> int | None:
        ((rank,),) = self._run(sql("find_lane_rank"), self._ik(record), lane)
        return None if rank is None else int(rank)

    def item_due(self, record: Record, after: int) -> int | None:
        ((due,),) = self._run(sql("find_item_due"), self._ik(record), after, LATEST)
        return None if due is None else due_of(due)

    def take(self, record: Record, now: int, limit: int) -> list[Item]:
        found: list[Item] = []
        for first, last, chosen in ((1, min(now, LATEST - 1), _Waiting), (0, 0, _Ready)):
            lanes: dict[str, int] | None = None
            for item in self._due_items(record, first, last):
                if len(found) >= limit:
                    return found
                if item.lane is not None and chosen.asks(item):
                    if lanes is None:
                        lanes = chosen.lanes(self, record)
                    if lanes.get(item.lane, item.seq) < item.seq:
                        continue
                found.append(item)
        return found

    def _due_items(self, record: Record, first: int, last: int) -> Generator[Item]:
        start, ik, taken = 0, self._ik(record), json_array(record.taken)
        while True:
            page = items_of(self._run(sql("list_due_items"), ik, first, last, taken, PAGE, start))
            yield from page
            if len(page) < PAGE:
                return
            start += PAGE

    def lane_heads(self, record: Record) -> dict[str, int]:
        """The first event of each lane that nobody has in hand."""
        return self._lanes("list_lane_heads", self._ik(record), json_array(record.taken))

    def lane_blocks(self, record: Record) -> dict[str, int]:
        """The first event of each lane that waits and blocks."""
        return self._lanes("list_lane_blocks", self._ik(record), json_array(record.taken))

    def _lanes(self, statement: str, *parameters: object) -> dict[str, int]:
        return {lane: seq for lane, seq in self._run(sql(statement), *parameters)}  # noqa: C416 - rows are no pairs

    # Segments.

    def retire(self, record: Record, segment: int, settlement: Settlement, expires_at: int) -> int:
        return self._empty(record, (0, segment), (), settlement, expires_at)

    def clear(self, record: Record, segment: int, expires_at: int) -> int:
        return self._empty(record, (segment, LATEST), record.taken, "cleared", expires_at)

    def _empty(
        self, record: Record, segments: tuple[int, int], taken: Sequence[int], settlement: Settlement, expires_at: int
    ) -> int:
        which = (self._ik(record), *segments, json_array(taken))
        ((count,),) = self._run(sql("count_segments"), *which)
        self._run(sql("settle_segments"), settlement, expires_at, *which)
        self._run(sql("delete_segments"), *which)
        self.expires(expires_at)
        return int(count)

    # Dead letters.

    def letter(self, record: Record, id: str) -> DeadLetter | None:
        return letter_of(self._run(sql("find_letter"), self._ik(record), id))

    def keep_letter(self, record: Record, letter: DeadLetter) -> None:
        self.drop_letter(record, letter.id)
        for row in letter_rows(self._ik(record), letter):
            fits("stored dead letter", *row)
            self._run(sql("put_letter"), *row)
        self.expires(letter.expires_at)

    def drop_letter(self, record: Record, id: str) -> bool:
        ik = self._ik(record)
        known = bool(self._run(sql("list_letter_parts"), ik, id))
        if known:
            self._run(sql("delete_letter"), ik, id)
        return known


class _Waiting:
    """Events that waited and are due: one that blocks overtakes nothing of its lane."""

    @staticmethod
    def asks(item: Item) -> bool:
        return item.blocks

    @staticmethod
    def lanes(shelf: ObjectShelf, record: Record) -> dict[str, int]:
        return shelf.lane_heads(record)


class _Ready:
    """Events that never waited: they overtake nothing of their lane that waits and blocks."""

    @staticmethod
    def asks(item: Item) -> bool:
        return True

    @staticmethod
    def lanes(shelf: ObjectShelf, record: Record) -> dict[str, int]:
        return shelf.lane_blocks(record)
