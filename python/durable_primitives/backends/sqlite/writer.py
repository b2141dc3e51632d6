"""What is done in the thread that writes: one transaction for each call, all of it or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from durable_primitives.backends.sqlite.connection import BUSY_SECONDS, Durability, open_writer
from durable_primitives.backends.sqlite.failures import BACKEND, storage_error
from durable_primitives.backends.sqlite.record_cache import RecordCache
from durable_primitives.backends.sqlite.shelf import SQLiteShelf
from durable_primitives.backends.sqlite.statements import sql
from durable_primitives.backends.sqlite.turn import Turn
from durable_primitives.errors import BackendUnavailableError
from durable_primitives.kernel.apply import apply, claim, renew
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef, Outcome, Renewal, Transition


class Writer:
    """The connection that writes.  `on_nearer` is called after a commit that brought an alarm nearer."""

    def __init__(self, path: Path, namespace: str, durability: Durability, on_nearer: Callable[[], None]) -> None:
        self._path, self._namespace = path, namespace
        self._durability: Durability = durability
        self._on_nearer = on_nearer
        self._cache = RecordCache()
        self._connection: Connection | None = None
        if path.is_dir():
            raise BackendUnavailableError(f"{path} is a folder", backend=BACKEND, outcome="not_applied")
        self._turn = Turn(path, BUSY_SECONDS)
        try:
            with self._turn:
                self._connected()
        except BaseException:
            self._turn.close()
            raise

    def close(self) -> None:
        """Let go of the database; the last one to go moves the log into it."""
        self._disconnect()
        self._turn.close()

    def commit(
        self, transitions: Sequence[Transition], request: ClaimRequest | None
    ) -> tuple[list[Outcome], list[Claim], bool]:
        """Apply the transitions and serve the claim; also whether an alarm came nearer."""
        with self._transaction() as connection:
            shelf = SQLiteShelf(connection, self._nk, self._cache)
            outcomes = _apply_all(transitions, shelf)
            claims = [] if request is None else _claim_due(request, shelf)
            nearer = shelf.store()
        self._committed(shelf, nearer)
        return outcomes, claims, nearer

    def renew(self, leases: Sequence[LeaseRef], until: int) -> tuple[list[Renewal], bool]:
        """Extend the leases that are still held; also whether an alarm came nearer."""
        with self._transaction() as connection:
            shelf = SQLiteShelf(connection, self._nk, self._cache)
            shelf.load_records({ref.instance for ref in leases})
            answers = [renew(ref, shelf.record(ref.instance), until) for ref in leases]
            for answer in answers:
                if answer.held:
                    shelf.touch(answer.instance)
            nearer = shelf.store()
        self._committed(shelf, nearer)
        return answers, nearer

    def _committed(self, shelf: SQLiteShelf, nearer: bool) -> None:
        self._cache.keep(shelf.stored())
        if nearer:
            self._on_nearer()

    def sweep(self, now: int, budget: int) -> int:
        """Delete what has outlived its retention."""
        gone = 0
        with self._transaction() as connection:
            for name in ("sweep_receipts", "sweep_letters"):
                gone += connection.execute(sql(name), (self._nk, now, budget - gone)).rowcount
            rows = connection.execute(sql("list_purgeable_instances"), (self._nk, now, budget - gone))
            keys = [(ik,) for (ik,) in rows]
            connection.executemany(sql("delete_live_receipts"), keys)
            connection.executemany(sql("delete_instance"), keys)
        self._cache.clear()
        return gone + len(keys)

    @contextmanager
    def _transaction(self) -> Generator[Connection]:
        with self._turn:
            connection = self._connected()
            committing = False
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                committing = True
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._cache.clear()
                failure = storage_error(error, self._path, committing=committing)
                if failure.outcome == "unknown" or not _roll_back(connection):
                    # What the disk holds is known again only to a connection that reads it anew.
                    self._disconnect()
                raise failure from error
            except BaseException:
                self._cache.clear()
                _roll_back(connection)
                raise

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection, self._nk = open_writer(self._path, self._namespace, self._durability)
            self._file = _identity(self._path)
        elif _identity(self._path) != self._file:
            raise BackendUnavailableError(
                f"the database {self._path} was deleted or replaced while it was open",
                backend=BACKEND,
                outcome="not_applied",
                help="restart every process that uses it",
            )
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file the path leads to: what is written to one that nobody can find any more is lost."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _roll_back(connection: Connection) -> bool:
    try:
        connection.rollback()
    except sqlite3.Error:
        return False
    return True


def _apply_all(transitions: Sequence[Transition], shelf: SQLiteShelf) -> list[Outcome]:
    if not transitions:
        return []
    shelf.load(transitions)
    outcomes: list[Outcome] = []
    for transition in transitions:
        outcome = apply(transition, shelf)
        outcomes.append(outcome)
        if outcome.verdict == "applied":
            shelf.touch(transition.instance)
    return outcomes


def _claim_due(request: ClaimRequest, shelf: SQLiteShelf) -> list[Claim]:
    claims: list[Claim] = []
    for record in shelf.due_records(request):
        claims.append(claim(record, request, shelf))
        shelf.touch(record.instance)
    return claims
