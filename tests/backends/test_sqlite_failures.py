"""A write that fails says what became of it, changes nothing by halves, and leaves the backend fit for the next one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from durable_primitives.backends.sqlite import SQLiteBackend
from durable_primitives.backends.sqlite.failures import storage_error
from durable_primitives.errors import (
    BackendUnavailableError,
    Outcome,
    StorageBusyError,
    StorageCorruptedError,
    StorageError,
    StorageFullError,
    StorageNotRecognizedError,
    StorageReadOnlyError,
)
from durable_primitives.kernel.transition import ClaimRequest, Removal, Transition

from .sqlite_store import QUEUE, append, change, enqueue, opened, stored_ids

pytestmark = pytest.mark.usefixtures("sqlite_writer")

BIG = b"x" * 50_000


async def limit_pages(backend: SQLiteBackend, pages: int) -> None:
    """A disk that is full, as far as SQLite can tell."""
    assert backend._writer is not None
    await backend._writer.run(lambda w: w.pragma(f"max_page_count = {pages}"))


async def live_items(backend: SQLiteBackend) -> int:
    """What the record says of its items."""
    record = (await backend.load(QUEUE)).record
    return 0 if record is None else record.count


async def test_full_disk_refuses_the_batch_and_the_next_one_goes_on(tmp_path: Path):
    async with opened(tmp_path / "app.db") as backend:
        await enqueue(backend, "a")
        await limit_pages(backend, 40)
        batch = [append("b"), *(append(f"big-{n}", payload=BIG) for n in range(10))]

        with pytest.raises(StorageFullError, match="cannot grow") as caught:
            await backend.commit(batch)
        assert caught.value.outcome == "not_applied"
        assert await stored_ids(backend) == ["a"]
        await enqueue(backend, "c")

        await limit_pages(backend, 1_000_000)
        outcomes, _ = await backend.commit(batch)
        assert [outcome.accepted[0].seq for outcome in outcomes] == list(range(3, 14))
        assert len(await stored_ids(backend)) == await live_items(backend) == 13


def test_failing_disk_leaves_the_outcome_open_and_the_truth_is_read_again(tmp_path: Path):
    """The process may write 1 MB to each file: SQLite sees a disk that fails, in the middle of a commit."""
    result = subprocess.run(
        [sys.executable, Path(__file__).with_name("failing_disk.py"), tmp_path / "app.db"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["BackendUnavailableError unknown", "['a']", "['a', 'b']"]


async def test_item_in_hand_that_is_gone_stops_its_batch(tmp_path: Path):
    """A removal that removes nothing is a defect, and is not counted as one."""
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await enqueue(backend, "a")
        _, (claim,) = await backend.commit([], ClaimRequest(owner="me", at=1, lease_ms=60_000, limit=1, take=1))
        (item,) = claim.items
        change(path, "DELETE FROM durable_item")
        with pytest.raises(StorageCorruptedError, match="that a worker had in hand"):
            await backend.commit([Transition(instance=QUEUE, at=1, remove=(Removal(item, "done", 9),))])

        assert await live_items(backend) == 1


async def test_defect_in_a_batch_leaves_nothing_of_it(tmp_path: Path):
    """What was changed in memory before the error must not be taken for what is stored."""
    async with opened(tmp_path / "app.db") as backend:
        await enqueue(backend, "a")
        with pytest.raises(UnicodeEncodeError):
            await enqueue(backend, "b", "lone surrogate \ud800")

        assert (await enqueue(backend, "c"))[0].accepted[0].seq == 2
        assert await stored_ids(backend) == ["a", "c"]


@pytest.mark.parametrize("put_another_in_its_place", [False, True])
async def test_file_that_is_gone_takes_no_writes(put_another_in_its_place: bool, tmp_path: Path):
    """What would be written to it could be found by nobody."""
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await enqueue(backend, "a")
        path.rename(tmp_path / "gone.db")
        if put_another_in_its_place:
            change(path, "CREATE TABLE t (x)")
        with pytest.raises(BackendUnavailableError, match="deleted or replaced") as caught:
            await enqueue(backend, "b")

        assert caught.value.outcome == "not_applied"


async def test_damaged_file_is_called_so(tmp_path: Path):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await backend.commit([append(f"event-{n}", payload=BIG) for n in range(50)])
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE")
    scramble(path)

    with pytest.raises(StorageCorruptedError, match="is damaged"):
        async with opened(path) as backend:
            await backend.items(QUEUE, 0, 0, 100)


def scramble(path: Path) -> None:
    """All pages but the first few, which hold the schema."""
    with path.open("r+b") as file:
        file.seek(30 * 4096)
        file.write(b"\xff" * (path.stat().st_size - 30 * 4096))


@pytest.mark.parametrize(
    ("code", "committing", "kind", "outcome"),
    [
        (sqlite3.SQLITE_BUSY, False, StorageBusyError, "not_applied"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, False, StorageBusyError, "not_applied"),
        (sqlite3.SQLITE_LOCKED, False, StorageBusyError, "not_applied"),
        (sqlite3.SQLITE_FULL, False, StorageFullError, "not_applied"),
        (sqlite3.SQLITE_FULL, True, StorageFullError, "not_applied"),
        (sqlite3.SQLITE_READONLY_DBMOVED, False, StorageReadOnlyError, "not_applied"),
        (sqlite3.SQLITE_CANTOPEN, False, BackendUnavailableError, "not_applied"),
        (sqlite3.SQLITE_IOERR_WRITE, False, BackendUnavailableError, "not_applied"),
        (sqlite3.SQLITE_IOERR_FSYNC, True, BackendUnavailableError, "unknown"),
        (sqlite3.SQLITE_CORRUPT, True, StorageCorruptedError, "unknown"),
        (sqlite3.SQLITE_NOTADB, False, StorageNotRecognizedError, "not_applied"),
        (sqlite3.SQLITE_CONSTRAINT_CHECK, False, StorageError, "not_applied"),
    ],
)
def test_every_cause_has_its_class(code: int, committing: bool, kind: type[StorageError], outcome: Outcome):
    error = sqlite3.OperationalError("what SQLite said")
    error.sqlite_errorcode = code

    failure = storage_error(error, Path("app.db"), committing=committing)

    assert (type(failure), failure.outcome, failure.backend) == (kind, outcome, "sqlite")
    assert "app.db" in str(failure)
    assert "what SQLite said" in str(failure)


@pytest.mark.parametrize("column", ["dues", "taken", "cancels"])
async def test_a_record_whose_columns_cannot_be_read_is_damage(tmp_path: Path, column: str):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await enqueue(backend, "a")
    change(path, f"UPDATE durable_instance SET {column} = '0'")

    async with opened(path) as backend:
        with pytest.raises(StorageCorruptedError, match="is damaged"):
            await backend.load(QUEUE)
        with pytest.raises(StorageCorruptedError):
            await enqueue(backend, "b")


def test_an_error_whose_text_is_damaged_too_is_damage(tmp_path: Path):
    error = UnicodeDecodeError("utf-8", b"\x80", 0, 1, "invalid start byte")

    assert isinstance(storage_error(error, tmp_path), StorageCorruptedError)
