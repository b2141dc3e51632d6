"""The tables are as committed, older ones are brought up to date, and no interruption leaves them in between."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from durable_primitives.backends.sqlite import SQLiteBackend, schema
from durable_primitives.errors import StorageError, StorageSchemaTooNewError

from .sqlite_store import change, enqueue, look, opened, stored_ids

SNAPSHOT = Path(__file__).with_name("sqlite_schema.sql")
SECOND = """
CREATE TABLE durable_extra (x INTEGER) STRICT;
-- A trigger holds semicolons; a statement ends where SQLite says.
CREATE TRIGGER durable_extra_check AFTER INSERT ON durable_extra BEGIN SELECT 1; SELECT 2; END;
"""


def versions(path: Path) -> list[tuple[int]]:
    return look(path, "SELECT value FROM durable_meta")


def tables(path: Path) -> set[str]:
    return {name for (name,) in look(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")}


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch):
    """Make this process a release with these migrations after the first ones."""
    first = schema.migrations()
    return lambda *later: monkeypatch.setattr(schema, "migrations", lambda: (*first, *later))


async def test_schema_is_as_committed(tmp_path: Path, assert_snapshot):
    async with opened(tmp_path / "app.db"):
        pass
    rows = look(tmp_path / "app.db", "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")

    assert_snapshot(SNAPSHOT, "\n\n".join(f"{sql};" for (sql,) in rows) + "\n")


async def test_older_store_is_brought_up_to_date(tmp_path: Path, release):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await enqueue(backend, "a")
    before = versions(path)
    release(SECOND)
    async with opened(path) as backend:
        assert await stored_ids(backend) == ["a"]

    assert (before, versions(path)) == ([(1,)], [(2,)])
    assert look(path, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'durable_extra%'") == [(2,)]


async def test_newer_store_is_left_alone(tmp_path: Path, release, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "app.db"
    release(SECOND)
    async with opened(path) as backend:
        await enqueue(backend, "a")
    monkeypatch.undo()

    with pytest.raises(StorageSchemaTooNewError) as caught:
        await SQLiteBackend(path).open("tests")

    assert (caught.value.found, caught.value.supported) == (2, 1)
    assert versions(path) == [(2,)]


async def test_migration_that_is_interrupted_changes_nothing(tmp_path: Path, release):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await enqueue(backend, "a")
    release(SECOND, "CREATE TABLE durable_more (x); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(StorageError, match="no such table") as caught:
        await SQLiteBackend(path).open("tests")

    assert caught.value.outcome == "not_applied"
    assert versions(path) == [(1,)]
    assert not tables(path) & {"durable_extra", "durable_more"}

    release(SECOND)
    async with opened(path) as backend:
        assert await stored_ids(backend) == ["a"]
    assert versions(path) == [(2,)]


async def test_tables_with_names_of_the_same_family_are_no_clash(tmp_path: Path):
    change(tmp_path / "app.db", "CREATE TABLE durable_goods (name)")
    async with opened(tmp_path / "app.db") as backend:
        await enqueue(backend, "a")

    assert "durable_goods" in tables(tmp_path / "app.db")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE durable_instance SET held = 2",
        "UPDATE durable_instance SET count = -1",
        "UPDATE durable_instance SET owner = 'me', alarm = 5, lease_until = 6",
        "UPDATE durable_instance SET purge_at = 5",
        "UPDATE durable_instance SET version = 'one'",
        "UPDATE durable_item SET blocks = NULL",
        "UPDATE durable_item SET attempt = -1",
        "UPDATE durable_receipt SET settlement = 'done'",
        "UPDATE durable_receipt SET settlement = 'lost', expires_at = 5",
        "INSERT INTO durable_item (ik, due, rank, seq, at, payload) SELECT ik, due, rank, seq, 0, '' FROM durable_item",
    ],
)
async def test_store_refuses_illegal_states(statement: str, tmp_path: Path):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await enqueue(backend, "a")

    with pytest.raises(sqlite3.IntegrityError):
        change(path, statement)
