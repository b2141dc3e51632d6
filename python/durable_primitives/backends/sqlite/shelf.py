"""The rows as `apply` sees them, inside one transaction (`durable_primitives.kernel.apply.Shelf` says what each means).

What a batch will ask for is read at its start in a few queries.  What it writes waits in `Pending`, until the end or a
query that must see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from msgspec import structs

from durable_primitives.backends.sqlite.failures import damaged_instance
from durable_primitives.backends.sqlite.pending import Pending
from durable_primitives.backends.sqlite.record_cache import RecordCache, Stored
from durable_primitives.backends.sqlite.rows import (
    Row,
    instance_of,
    items_of,
    json_array,
    letter_row,
    letters_of,
    record_of,
    record_row,
    record_rows,
)
from durable_primitives.backends.sqlite.statements import sql
from durable_primitives.backends.sqlite.working import Working
from durable_primitives.errors import StorageCorruptedError
from durable_primitives.kernel.record import DAMAGED_RECHECK_MS, NEVER, DeadLetter, Item, Receipt, Record, Settlement
from durable_primitives.kernel.transition import ClaimRequest, NewItem, Transition


class SQLiteShelf:
    """One transaction's view of a namespace.  Make it after BEGIN, call `store` before COMMIT.

    Args:
        connection: In a transaction.
        nk: The namespace.
        cache: Records as of the last commit.
        damaged: Those that could not be claimed, by their keys.  `due_records` leaves them out and
            adds what it finds; `store` puts them off.
    """

    def __init__(
        self, connection: Connection, nk: int, cache: RecordCache, damaged: dict[int, StorageCorruptedError]
    ) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._nk = nk
        self._cache = cache
        self._damaged = damaged
        self._unreadable: dict[str, StorageCorruptedError] = {}
        """Records that were asked for, by instance."""
        self._working: dict[str, Working] = {}
        self._asked: dict[str, list[str]] = {}
        """Event ids that the batch asks for, by instance."""
        self._last_key: int | None = None
        self._pending = Pending(connection, nk)

    # Reading ahead.

    def load(self, transitions: Sequence[Transition]) -> None:
        """Read the records that a batch names, with the receipts and the lanes that it asks for."""
        self.load_records({transition.instance for transition in transitions})
        lanes: set[tuple[str, str]] = set()
        for t in transitions:
            ids = [*t.remember, *t.cancel] if t.remember or t.cancel else []
            for new in t.append:
                if not new.fresh and new.id is not None:
                    ids.append(new.id)
                if new.rank and new.lane is not None:
                    lanes.add((t.instance, new.lane))
            if ids:
                self._asked.setdefault(t.instance, []).extend(ids)
        if self._asked:
            self._load_receipts(self._asked)
        if lanes:
            self._load_lane_ranks(lanes)

    def load_records(self, instances: Iterable[str]) -> None:
        """Read the records that exist."""
        self._cache.check(self._connection)
        missing: list[str] = []
        for instance in instances:
            stored = self._cache.get(instance)
            if stored is None:
                missing.append(instance)
            else:
                self._working[instance] = Working(stored.ik, stored.record, stored.alarm, stored=True)
        if missing:
            for row in record_rows(self._connection, "load_instances", (self._nk, json_array(missing))):
                try:
                    self._working[row[0]] = _working_of(row)
                except StorageCorruptedError as error:
                    self._unreadable[instance_of(row)] = error

    def _load_receipts(self, asked: dict[str, list[str]]) -> None:
        wanted: list[tuple[int, str]] = []
        by_key: dict[int, Working] = {}
        for instance, ids in asked.items():
            working = self._working.get(instance)
            if working is not None:
                by_key[working.ik] = working
                working.known.update(dict.fromkeys(ids))
                wanted += [(working.ik, id) for id in working.known]
        for ik, *row in self._execute(sql("load_receipts"), (json_array(wanted),)):
            by_key[ik].known[row[0]] = Receipt(*row)

    def _load_lane_ranks(self, asked: Iterable[tuple[str, str]]) -> None:
        wanted = [(w, lane) for instance, lane in asked if (w := self._working.get(instance)) is not None]
        by_key = {working.ik: working for working, _ in wanted}
        pairs = json_array([(working.ik, lane) for working, lane in wanted])
        for ik, lane, rank in self._execute(sql("load_lane_ranks"), (pairs,)):
            by_key[ik].lane_ranks[lane] = rank

    # Records.

    def record(self, instance: str) -> Record | None:
        """Raises a `StorageCorruptedError` where it cannot be read."""
        working = self._working.get(instance)
        if working is not None:
            return working.record
        if instance in self._unreadable:
            raise self._unreadable[instance]
        return None

    def add_record(self, record: Record) -> None:
        working = Working(self._new_key(), record, stored=False)
        working.known = dict.fromkeys(self._asked.get(record.instance, ()))
        self._working[record.instance] = working

    def erase(self, record: Record) -> None:
        working = self._working[record.instance]
        self._write()
        for name in ("delete_receipts_of_items", "delete_live_receipts", "delete_all_items", "delete_all_letters"):
            self._execute(sql(name), (working.ik,))
        working.forget(self._new_key())

    def touch(self, instance: str) -> None:
        """The record was changed: `store` will write it."""
        self._working[instance].touched = True

    def due_records(self, request: ClaimRequest) -> list[Record]:
        """What a worker may claim, the earliest first, the changes of this transaction included."""
        now, wanted = request.at, max(request.limit, 0)
        due = [w for w in self._working.values() if (alarm := w.record.alarm) is not None and alarm <= now]
        due = [w for w in due if w.ik not in self._damaged]
        # Of the stored ones, those in `_working` may no longer be what they were: as many more are read.
        limit = wanted + len(self._working) + len(self._damaged)
        for row in record_rows(self._connection, "load_due_instances", (self._nk, now, limit)):
            if row[0] in self._working or row[24] in self._damaged:
                continue
            try:
                due.append(_working_of(row))
            except StorageCorruptedError as error:
                self._damaged[row[24]] = error
        due.sort(key=lambda w: (w.record.alarm or 0, w.ik))
        chosen = due[:wanted]
        self._working.update((w.record.instance, w) for w in chosen)
        return [w.record for w in chosen]

    def refuse(self, record: Record, reason: Exception) -> None:
        """It cannot be claimed: what was done for it must be rolled back."""
        key = self._working[record.instance].ik
        self._damaged[key] = damaged_instance(record.instance, reason)

    def put_off(self, now: int) -> None:
        """Look at what is damaged later, and not in every claim.  Call it after `store`."""
        until = now + DAMAGED_RECHECK_MS
        self._connection.executemany(sql("put_off_instance"), [(until, key) for key in self._damaged])

    def store(self) -> bool:
        """Write everything; returns whether an alarm came nearer than it was before the transaction."""
        self._write()
        nearer = False
        for working in self._working.values():
            if working.touched:
                before, alarm = working.alarm, working.record.alarm
                nearer = nearer or (alarm is not None and (before is None or alarm < before))
                self._store_record(working, alarm)
        return nearer

    def stored(self) -> list[Stored]:
        """The records as `store` left them."""
        return [Stored(w.ik, w.record, w.record.alarm) for w in self._working.values()]

    def _store_record(self, working: Working, alarm: int | None) -> None:
        key, record = working.ik, working.record
        row = record_row(record)
        if working.stored_as != key:
            if working.stored_as is not None:
                self._execute(sql("delete_instance"), (working.stored_as,))
            head = (key, self._nk, record.instance, alarm, record.purge_at)
            self._execute(sql("insert_instance"), (*head, *row))
        elif (alarm, record.purge_at) == (working.alarm, working.purge_at):
            self._execute(sql("update_instance"), (*row, key))
        else:
            self._execute(sql("reschedule_instance"), (alarm, record.purge_at, *row, key))

    def _new_key(self) -> int:
        if self._last_key is None:
            row = self._execute(sql("find_last_key")).fetchone()
            self._last_key = 0 if row is None else int(row[0])
        self._last_key += 1
        return self._last_key

    # Receipts.

    def receipt(self, record: Record, id: str) -> Receipt | None:
        working = self._working[record.instance]
        if id not in working.known:
            self._write()
            self._load_receipts({record.instance: [id]})
        return working.known[id]

    def remember(self, record: Record, id: str) -> None:
        working = self._working[record.instance]
        if id in working.settled:
            self._pending.write_receipts(self._working.values())
        self._pending.remember(working.ik, id, record.segment)
        if id in working.known:
            working.known[id] = Receipt(id, 0, 0, segment=record.segment)

    # Items.

    def accept(self, record: Record, new: NewItem, at: int, rank: int, seq: int, position: int) -> None:
        working, id = self._working[record.instance], new.id
        if id in working.settled:
            self._pending.write_receipts(self._working.values())
        self._pending.accept(working.ik, new, at, rank, seq, position, record.segment)
        if new.lane is not None:
            working.raise_lane(new.lane, rank)
        if id is not None and id in working.known:
            working.known[id] = Receipt(id, seq, position, new.due, rank, record.segment)

    def settle(self, record: Record, item: Item, settlement: Settlement, expires_at: int) -> None:
        working = self._working[record.instance]
        if not working.is_stored(item):
            self._write_items()
        working.drop(item)
        id = item.id
        if id is None:
            return
        working.settled.add(id)
        self._pending.settle_receipt(working.ik, id, settlement, expires_at)
        known = working.known.get(id)
        if known is not None:
            working.known[id] = structs.replace(known, settlement=settlement, expires_at=expires_at)

    def move(self, record: Record, item: Item, moved: Item) -> None:
        working = self._working[record.instance]
        if not working.is_stored(item):
            self._write_items()
        working.moved.add(item.seq)
        self._pending.move_item(working.ik, item, moved)
        id = item.id
        if id is None or item.due == moved.due:
            return
        self._pending.move_receipt(working.ik, id, moved.due)
        known = working.known.get(id)
        if known is not None:
            working.known[id] = structs.replace(known, due=moved.due)

    def find_item(self, record: Record, due: int, rank: int, seq: int) -> Item | None:
        working = self._working[record.instance]
        if working.unwritten:
            self._write_items()
        if seq in working.gone:
            return None
        found = items_of(self._execute(sql("find_item"), (working.ik, due, rank, seq)))
        return found[0] if found else None

    def oldest(self, record: Record) -> Item | None:
        working = self._working[record.instance]
        if working.moved:
            self._write_items()
        while True:
            away = json_array([*record.taken, *working.gone])
            found = items_of(self._execute(sql("find_oldest_item"), (working.ik, away)))
            if found or not working.unwritten:
                return found[0] if found else None
            self._write_items()

    def lane_rank(self, record: Record, lane: str) -> int | None:
        working = self._working[record.instance]
        if lane not in working.lane_ranks and not working.new:
            self._write_items()
            self._load_lane_ranks([(record.instance, lane)])
        return working.lane_ranks.get(lane)

    def take(self, record: Record, now: int, limit: int) -> list[Item]:
        working = self._working[record.instance]
        away = self._away(working, record.taken)
        items = items_of(self._execute(sql("take_waiting_items"), (working.ik, now, away, limit)))
        if len(items) < limit:
            items += items_of(self._execute(sql("take_ready_items"), (working.ik, away, limit - len(items))))
        return items

    def item_due(self, record: Record, after: int) -> int | None:
        working = self._working[record.instance]
        row = self._execute(sql("find_item_due"), (working.ik, after, self._away(working))).fetchone()
        return None if row is None else int(row[0])

    def _away(self, working: Working, taken: Sequence[int] = ()) -> str:
        """Make the items of an instance fit for a query: which of the stored ones it is to leave out."""
        if working.unwritten:
            self._write_items()
        return json_array([*taken, *working.gone])

    # Segments.

    def retire(self, record: Record, segment: int, settlement: Settlement, expires_at: int) -> int:
        return self._empty(record, (0, segment), (), settlement, expires_at)

    def clear(self, record: Record, segment: int, expires_at: int) -> int:
        return self._empty(record, (segment, NEVER), record.taken, "cleared", expires_at)

    def _empty(
        self, record: Record, segments: tuple[int, int], taken: Sequence[int], settlement: Settlement, expires_at: int
    ) -> int:
        """Delete the items of some segments but those that are taken, settle their receipts; how many items went."""
        self._write()
        working = self._working[record.instance]
        key, away, (first, last) = working.ik, json_array(taken), segments
        end = (settlement, expires_at, self._nk, key)
        self._execute(sql("settle_batched_receipts"), (*end, first, last, away))
        if first <= 0 <= last:
            self._execute(sql("settle_loose_receipts"), (*end, away))
        count = self._execute(sql("delete_batched_items"), (key, first, last, away)).rowcount
        if first <= 0 <= last:
            count += self._execute(sql("delete_loose_items"), (key, away)).rowcount
        working.settle_known(lambda r: first <= r.segment <= last and r.seq not in taken, settlement, expires_at)
        working.lane_ranks, working.new = {}, False
        return count

    # Dead letters: few, so each is written at once.

    def letter(self, record: Record, id: str) -> DeadLetter | None:
        found = letters_of(self._execute(sql("find_letter"), (self._working[record.instance].ik, id)))
        return found[0] if found else None

    def keep_letter(self, record: Record, letter: DeadLetter) -> None:
        self._execute(sql("put_letter"), letter_row(self._nk, self._working[record.instance].ik, letter))

    def drop_letter(self, record: Record, id: str) -> bool:
        return self._execute(sql("delete_letter"), (self._working[record.instance].ik, id)).rowcount > 0

    # Writing.

    def _write_items(self) -> None:
        self._pending.write_items(self._working.values())

    def _write(self) -> None:
        self._pending.write_items(self._working.values())
        self._pending.write_receipts(self._working.values())


def _working_of(row: Row) -> Working:
    return Working(row[24], record_of(row), row[25], stored=True)
