"""What a transaction has yet to write: rows of parameters, gathered so that they leave in few statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from durable_primitives.backends.sqlite.failures import BACKEND
from durable_primitives.backends.sqlite.rows import Row, json_array
from durable_primitives.backends.sqlite.statements import insert_rows, sql
from durable_primitives.backends.sqlite.working import Run, Working
from durable_primitives.errors import StorageCorruptedError
from durable_primitives.kernel.record import Item, Settlement
from durable_primitives.kernel.transition import NewItem


class Pending:
    """Items and receipts on their way into the store."""

    def __init__(self, connection: Connection, nk: int) -> None:
        self._connection, self._nk = connection, nk
        self._ready_items: list[Row] = []
        self._other_items: list[Row] = []
        self._item_moves: list[Row] = []
        self._plain_receipts: list[tuple[str, int, int, int]] = []
        self._other_receipts: list[Row] = []
        self._receipt_moves: list[Row] = []
        self._settled: dict[tuple[int, Settlement, int], list[str]] = {}
        """Event ids by `ik`, settlement and expiry."""

    # Gathering.

    def accept(self, ik: int, new: NewItem, at: int, rank: int, seq: int, position: int, segment: int) -> None:
        """An item with its receipt."""
        id, due, lane = new.id, new.due, new.lane
        if lane is None and new.blocks and not (due or rank or segment):
            self._ready_items.append((ik, seq, id, new.payload, at))
        else:
            self._other_items.append((ik, seq, id, new.payload, at, lane, due, rank, segment, int(new.blocks)))
        if id is None:
            return
        if due or rank or segment:
            self._other_receipts.append((ik, id, seq, position, due, rank, segment))
        else:
            self._plain_receipts.append((id, ik, seq, position))

    def remember(self, ik: int, id: str, segment: int) -> None:
        """A receipt without an item."""
        self._other_receipts.append((ik, id, 0, 0, 0, 0, segment))

    def move_item(self, ik: int, item: Item, moved: Item) -> None:
        how = (moved.due, moved.attempt, moved.delivery, moved.error, int(moved.blocks))
        self._item_moves.append((*how, ik, item.due, item.rank, item.seq))

    def move_receipt(self, ik: int, id: str, due: int) -> None:
        self._receipt_moves.append((due, ik, id))

    def settle_receipt(self, ik: int, id: str, settlement: Settlement, expires_at: int) -> None:
        self._settled.setdefault((ik, settlement, expires_at), []).append(id)

    # Writing.

    def write_items(self, instances: Iterable[Working]) -> None:
        """Write all items; those to delete are noted in the instances."""
        runs: list[Run] = []
        gone = 0
        for working in instances:
            working.written, working.moved = working.record.sequence, set()
            if working.gone:
                gone += len(working.gone)
                runs += working.runs()
                working.gone = {}
        self._write_found("move_item", self._item_moves, len(self._item_moves))
        self._write_found("delete_items", runs, gone)
        insert_rows(self._connection, "insert_ready_items", self._ready_items)
        insert_rows(self._connection, "insert_items", self._other_items)
        self._ready_items, self._other_items, self._item_moves = [], [], []

    def _write_found(self, name: str, rows: Sequence[Row], expected: int) -> None:
        """Change items that must be there."""
        if not rows:
            return
        found = self._connection.executemany(sql(name), rows).rowcount
        if found != expected:
            raise StorageCorruptedError(
                f"{expected - found} of {expected} items that a worker had in hand are not in the store",
                backend=BACKEND,
                outcome="not_applied",
            )

    def write_receipts(self, instances: Iterable[Working]) -> None:
        """Write all receipts: what came before what became of it."""
        self._plain_receipts.sort()  # The order of the tree: each finds its place beside the one before.
        insert_rows(self._connection, "insert_receipts", self._plain_receipts)
        insert_rows(self._connection, "insert_other_receipts", self._other_receipts)
        if self._receipt_moves:
            self._connection.executemany(sql("move_receipt"), self._receipt_moves)
        for (ik, settlement, expires_at), ids in self._settled.items():
            self._connection.execute(sql("settle_receipts"), (settlement, expires_at, self._nk, ik, json_array(ids)))
        for working in instances:
            working.settled.clear()
        self._plain_receipts, self._other_receipts, self._receipt_moves, self._settled = [], [], [], {}
