"""Connections, and what every one of them must be told."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING, Literal

from durable_primitives.backends.sqlite import native
from durable_primitives.backends.sqlite.failures import BACKEND, ERRORS, storage_error
from durable_primitives.backends.sqlite.schema import check, migrate
from durable_primitives.backends.sqlite.statements import sql
from durable_primitives.backends.sqlite.store import PythonStore, Store
from durable_primitives.errors import BackendUnavailableError, StorageNotRecognizedError

if TYPE_CHECKING:
    from durable_primitives._core._native import SQLiteLibrary

Durability = Literal["full", "normal"]

OLDEST_SQLITE = (3, 38, 0)
BUSY_SECONDS = 5.0
"""How long a writer waits for others before it gives up."""

_SETTINGS = (
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "mmap_size = 0",
    "temp_store = MEMORY",
    "cache_size = -16000",
)
_DURABILITY: dict[Durability, tuple[str, ...]] = {
    # On macOS an ordinary fsync leaves the data in the disk's cache; elsewhere the second and third change nothing.
    "full": ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON"),
    "normal": ("synchronous = NORMAL",),
}
_LOG = (
    # The commit that makes the log so long (in pages: 8 MB) also moves it into the database, in some milliseconds.
    "wal_autocheckpoint = 2000",
    # A reader that stays for long makes it grow; this is what is left of it afterwards.
    "journal_size_limit = 67108864",
)


def open_store(path: Path, namespace: str, durability: Durability) -> Store:
    """A store for one namespace, in Rust where that is possible.

    The database is made, or brought up to date, before this returns.  To be called in a `Turn`.  Raises a
    `StorageError` that says what to do about it; nothing is half-made.
    """
    connection = _connect(path)
    keep = False
    try:
        # Before anything is written: a file that is not for us stays as it is, its journal mode included.
        check(connection, path)
        _use_write_ahead_log(connection, path)
        for setting in (*_DURABILITY[durability], *_LOG):
            connection.execute(f"PRAGMA {setting}")
        migrate(connection, path)
        connection.execute(sql("insert_namespace"), (namespace,))
        key = _namespace_key(connection, namespace)
        library = native.library()
        if library is not None:
            return _open_native(library, path, key, durability)
        keep = True
        return PythonStore(connection, key)
    except ERRORS as error:
        raise storage_error(error, path) from error
    finally:
        if not keep:
            connection.close()


def _open_native(library: SQLiteLibrary, path: Path, key: int, durability: Durability) -> Store:
    from durable_primitives._core._native import SQLiteStore

    store = SQLiteStore(library, path, round(BUSY_SECONDS * 1000), key)
    for setting in (*_SETTINGS, *_DURABILITY[durability], *_LOG):
        store.pragma(setting)
    return store


def open_reader(path: Path, namespace: str) -> tuple[Connection, int]:
    """A connection that can only look, and the key of the namespace, which a writer has made.

    In the write-ahead log readers and the writer do not wait for each other.
    """
    connection = _connect(path)
    try:
        connection.execute("PRAGMA query_only = ON")
        return connection, _namespace_key(connection, namespace)
    except ERRORS as error:
        connection.close()
        raise storage_error(error, path) from error


def _namespace_key(connection: Connection, namespace: str) -> int:
    (key,) = connection.execute(sql("find_namespace"), (namespace,)).fetchone()
    return int(key)


def check_version() -> None:
    """Refuse an SQLite that lacks what we use."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise BackendUnavailableError(
            f"this Python runs SQLite {sqlite3.sqlite_version} and the backend needs 3.38 or later",
            backend=BACKEND,
            outcome="not_applied",
            help="use a Python that is linked with a newer SQLite; python -m sqlite3 --version shows which one it is",
        )


def _connect(path: Path) -> Connection:
    connection: Connection | None = None
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, cached_statements=256)
        for setting in _SETTINGS:
            connection.execute(f"PRAGMA {setting}")
    except ERRORS as error:
        if connection is not None:
            connection.close()
        raise storage_error(error, path) from error
    return connection


def _use_write_ahead_log(connection: Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageNotRecognizedError(
            f"the database {path} cannot keep a write-ahead log (its journal mode stays {mode!r})",
            backend=BACKEND,
            help="put it on a local disk: a log needs shared memory, which network file systems do not have",
        )
