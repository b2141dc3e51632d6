"""What the SQLite tests share: short words for transitions, and a look at the file beside the backend."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from durable_primitives.backends.sqlite import SQLiteBackend
from durable_primitives.kernel.transition import Create, NewItem, Outcome, Transition

QUEUE = "queue:orders:0"


def append(id: str, at: int = 0, instance: str = QUEUE, payload: bytes = b"payload") -> Transition:
    """An event for a queue, which is made if it is not there."""
    item = NewItem(id, payload)
    return Transition(instance=instance, at=at, create=Create(status="open"), append=(item,))


@asynccontextmanager
async def opened(path: Path, namespace: str = "tests", **options: Any) -> AsyncGenerator[SQLiteBackend]:
    """An open backend, closed at the end."""
    backend = SQLiteBackend(path, **options)
    await backend.open(namespace)
    try:
        yield backend
    finally:
        await backend.close()


async def enqueue(backend: SQLiteBackend, *ids: str, instance: str = QUEUE) -> Sequence[Outcome]:
    """Append events in one round trip."""
    outcomes, _ = await backend.commit([append(id, instance=instance) for id in ids])
    return outcomes


async def stored_ids(backend: SQLiteBackend, instance: str = QUEUE) -> list[str | None]:
    """The ids of all events of a queue, in order."""
    return [item.id for item in await backend.items(instance, 0, 0, 1_000_000)]


def look(path: Path, query: str) -> list[Any]:
    """Ask the file itself."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def change(path: Path, *statements: str) -> None:
    """Change the file behind the backend's back."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
