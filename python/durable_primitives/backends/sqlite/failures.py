"""From sqlite3's errors to ours: one class per cause that a caller can act on, and what became of the write."""

from __future__ import annotations

import sqlite3
from pathlib import Path

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
from durable_primitives.spi import damage

BACKEND = "sqlite"

_CAUSES: dict[int, tuple[type[StorageError], str]] = {
    sqlite3.SQLITE_BUSY: (StorageBusyError, "the database {path} is locked"),
    sqlite3.SQLITE_LOCKED: (StorageBusyError, "the database {path} is locked"),
    sqlite3.SQLITE_FULL: (StorageFullError, "the database {path} cannot grow"),
    sqlite3.SQLITE_READONLY: (StorageReadOnlyError, "the database {path} cannot be written"),
    sqlite3.SQLITE_CANTOPEN: (BackendUnavailableError, "the database {path} cannot be opened"),
    sqlite3.SQLITE_PERM: (BackendUnavailableError, "the database {path} cannot be opened"),
    sqlite3.SQLITE_IOERR: (BackendUnavailableError, "the disk failed under the database {path}"),
    sqlite3.SQLITE_NOTADB: (StorageNotRecognizedError, "the file {path} is not an SQLite database"),
    sqlite3.SQLITE_CORRUPT: (StorageCorruptedError, "the database {path} is damaged"),
}
ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What `sqlite3` raises.  A damaged schema can end up in the text of its error, which is then no UTF-8."""

_UNCERTAIN = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT}
"""When COMMIT itself fails with one of these, the write may or may not have reached the disk."""


_NO_TEXT = "Could not decode to UTF-8"


def is_unreadable(error: Exception) -> bool:
    """Whether a value is not what we write there, in a file that SQLite can read: a text that is no UTF-8."""
    return isinstance(error, UnicodeDecodeError) or str(error).startswith(_NO_TEXT)


def damaged_instance(instance: str, reason: object) -> StorageCorruptedError:
    """What to raise where the rows of one instance cannot be read, and nothing was changed."""
    return damage.damaged_instance(instance, reason, backend=BACKEND)


def storage_error(error: Exception, path: Path, *, committing: bool = False) -> StorageError:
    """What to raise, with `error` as its cause.

    Args:
        error: What sqlite3 raised.
        path: The database.
        committing: COMMIT was under way, so that a failing disk leaves it open whether the write took effect.
    """
    cause = sqlite3.SQLITE_CORRUPT if is_unreadable(error) else getattr(error, "sqlite_errorcode", 0) & 0xFF
    kind, message = _CAUSES.get(cause, (StorageError, "the database {path} refused the change"))
    outcome: Outcome = "unknown" if committing and cause in _UNCERTAIN else "not_applied"
    return kind(f"{message.format(path=path)} ({error})", backend=BACKEND, outcome=outcome)


def open_error(error: OSError, path: Path) -> StorageError:
    """What to raise when a file beside the database cannot be opened."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return BackendUnavailableError(
            f"there is no folder {path.parent}",
            backend=BACKEND,
            outcome="not_applied",
            help="create it, or correct the path",
        )
    message = f"the folder {path.parent} cannot be written ({error})"
    return StorageReadOnlyError(message, backend=BACKEND, outcome="not_applied")
