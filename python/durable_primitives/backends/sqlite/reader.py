"""What is done in the thread that reads: each call sees one moment of the database."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from durable_primitives.backends.sqlite.connection import open_reader
from durable_primitives.backends.sqlite.failures import ERRORS, damaged_instance, is_unreadable, storage_error
from durable_primitives.backends.sqlite.rows import (
    items_of,
    json_array,
    letters_of,
    receipts_of,
    record_of,
    record_rows,
)
from durable_primitives.backends.sqlite.statements import sql
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally

_HIGHEST = "\U0010ffff"


class Reader:
    """A connection that only looks."""

    def __init__(self, path: Path, namespace: str) -> None:
        self._path = path
        self._connection, self._nk = open_reader(path, namespace)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def load(self, instance: str, receipts: Sequence[str], letters: Sequence[str]) -> Snapshot:
        with self._moment(instance) as connection:
            key, record = self._find(connection, instance)
            if record is None:
                return Snapshot(None)
            found = connection.execute(sql("find_receipts"), (key, json_array(receipts))) if receipts else ()
            buried = connection.execute(sql("find_letters"), (key, json_array(letters))) if letters else ()
            return Snapshot(record, receipts_of(found), {letter.id: letter for letter in letters_of(buried)})

    def items(self, instance: str, segment: int, after: int, limit: int) -> list[Item]:
        with self._moment(instance) as connection:
            key, _ = self._find(connection, instance)
            if segment > 0:
                rows = connection.execute(sql("list_segment_items"), (key, segment, after, limit))
            else:
                rows = connection.execute(sql("list_items"), (key, after, limit))
            return items_of(rows)

    def letters(self, instance: str, after: str, limit: int) -> list[DeadLetter]:
        with self._moment(instance) as connection:
            key, _ = self._find(connection, instance)
            return letters_of(connection.execute(sql("list_letters"), (key, after, limit)))

    def scan(self, prefix: str, after: str, limit: int) -> list[Record]:
        with self._moment() as connection:
            bounds = (self._nk, after, prefix, _after_prefix(prefix), limit)
            return [record_of(row) for row in record_rows(connection, "scan_instances", bounds)]

    def tally(self, instance: str, now: int) -> Tally:
        with self._moment(instance) as connection:
            key, record = self._find(connection, instance)
            if record is None:
                return Tally(0, 0, 0, 0, None)
            parameters = (key, now, json_array(record.taken))
            ready, delayed, retrying, oldest_at = connection.execute(sql("count_items"), parameters).fetchone()
            (dead,) = connection.execute(sql("count_letters"), (key,)).fetchone()
            return Tally(ready, delayed, retrying, dead, oldest_at)

    def next_due(self) -> int | None:
        with self._moment() as connection:
            (alarm,) = connection.execute(sql("find_next_alarm"), (self._nk,)).fetchone()
            return None if alarm is None else int(alarm)

    def _find(self, connection: Connection, instance: str) -> tuple[int | None, Record | None]:
        rows = record_rows(connection, "find_instance", (self._nk, instance))
        return (rows[0][24], record_of(rows[0])) if rows else (None, None)

    @contextmanager
    def _moment(self, instance: str | None = None) -> Generator[Connection]:
        try:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.rollback()
        except ERRORS as error:
            if instance is not None and is_unreadable(error):
                raise damaged_instance(instance, error) from error
            raise storage_error(error, self._path) from error


def _after_prefix(prefix: str) -> str:
    """The first text behind all that start with `prefix`, in the order of code points."""
    if not prefix or prefix[-1] == _HIGHEST:
        return _HIGHEST
    code = ord(prefix[-1]) + 1
    # There is no text between U+D7FF and U+E000: what lies there are surrogates.
    return prefix[:-1] + chr(0xE000 if code == 0xD800 else code)
