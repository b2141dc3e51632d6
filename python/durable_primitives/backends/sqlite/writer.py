"""What is done in the thread that writes: one transaction for each call, in turn with other processes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from durable_primitives.backends.sqlite.connection import BUSY_SECONDS, Durability, open_store
from durable_primitives.backends.sqlite.failures import BACKEND, ERRORS, storage_error
from durable_primitives.backends.sqlite.store import Store
from durable_primitives.backends.sqlite.turn import Turn
from durable_primitives.errors import BackendUnavailableError, StorageCorruptedError
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef, Outcome, Renewal, Transition


class Writer:
    """The store, opened again when that is the only way to know what the disk holds."""

    def __init__(self, path: Path, namespace: str, durability: Durability) -> None:
        self._path, self._namespace = path, namespace
        self._durability: Durability = durability
        self._store: Store | None = None
        if path.is_dir():
            raise BackendUnavailableError(f"{path} is a folder", backend=BACKEND, outcome="not_applied")
        self._turn = Turn(path, BUSY_SECONDS)
        try:
            with self._turn:
                self._opened()
        except BaseException:
            self._turn.close()
            raise

    def close(self) -> None:
        """Let go of the database; the last one to go moves the log into it."""
        self._disconnect()
        self._turn.close()

    def commit(
        self, transitions: Sequence[Transition], request: ClaimRequest | None
    ) -> tuple[list[Outcome], list[Claim], list[StorageCorruptedError], bool]:
        """Apply the transitions and serve the claim; what it put off, and whether an alarm came nearer."""
        with self._in_turn() as store:
            return store.commit(transitions, request)

    def renew(self, leases: Sequence[LeaseRef], until: int) -> tuple[list[Renewal], bool]:
        """Extend the leases that are still held; also whether an alarm came nearer."""
        with self._in_turn() as store:
            return store.renew(leases, until)

    def sweep(self, now: int, budget: int) -> int:
        """Delete what has outlived its retention."""
        with self._in_turn() as store:
            return store.sweep(now, budget)

    def pragma(self, setting: str) -> object:
        """Ask or tell the connection something; the answer."""
        with self._in_turn() as store:
            return store.pragma(setting)

    @contextmanager
    def _in_turn(self) -> Generator[Store]:
        with self._turn:
            store = self._opened()
            try:
                yield store
            except ERRORS as error:
                failure = storage_error(error, self._path, committing=store.committing)
                if failure.outcome == "unknown" or store.in_transaction:
                    # What the disk holds is known again only to a connection that reads it anew.
                    self._disconnect()
                raise failure from error

    def _opened(self) -> Store:
        if self._store is None:
            self._store = open_store(self._path, self._namespace, self._durability)
            self._file = _identity(self._path)
        elif _identity(self._path) != self._file:
            raise BackendUnavailableError(
                f"the database {self._path} was deleted or replaced while it was open",
                backend=BACKEND,
                outcome="not_applied",
                help="restart every process that uses it",
            )
        return self._store

    def _disconnect(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file the path leads to: what is written to one that nobody can find any more is lost."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
