"""The storage of a Durable Object on the sqlite3 of Python: the same SQL and rollbacks, an alarm that a test fires."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class SQLiteStorage:
    """A `durable_primitives_cloudflare.object.storage.ObjectStorage`.  What it holds outlives the object."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA synchronous = OFF")
        self.alarm: int | None = None
        self.alarms: list[int] = []
        """Every time that was ever set."""

    def execute(self, statement: str, *parameters: object) -> Sequence[Sequence[Any]]:
        # As in JavaScript, every number is a double.
        as_doubles = [float(p) if isinstance(p, int) and not isinstance(p, bool) else p for p in parameters]
        assert len(parameters) <= 100, "the platform's limit"
        assert all(abs(p) < 1 << 53 for p in as_doubles if isinstance(p, float)), "JavaScript would round it"
        return self.connection.execute(statement, as_doubles).fetchall()

    def transaction(self, body: Callable[[], T]) -> T:
        alarm = self.alarm
        self.connection.execute("BEGIN")
        try:
            result = body()
        except BaseException:
            self.connection.execute("ROLLBACK")
            self.alarm = alarm
            raise
        self.connection.execute("COMMIT")
        return result

    def set_alarm(self, at: int) -> None:
        self.alarm = at
        self.alarms.append(at)

    def delete_alarm(self) -> None:
        self.alarm = None

    async def get_alarm(self) -> int | None:
        return self.alarm
