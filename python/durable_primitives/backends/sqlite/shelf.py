"""The rows as `apply` sees them, inside one transaction (`durable_primitives.kernel.apply.Shelf` says what each means).

What a batch will look at is read at its start in a few queries.  Writes are gathered in `Working` and leave in few
statements, at the end or before a query that must see them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from durable_primitives.backends.sqlite.rows import (
    Row,
    items_of,
    json_array,
    letter_row,
    letters_of,
    record_of,
    record_row,
)
from durable_primitives.backends.sqlite.statements import insert_rows, sql
from durable_primitives.backends.sqlite.working import Working
from durable_primitives.errors import StorageCorruptedError
from durable_primitives.kernel.record import NEVER, DeadLetter, Item, Receipt, Record, Settlement
from durable_primitives.kernel.transition import ClaimRequest, NewItem, Transition


class SQLiteShelf:
    """One transaction's view of a namespace.  Make it after BEGIN, call `store` before COMMIT."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._namespace = namespace
        self._working: dict[str, Working] = {}
        self._last_key: int | None = None

    # Reading ahead.

    def load(self, transitions: Sequence[Transition]) -> None:
        """Read the records of the instances that a batch names, and the receipts that it may meet."""
        self.load_records({transition.instance for transition in transitions})
        receipts: list[tuple[int, str]] = []
        lanes: set[tuple[int, str]] = set()
        for t in transitions:
            working = self._working.get(t.instance)
            if working is None:
                continue
            for new in t.append:
                if not new.fresh and new.id is not None:
                    receipts.append((working.ik, new.id))
                if new.rank and new.lane is not None:
                    lanes.add((working.ik, new.lane))
            if t.remember or t.cancel:
                receipts += [(working.ik, id) for id in (*t.remember, *t.cancel)]
        if receipts:
            self._load_receipts(receipts)
        if lanes:
            self._load_lane_ranks(lanes)

    def load_records(self, instances: Iterable[str]) -> None:
        """Read the records that exist."""
        for row in self._execute(sql("load_instances"), (self._namespace, json_array(instances))):
            self._working[row[0]] = _working_of(row)

    def _load_receipts(self, wanted: Sequence[tuple[int, str]]) -> None:
        by_key = {working.ik: working for working in self._working.values()}
        for ik, id in wanted:
            by_key[ik].known[id] = None
        for ik, *row in self._execute(sql("load_receipts"), (json_array(wanted),)):
            by_key[ik].known[row[0]] = Receipt(*row)

    def _load_lane_ranks(self, wanted: Iterable[tuple[int, str]]) -> None:
        by_key = {working.ik: working for working in self._working.values()}
        for ik, lane, rank in self._execute(sql("load_lane_ranks"), (json_array(wanted),)):
            by_key[ik].lane_ranks[lane] = rank

    # Records.

    def record(self, instance: str) -> Record | None:
        working = self._working.get(instance)
        return None if working is None else working.record

    def add_record(self, record: Record) -> None:
        self._working[record.instance] = Working(self._new_key(), record, stored=False)

    def erase(self, record: Record) -> None:
        working = self._working[record.instance]
        if not working.bare:
            key = (working.ik,)
            self.flush()
            for name in ("delete_receipts_of_items", "delete_live_receipts", "delete_all_items", "delete_all_letters"):
                self._execute(sql(name), key)
        working.forget(self._new_key())

    def touch(self, instance: str) -> None:
        """The record was changed: `store` will write it."""
        self._working[instance].touched = True

    def due_records(self, request: ClaimRequest) -> list[Record]:
        """What a worker may claim, the earliest first, the changes of this transaction included."""
        now = request.at
        due = [w for w in self._working.values() if (alarm := w.record.alarm) is not None and alarm <= now]
        # Of the stored ones, those in `_working` may no longer be what they were: as many more are read.
        limit = request.limit + len(self._working)
        for row in self._execute(sql("load_due_instances"), (self._namespace, now, limit)):
            if row[0] not in self._working:
                due.append(_working_of(row))
        due.sort(key=lambda w: (w.record.alarm or 0, w.ik))
        chosen = due[: request.limit]
        self._working.update((w.record.instance, w) for w in chosen)
        return [w.record for w in chosen]

    def store(self) -> bool:
        """Write everything; returns whether an alarm came nearer than it was before the transaction."""
        self.flush()
        nearer = False
        for working in self._working.values():
            if not working.touched:
                continue
            alarm = working.record.alarm
            if alarm is not None and (working.alarm is None or alarm < working.alarm):
                nearer = True
            self._store_record(working, alarm)
        return nearer

    def _store_record(self, working: Working, alarm: int | None) -> None:
        key, record = working.ik, working.record
        row = record_row(record)
        if working.stored_as != key:
            if working.stored_as is not None:
                self._execute(sql("delete_instance"), (working.stored_as,))
            head = (key, self._namespace, record.instance, alarm, record.purge_at)
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

    # Items.

    def accept(self, record: Record, new: NewItem, at: int, rank: int, seq: int, position: int) -> None:
        self._working[record.instance].accept(new, at, rank, seq, position)

    def settle(self, record: Record, item: Item, settlement: Settlement, expires_at: int) -> None:
        self._working[record.instance].settle(item, settlement, expires_at)

    def move(self, record: Record, item: Item, moved: Item) -> None:
        self._working[record.instance].move(item, moved)

    def find_item(self, record: Record, due: int, rank: int, seq: int) -> Item | None:
        self.flush_items()
        found = items_of(self._execute(sql("find_item"), (self._working[record.instance].ik, due, rank, seq)))
        return found[0] if found else None

    def lane_rank(self, record: Record, lane: str) -> int | None:
        working = self._working[record.instance]
        if lane not in working.lane_ranks and not working.bare:
            self.flush_items()
            self._load_lane_ranks([(working.ik, lane)])
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
        if working.arrivals or working.moved:
            self.flush_items()
        return json_array([*taken, *working.gone])

    # Segments.

    def retire(self, record: Record, segment: int, settlement: Settlement, expires_at: int) -> int:
        return self._empty(self._working[record.instance], (0, segment), (), settlement, expires_at)

    def clear(self, record: Record, segment: int, expires_at: int) -> int:
        return self._empty(self._working[record.instance], (segment, NEVER), record.taken, "cleared", expires_at)

    def _empty(
        self,
        working: Working,
        segments: tuple[int, int],
        taken: Sequence[int],
        settlement: Settlement,
        expires_at: int,
    ) -> int:
        """Delete the items of some segments but those that are taken, and settle their receipts; how many items."""
        self.flush()
        (first, last), key, away = segments, working.ik, json_array(taken)
        ids = [row[0] for row in self._execute(sql("list_batched_receipts"), (key, first, last, away))]
        count = self._execute(sql("delete_batched_items"), (key, first, last, away)).rowcount
        if first <= 0 <= last:
            ids += [row[0] for row in self._execute(sql("list_loose_receipts"), (key, away))]
            count += self._execute(sql("delete_loose_items"), (key, away)).rowcount
        for id in ids:
            working.settle_receipt(id, settlement, expires_at)
        working.lane_ranks = {}
        return count

    # Receipts.

    def receipt(self, record: Record, id: str) -> Receipt | None:
        working = self._working[record.instance]
        if id not in working.known:
            self._flush_receipts()
            working.known[id] = None
            if not working.bare:
                self._load_receipts([(working.ik, id)])
        return working.known[id]

    def remember(self, record: Record, id: str) -> None:
        self._working[record.instance].remember(id)

    # Dead letters: few, so each is written at once.

    def letter(self, record: Record, id: str) -> DeadLetter | None:
        found = letters_of(self._execute(sql("find_letters"), (self._working[record.instance].ik, json_array([id]))))
        return found[0] if found else None

    def keep_letter(self, record: Record, letter: DeadLetter) -> None:
        working = self._working[record.instance]
        working.bare = False
        self._execute(sql("put_letter"), letter_row(working.ik, letter))

    def drop_letter(self, record: Record, id: str) -> bool:
        return self._execute(sql("delete_letter"), (self._working[record.instance].ik, id)).rowcount > 0

    # Writing.

    def flush(self) -> None:
        """Write all items and receipts."""
        self.flush_items()
        self._flush_receipts()

    def flush_items(self) -> None:
        """Write all items, and the receipts that came with them."""
        self._flush_arrivals()
        runs: list[tuple[int, int, int, int, int]] = []
        moves: list[tuple[object, ...]] = []
        gone = 0
        for working in self._working.values():
            if working.gone:
                gone += len(working.gone)
                runs += working.gone_runs()
                working.gone = {}
            if working.moved:
                moves += [_move(working.ik, place, item) for place, item in working.moved.values()]
                working.moved = {}
        if runs:
            self._write_items("delete_items", runs, gone)
        if moves:
            self._write_items("update_item", moves, len(moves))

    def _flush_arrivals(self) -> None:
        ready: list[tuple[object, ...]] = []
        plain: list[tuple[object, ...]] = []
        items: list[tuple[object, ...]] = []
        receipts: list[tuple[object, ...]] = []
        for working in self._working.values():
            ik = working.ik
            for new, at, rank, seq, position, segment in working.arrivals:
                id, lane, due = new.id, new.lane, new.due
                if lane is None and not (due or rank or segment) and new.blocks:
                    ready.append((ik, seq, id, new.payload, at))
                else:
                    items.append((ik, seq, id, new.payload, at, lane, due, rank, segment, int(new.blocks)))
                if id is None:
                    continue
                if due or rank or segment:
                    receipts.append((ik, id, seq, position, due, rank, segment))
                else:
                    plain.append((id, ik, seq, position))
            if working.arrivals:
                working.arrivals, working.bare = [], False
        insert_rows(self._connection, "insert_ready_items", ready)
        insert_rows(self._connection, "insert_items", items)
        insert_rows(self._connection, "insert_receipts", plain)
        insert_rows(self._connection, "put_receipts", receipts)

    def _write_items(self, name: str, rows: Iterable[tuple[object, ...]], expected: int) -> None:
        found = self._connection.executemany(sql(name), rows).rowcount
        if found != expected:
            raise StorageCorruptedError(
                f"{expected - found} of {expected} items that a worker had in hand are not in the store",
                backend="sqlite",
                outcome="not_applied",
            )

    def _flush_receipts(self) -> None:
        """Write what became of receipts, and those that have no item."""
        self._flush_arrivals()
        for working in self._working.values():
            ik = working.ik
            loose = [(ik, id, 0, 0, 0, 0, segment) for id, segment in working.loose]
            insert_rows(self._connection, "put_receipts", loose)
            for (settlement, expires_at), ids in working.settled.items():
                self._execute(sql("settle_receipts"), (settlement, expires_at, ik, json_array(ids)))
            for id, due in working.moved_receipts.items():
                self._execute(sql("move_receipt"), (due, ik, id))
            if working.loose:
                working.loose, working.bare = [], False
            working.settled, working.moved_receipts = {}, {}


def _working_of(row: Row) -> Working:
    """A stored record, from its columns, its key and its alarm."""
    return Working(row[-2], record_of(row), row[-1], stored=True)


def _move(ik: int, place: tuple[int, int], item: Item) -> tuple[object, ...]:
    """The parameters of ``update_item``."""
    due, rank = place
    return (item.due, item.attempt, item.delivery, item.error, int(item.blocks), ik, due, rank, item.seq)
