"""The other end: a service that takes deliveries and digests, and the journal of what reached it.

The journal is the demo's evidence.  It lives outside the store that it is evidence about.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["accepted", "delivered", "digest"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
    position    INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('accepted', 'delivered', 'digest')),
    key         TEXT NOT NULL,
    repository  TEXT NOT NULL,
    deliveries  TEXT NOT NULL,                 -- ids, as a JSON array
    times       INTEGER NOT NULL DEFAULT 1,    -- how often it came
    UNIQUE (kind, key, deliveries)             -- a key that comes back with other content is another row
) STRICT
"""

WRITE = """
INSERT INTO journal (kind, key, repository, deliveries) VALUES (?, ?, ?, ?)
ON CONFLICT (kind, key, deliveries) DO UPDATE SET times = times + 1
"""


class Entry(NamedTuple):
    """What came, under which idempotency key.  What comes again under the same key is the same entry."""

    kind: Kind
    key: str
    repository: str
    deliveries: list[str]


class Journal:
    """Everything that happened, in the order in which it happened first.  Durable, and safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(SCHEMA)

    def write(self, entries: Iterable[Entry]) -> None:
        rows = [(kind, key, repository, json.dumps(ids)) for kind, key, repository, ids in entries]
        with self._lock, self._db:
            self._db.executemany(WRITE, rows)

    def by_repository(self, kind: Kind) -> dict[str, list[str]]:
        """The delivery ids of all entries of a kind, per repository, in order."""
        query = "SELECT repository, deliveries FROM journal WHERE kind = ? ORDER BY position"
        found: dict[str, list[str]] = {}
        with self._lock:
            for repository, deliveries in self._db.execute(query, (kind,)):
                found.setdefault(repository, []).extend(json.loads(deliveries))
        return found

    def count(self, kind: Kind) -> tuple[int, int]:
        """How many entries of a kind there are, and how many of them came more than once."""
        query = "SELECT count(*), count(*) FILTER (WHERE times > 1) FROM journal WHERE kind = ?"
        with self._lock:
            entries, repeated = self._db.execute(query, (kind,)).fetchone()
        return entries, repeated

    def close(self) -> None:
        self._db.close()


class Receiver:
    """Stands for an HTTP client: it takes its time to answer, and sends the idempotency key along."""

    def __init__(self, journal: Journal, latency_s: float) -> None:
        self._journal = journal
        self._latency_s = latency_s

    async def post(self, kind: Kind, repository: str, deliveries: list[str], *, idempotency_key: str) -> None:
        await asyncio.sleep(self._latency_s)
        await asyncio.to_thread(self._journal.write, [Entry(kind, idempotency_key, repository, deliveries)])
