"""What can be wrong with a path or a file is said when the backend is opened, in terms of what to do about it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from durable_primitives.backends.sqlite import SQLiteBackend, connection, writer
from durable_primitives.backends.sqlite.schema import APPLICATION_ID
from durable_primitives.backends.sqlite.turn import Turn
from durable_primitives.errors import (
    BackendUnavailableError,
    DefinitionError,
    StorageBusyError,
    StorageError,
    StorageNotRecognizedError,
    StorageReadOnlyError,
    StorageSchemaTooNewError,
)
from durable_primitives.spi import open_backend

from .sqlite_store import change, enqueue, look, opened, stored_ids

pytestmark = pytest.mark.usefixtures("sqlite_writer")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def no_folder(folder: Path) -> Path:
    return folder / "missing" / "app.db"


def a_folder(folder: Path) -> Path:
    return folder


def a_text_file(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_text("this is not a database, and long enough to be looked at as one\n" * 20)
    return path


def tables_of_somebody_else(folder: Path) -> Path:
    path = folder / "app.db"
    change(path, "CREATE TABLE durable_item (whatever)")
    return path


def a_newer_store(folder: Path) -> Path:
    path = folder / "app.db"
    change(
        path,
        "CREATE TABLE durable_meta (name TEXT PRIMARY KEY, value INTEGER)",
        "INSERT INTO durable_meta VALUES ('schema_version', 99)",
    )
    return path


def a_file_format_that_sqlite_only_reads(folder: Path) -> Path:
    """The write version in the header says so; permissions would not stop a superuser."""
    path = folder / "app.db"
    change(path, "CREATE TABLE mine (x)")
    with path.open("r+b") as file:
        file.seek(18)
        file.write(b"\x03")
    return path


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (no_folder, BackendUnavailableError, "there is no folder"),
        (a_folder, BackendUnavailableError, "is a folder"),
        (a_text_file, StorageNotRecognizedError, "is not an SQLite database"),
        (tables_of_somebody_else, StorageNotRecognizedError, "called like ours"),
        (a_newer_store, StorageSchemaTooNewError, "schema version 99"),
        (a_file_format_that_sqlite_only_reads, StorageReadOnlyError, "cannot be written"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_changed(
    make: Callable[[Path], Path], error: type[StorageError], says: str, tmp_path: Path
):
    path = make(tmp_path)
    before = path.read_bytes() if path.is_file() else None
    backend = SQLiteBackend(path)

    with pytest.raises(error, match=says) as caught:
        await backend.open("tests")
    await backend.close()

    assert (caught.value.backend, caught.value.outcome) == ("sqlite", "not_applied")
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not concern a superuser")
async def test_folder_that_cannot_be_written_is_named(tmp_path: Path):
    folder = tmp_path / "frozen"
    folder.mkdir(mode=0o500)

    with pytest.raises(StorageReadOnlyError, match="frozen cannot be written"):
        await SQLiteBackend(folder / "app.db").open("tests")


async def test_locked_database_is_waited_for_and_then_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageBusyError, match="is locked") as caught:
                await enqueue(backend, "a")
            other.execute("ROLLBACK")

        assert caught.value.outcome == "not_applied"
        assert (await enqueue(backend, "a"))[0].verdict == "applied"


async def test_commit_that_waits_for_a_lock_stops_nobody(tmp_path: Path):
    """The interpreter goes on meanwhile: here it is what gives the lock back."""
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.ensure_future(enqueue(backend, "a"))
            await someone_has_the_turn(path)
            other.execute("ROLLBACK")

        assert (await waiting)[0].verdict == "applied"


async def someone_has_the_turn(path: Path) -> None:
    turn = Turn(path, timeout=0)
    with suppress(StorageBusyError):
        while True:
            with turn:
                pass
            await asyncio.sleep(0)
    turn.close()


async def test_turn_that_does_not_come_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "BUSY_SECONDS", 0.05)
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        other = Turn(path, timeout=0)
        with other, pytest.raises(StorageBusyError, match="another process") as caught:
            await enqueue(backend, "a")
        other.close()

        assert caught.value.outcome == "not_applied"
        assert (await enqueue(backend, "a"))[0].verdict == "applied"


async def test_sqlite_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))

    with pytest.raises(BackendUnavailableError, match=r"needs 3\.38 or later"):
        await SQLiteBackend(tmp_path / "app.db").open("tests")

    assert names(tmp_path) == []


async def test_our_own_file_is_marked(tmp_path: Path):
    async with opened(tmp_path / "app.db"):
        pass

    assert look(tmp_path / "app.db", "PRAGMA application_id") == [(APPLICATION_ID,)]


async def test_database_of_an_application_is_shared_with_it(tmp_path: Path):
    path = tmp_path / "app.db"
    change(path, "PRAGMA application_id = 4711", "CREATE TABLE item (name)", "INSERT INTO item VALUES ('mine')")
    async with opened(path) as backend:
        await enqueue(backend, "a")
        change(path, "INSERT INTO item VALUES ('also mine')")

        assert await stored_ids(backend) == ["a"]
    assert look(path, "SELECT name FROM item") == [("mine",), ("also mine",)]
    assert look(path, "PRAGMA application_id") == [(4711,)]


async def test_links_lead_to_one_store(tmp_path: Path):
    path, link = tmp_path / "app.db", tmp_path / "link.db"
    async with opened(path) as backend:
        await enqueue(backend, "a")
        link.symlink_to(path)
        async with opened(link) as other:
            assert await stored_ids(other) == ["a"]

    assert not (tmp_path / "link.db-lock").exists()


async def test_closed_backend_says_how_to_open_it(tmp_path: Path):
    backend = SQLiteBackend(tmp_path / "app.db")
    with pytest.raises(BackendUnavailableError, match="is not open; await open"):
        await enqueue(backend, "a")
    await backend.open("tests")
    with pytest.raises(StorageError, match="open already"):
        await backend.open("tests")
    await backend.close()
    with pytest.raises(BackendUnavailableError, match="is not open"):
        backend.renew([], 0)
    with pytest.raises(BackendUnavailableError, match="is not open"):
        await backend.wait(0)


async def test_backend_can_be_opened_again(tmp_path: Path):
    backend = SQLiteBackend(tmp_path / "app.db")
    for name in ("a", "b"):
        await backend.open("tests")
        await enqueue(backend, name)
        await backend.close()
    await backend.open("tests")

    assert await stored_ids(backend) == ["a", "b"]
    await backend.close()


async def test_closing_leaves_one_whole_file(tmp_path: Path):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await enqueue(backend, "a")

    assert names(tmp_path) == ["app.db", "app.db-lock"]


async def test_fork_is_noticed_before_the_file_is_touched(tmp_path: Path, require: Callable[[str, object], None]):
    require("os.fork", hasattr(os, "fork"))
    async with opened(tmp_path / "app.db") as backend:
        assert what_a_child_is_told(backend) == "used by its child"
        assert (await enqueue(backend, "a"))[0].verdict == "applied"


def what_a_child_is_told(backend: SQLiteBackend) -> str:
    child = os.fork()
    if child == 0:
        try:
            backend.renew([], 0)
        except BackendUnavailableError as error:
            os._exit(0 if "used by its child" in str(error) else 1)
        os._exit(2)
    _, status = os.waitpid(child, 0)
    return ("used by its child", "something else", "nothing")[os.waitstatus_to_exitcode(status)]


# URLs and options.


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///app.db", "app.db"),
        ("sqlite:///data/app.db", "data/app.db"),
        ("sqlite:////var/lib/app.db", "/var/lib/app.db"),
        ("sqlite:////var/my%20data/app.db?durability=normal", "/var/my data/app.db"),
    ],
)
def test_url_names_a_file(url: str, path: str):
    backend = SQLiteBackend.from_url(url)

    assert backend.url == f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://app.db", "three or four slashes"),
        ("sqlite:app.db", "three or four slashes"),
        ("sqlite:///", "path of a file"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///app.db?durabilty=normal", "did you mean 'durability'"),
        ("sqlite:///app.db?durability=none", "'full' or 'normal'"),
    ],
)
def test_url_that_names_no_file_is_refused(url: str, says: str):
    with pytest.raises(DefinitionError, match=says):
        SQLiteBackend.from_url(url)


def test_backend_is_found_by_its_scheme(tmp_path: Path):
    assert isinstance(open_backend(f"sqlite:///{tmp_path}/app.db"), SQLiteBackend)


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
async def test_durability_is_what_sqlite_is_told(durability: str, level: int, tmp_path: Path):
    async with opened(tmp_path / "app.db", durability=durability) as backend:
        thread = backend._writer
        assert thread is not None

        assert await thread.run(lambda w: w.pragma("synchronous")) == level


async def test_commit_now_is_not_for_a_disk(tmp_path: Path):
    async with opened(tmp_path / "app.db") as backend:
        with pytest.raises(NotImplementedError, match="await commit"):
            backend.commit_now([])
