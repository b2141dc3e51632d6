"""A database file that went bad: every call of the backend answers, or raises a typed error, and none crashes."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_primitives.backends.sqlite import SQLiteBackend
from durable_primitives.errors import DurablePrimitivesError
from durable_primitives.kernel.transition import (
    Batching,
    Burial,
    ClaimRequest,
    Create,
    Due,
    LeaseRef,
    NewItem,
    Put,
    Transition,
)
from tests.fuzz.damage import damaged

NOW = 1_893_456_000_000
QUEUE, BUFFER, JOB = "queue:orders:0", "buffer:digests:ada", "continuous:job:1"

MORE = Put(status="open", data=b"more")

TRANSITIONS = [
    Transition(
        instance=QUEUE,
        at=NOW,
        create=Create(status="open", data=b"data"),
        append=tuple(NewItem(f"event-{number}", b"payload" * 9, lane=f"lane-{number % 2}") for number in range(5)),
    ),
    Transition(
        instance=QUEUE, at=NOW, bury=(Burial("dead", None, b"payload", 3, '{"type":"E","message":"m"}', 1, NOW * 2),)
    ),
    Transition(
        instance=BUFFER,
        at=NOW,
        create=Create(status="open", segment=1),
        append=tuple(NewItem(f"event-{number}", b"payload", due=1 << 60) for number in range(4)),
        batching=Batching(3, 60_000),
    ),
    Transition(instance=JOB, at=NOW, create=Create(status="scheduled", data=b"data"), dues=(Due("run", "set", NOW),)),
]

CALLS: list[Callable[[SQLiteBackend], Awaitable[Any]]] = [
    *(
        call
        for instance in (QUEUE, BUFFER, JOB)
        for call in (
            lambda backend, instance=instance: backend.load(instance, ["event-1", "new"], ["dead"]),
            lambda backend, instance=instance: backend.items(instance, 0, 0, 100),
            lambda backend, instance=instance: backend.items(instance, 1, 0, 100),
            lambda backend, instance=instance: backend.letters(instance, "", 100),
            lambda backend, instance=instance: backend.tally(instance, NOW),
            lambda backend, instance=instance: backend.commit(
                [Transition(instance=instance, at=NOW, append=(NewItem("new", b"payload", lane="lane-1"),))]
            ),
            lambda backend, instance=instance: backend.commit(
                [Transition(instance=instance, at=NOW, put=MORE, cancel=("event-1",), take=2)]
            ),
        )
    ),
    lambda backend: backend.scan("", "", 100),
    lambda backend: backend.next_due(),
    lambda backend: backend.sweep(NOW * 2, 100),
    lambda backend: backend.commit([], ClaimRequest(owner="me", at=NOW + 1, lease_ms=1000, limit=9, take=3)),
    lambda backend: backend.commit(TRANSITIONS),
    lambda backend: asyncio.to_thread(backend.renew, [LeaseRef(QUEUE, 1)], NOW + 9000),
]


@pytest.fixture(scope="module")
def whole() -> Iterator[Path]:
    """A database with something of everything, closed properly."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "whole.db"

        async def fill() -> None:
            backend = SQLiteBackend(path)
            await backend.open("default")
            await backend.commit(TRANSITIONS)
            await backend.commit([], ClaimRequest(owner="before", at=NOW, lease_ms=1000, limit=1, take=2))
            await backend.close()

        asyncio.run(fill())
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield path


@pytest.fixture(params=["native", "python"], autouse=True)
def _writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, use_sqlite_writer: Any) -> None:
    use_sqlite_writer(monkeypatch, request.param)


def survive(path: Path, calls: list[Callable[[SQLiteBackend], Awaitable[Any]]]) -> None:
    """Open and use the database: whatever goes wrong has a name."""

    async def use() -> None:
        backend = SQLiteBackend(path)
        try:
            await backend.open("default")
        except DurablePrimitivesError:
            return
        try:
            for call in calls:
                try:
                    await call(backend)
                except DurablePrimitivesError:
                    pass
        finally:
            await backend.close()

    asyncio.run(use())


SHARED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings().max_examples // 4
)
some_calls = st.lists(st.sampled_from(range(len(CALLS))), min_size=1, max_size=4)


@SHARED
@given(data=st.data(), chosen=some_calls)
def test_a_file_that_went_bad(whole: Path, data: st.DataObject, chosen: list[int]):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bad.db"
        path.write_bytes(data.draw(damaged(whole.read_bytes()), label="file"))
        survive(path, [CALLS[index] for index in chosen])


COLUMNS = {
    "durable_instance": [
        *("instance", "alarm", "status", "version", "generation", "held", "dues", "linger_ms", "purge_at", "token"),
        *("owner", "lease_until", "deliveries", "taken", "cancels", "sequence", "count", "segment", "segment_count"),
        *("finished", "created_at", "data"),
    ],
    "durable_item": ["due", "rank", "seq", "segment", "at", "attempt", "delivery", "lane", "id", "error", "payload"],
    "durable_receipt": ["id", "seq", "position", "due", "segment", "settlement", "expires_at", "nk"],
    "durable_letter": ["id", "lane", "at", "failed_at", "attempts", "error", "count", "expires_at", "payload"],
}
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, -1, 1 << 60, 2**63 - 1]),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(["[1,2]", "[]", '{"run":1}', '{"run":-1}', "[9223372036854775807]", "{}", "[[", '{"a":"b"}']),
    st.binary(max_size=8),
    st.sampled_from(["CAST(x'ff00fe' AS TEXT)", "CAST(x'c328' AS TEXT)", "zeroblob(100000)"]).map(lambda sql: (sql,)),
)


@SHARED
@given(data=st.data(), chosen=some_calls)
def test_a_column_that_went_bad(whole: Path, data: st.DataObject, chosen: list[int]):
    """As far as the types and CHECKs of the tables let it."""
    table = data.draw(st.sampled_from(sorted(COLUMNS)), label="table")
    column = data.draw(st.sampled_from(COLUMNS[table]), label="column")
    value = data.draw(VALUES, label="value")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bad.db"
        shutil.copy(whole, path)
        with closing(sqlite3.connect(path)) as connection:
            expression, parameters = (value[0], ()) if isinstance(value, tuple) else ("?", (value,))
            try:
                connection.execute(f"UPDATE {table} SET {column} = {expression}", parameters)  # ours, and not a user's
            except sqlite3.IntegrityError:
                connection.rollback()
            connection.commit()
        survive(path, [CALLS[index] for index in chosen])
