"""The records that this process has just written, so that the next transaction need not read them again."""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection
from typing import NamedTuple

from durable_primitives.kernel.record import Record

_MOST_RECORDS = 2000
_LARGEST_DATA_BYTES = 8192


class Stored(NamedTuple):
    """A record as it is stored."""

    ik: int
    record: Record
    alarm: int | None


class RecordCache:
    """Records as of the last commit of one connection.

    They are used only if SQLite says that no other connection has committed since.  A transaction changes them in
    place, so whoever fails to commit one must `clear`.
    """

    def __init__(self) -> None:
        self._records: dict[str, Stored] = {}
        self._version = -1

    def check(self, connection: Connection) -> None:
        """Forget everything if somebody else has written.  To be called inside the transaction."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._records.clear()
            self._version = version

    def get(self, instance: str) -> Stored | None:
        """The record as it is stored, if it is known."""
        return self._records.get(instance)

    def keep(self, stored: Iterable[Stored]) -> None:
        """Remember what a transaction has seen and committed."""
        records = self._records
        for entry in stored:
            if len(entry.record.data) <= _LARGEST_DATA_BYTES:
                records[entry.record.instance] = entry
            else:
                records.pop(entry.record.instance, None)
        if len(records) > _MOST_RECORDS:
            # What comes next is as likely to be old as new: no order of leaving would be better than another.
            records.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._records.clear()
