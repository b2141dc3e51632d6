"""Whose turn it is to write: one connection at a time, among all processes that use the database.

SQLite lets one connection write at a time and makes the others poll for up to 100 ms; here they take turns within a
millisecond or so.  More important: SQLite 3.7.0 to 3.51.2 can lose committed rows when a checkpoint races a commit that
starts the write-ahead log over.  All our commits, with the checkpoints that they run, happen inside a turn, so they
never race.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType

from durable_primitives.backends.sqlite.failures import BACKEND, open_error
from durable_primitives.errors import StorageBusyError

_FIRST_PAUSE_SECONDS = 0.0001
_LONGEST_PAUSE_SECONDS = 0.002


class Turn:
    """A lock on the side file ``<database>-lock``: ``with turn: ...`` waits for it, at most `timeout` seconds.

    The kernel drops it with the process, however that ends.
    """

    def __init__(self, database: Path, timeout: float) -> None:
        self._database, self._timeout = database, timeout
        path = database.with_name(f"{database.name}-lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        except OSError as error:
            raise open_error(error, database) from error

    def __enter__(self) -> None:
        if _try_lock(self._file):
            return
        deadline = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE_SECONDS
        while not _try_lock(self._file):
            if time.monotonic() > deadline:
                raise StorageBusyError(
                    f"another process has been writing to {self._database} for more than {self._timeout:g} s",
                    backend=BACKEND,
                )
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _unlock(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


if sys.platform == "win32":
    # There is no flock here: SQLite's own locks still keep writers apart, and only a checkpoint of one process that
    # races a commit of another is as safe as the SQLite that runs it (3.51.3 or later).
    def _try_lock(file: int) -> bool:
        return True

    def _unlock(file: int) -> None: ...

else:
    import fcntl

    def _try_lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
