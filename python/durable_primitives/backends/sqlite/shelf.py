"""The rows as `apply` sees them, inside one transaction (`durable_primitives.kernel.apply.Shelf` says what each means).

What a batch will look at is read at its start in a few queries.  Writes are gathered in `Working` and leave in few
statements, at the end or before a query that must see them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from durable_primitives.backends.sqlite.rows import (
    item_row,
    items_of,
    json_array,
    letter_row,
    letters_of,
    receipt_row,
    record_of,
    record_row,
)
from durable_primitives.backends.sqlite.statements import insert_rows, sql
from durable_primitives.backends.sqlite.working import UNREAD, Working
from durable_primitives.errors import StorageCorruptedError
from durable_primitives.kernel.record import NEVER, DeadLetter, Item, Receipt, Record
from durable_primitives.kernel.transition import ClaimRequest, Transition


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
            ids = {*t.remember, *t.cancel}
            for new in t.append:
                if new.id is not None and not new.fresh:
                    ids.add(new.id)
                if new.lane is not None and new.rank:
                    lanes.add((working.ik, new.lane))
            for id in ids:
                working.known[id] = None
                receipts.append((working.ik, id))
        if receipts or lanes:
            self._load_receipts(receipts)
            self._load_lane_ranks(lanes)

    def load_records(self, instances: Iterable[str]) -> None:
        """Read the records that exist."""
        for ik, alarm, *row in self._execute(sql("load_instances"), (self._namespace, json_array(instances))):
            self._working[row[0]] = Working(ik, record_of(row), alarm, stored=True)

    def _load_receipts(self, wanted: Iterable[tuple[int, str]]) -> None:
        by_key = {working.ik: working for working in self._working.values()}
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
        for ik, alarm, *row in self._execute(sql("load_due_instances"), (self._namespace, now, limit)):
            if row[0] not in self._working:
                due.append(Working(ik, record_of(row), alarm, stored=True))
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
        row = record_row(working.record)
        if working.stored_as == working.ik:
            self._execute(sql("update_instance"), (alarm, *row, working.ik))
            return
        if working.stored_as is not None:
            self._execute(sql("delete_instance"), (working.stored_as,))
        self._execute(sql("insert_instance"), (working.ik, self._namespace, alarm, *row))

    def _new_key(self) -> int:
        if self._last_key is None:
            row = self._execute(sql("find_last_key")).fetchone()
            self._last_key = 0 if row is None else int(row[0])
        self._last_key += 1
        return self._last_key

    # Items.

    def add_item(self, record: Record, item: Item) -> None:
        self._working[record.instance].add_item(item)

    def drop_item(self, record: Record, item: Item) -> None:
        self._working[record.instance].drop_item(item)

    def find_item(self, record: Record, due: int, rank: int, seq: int) -> Item | None:
        working = self._working[record.instance]
        if working.bare or seq in working.gone or seq in working.fresh or seq in working.moved:
            return working.find_item(due, rank, seq)
        found = items_of(self._execute(sql("find_item"), (working.ik, due, rank, seq)))
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
        if working.fresh or working.moved:
            self.flush_items()
        return json_array([*taken, *working.gone])

    # Segments.

    def retire(self, record: Record, segment: int) -> tuple[int, list[Receipt]]:
        return self._empty(self._working[record.instance], 0, segment, ())

    def clear(self, record: Record, segment: int) -> tuple[int, list[Receipt]]:
        return self._empty(self._working[record.instance], segment, NEVER, record.taken)

    def _empty(self, working: Working, first: int, last: int, taken: Sequence[int]) -> tuple[int, list[Receipt]]:
        """Delete the items of some segments but those that are taken; returns their number and their live receipts."""
        self.flush()
        key, away = working.ik, json_array(taken)
        ids = [row[0] for row in self._execute(sql("list_batched_receipts"), (key, first, last, away))]
        if first <= 0 <= last:
            ids += [row[0] for row in self._execute(sql("list_loose_receipts"), (key, away))]
        count = self._execute(sql("delete_batched_items"), (key, first, last, away)).rowcount
        if first <= 0 <= last:
            count += self._execute(sql("delete_loose_items"), (key, away)).rowcount
        working.lane_ranks = {}
        return count, [Receipt(id, 0, UNREAD) for id in ids]

    # Receipts.

    def receipt(self, record: Record, id: str) -> Receipt | None:
        working = self._working[record.instance]
        kept = working.kept.get(id)
        if kept is not None:
            return kept
        if id in working.known or working.bare:
            return working.known.get(id)
        item = working.dropped.get(id)
        if item is not None:
            return Receipt(id, item.seq, UNREAD, item.due, item.rank, item.segment)
        working.known[id] = None
        self._load_receipts([(working.ik, id)])
        return working.known[id]

    def keep_receipt(self, record: Record, receipt: Receipt) -> None:
        self._working[record.instance].keep_receipt(receipt)

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
        """Write all items."""
        ready: list[object] = []
        others: list[object] = []
        runs: list[tuple[int, int, int, int, int]] = []
        moves: list[tuple[object, ...]] = []
        gone = 0
        for working in self._working.values():
            if working.fresh:
                _sort_out(working, ready, others)
                working.fresh, working.bare = {}, False
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
        insert_rows(self._connection, "insert_ready_items", ready, 5)
        insert_rows(self._connection, "insert_items", others, 13)

    def _write_items(self, name: str, rows: Iterable[tuple[object, ...]], expected: int) -> None:
        found = self._connection.executemany(sql(name), rows).rowcount
        if found != expected:
            raise StorageCorruptedError(
                f"{expected - found} of {expected} items that a worker had in hand are not in the store",
                backend="sqlite",
                outcome="not_applied",
            )

    def _flush_receipts(self) -> None:
        plain: list[object] = []
        others: list[object] = []
        for working in self._working.values():
            ik = working.ik
            for id, receipt in working.kept.items():
                if receipt.due or receipt.rank or receipt.segment or receipt.settlement is not None:
                    others += receipt_row(ik, receipt)
                else:
                    plain += (id, ik, receipt.seq, receipt.position)
            if working.kept:
                working.known.update(working.kept)
                working.kept, working.bare = {}, False
            if working.settled or working.moved_receipts:
                self._flush_unread(working)
        insert_rows(self._connection, "insert_receipts", plain, 4)
        insert_rows(self._connection, "put_receipts", others, 9)

    def _flush_unread(self, working: Working) -> None:
        """Settle and move receipts that were not read."""
        ik = working.ik
        ended: dict[tuple[str, int], list[str]] = {}
        for id, how in working.settled.items():
            ended.setdefault(how, []).append(id)
        for (settlement, expires_at), ids in ended.items():
            self._execute(sql("settle_receipts"), (settlement, expires_at, ik, json_array(ids)))
        for id, due in working.moved_receipts.items():
            self._execute(sql("move_receipt"), (due, ik, id))
        working.settled = {}
        working.moved_receipts = {}


def _sort_out(working: Working, ready: list[object], others: list[object]) -> None:
    """The parameters of the items to insert."""
    ik = working.ik
    for seq, item in working.fresh.items():
        plain = item.lane is None and not (item.due or item.rank or item.segment or item.attempt or item.delivery)
        if plain and item.blocks and item.error is None:
            ready += (ik, seq, item.id, item.payload, item.at)
        else:
            others += item_row(ik, item)


def _move(ik: int, place: tuple[int, int], item: Item) -> tuple[object, ...]:
    """The parameters of ``update_item``."""
    due, rank = place
    return (item.due, item.attempt, item.delivery, item.error, int(item.blocks), ik, due, rank, item.seq)
