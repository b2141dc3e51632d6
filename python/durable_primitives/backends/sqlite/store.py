"""One transaction for each call, all of it or nothing: what a store does, and how it is done through Python's sqlite3.

Its twin `durable_primitives._core._native.SQLiteStore` does the same without the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from sqlite3 import Connection, Error
from typing import Protocol

from durable_primitives.backends.sqlite.failures import ERRORS, damaged_instance, is_unreadable
from durable_primitives.backends.sqlite.record_cache import RecordCache
from durable_primitives.backends.sqlite.shelf import SQLiteShelf
from durable_primitives.backends.sqlite.statements import sql
from durable_primitives.errors import StorageCorruptedError
from durable_primitives.kernel.apply import apply, claim, renew
from durable_primitives.kernel.record import MAX_LETTERS
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef, Outcome, Renewal, Transition


class Store(Protocol):
    """One namespace on one connection.  What SQLite refuses is a `sqlite3.Error`; then nothing has changed.

    Only where `committing` says so, COMMIT itself was refused, and it depends on the error.
    """

    def close(self) -> None:
        """Let go of the database."""

    def pragma(self, setting: str) -> object:
        """Run ``PRAGMA {setting}``; the first value of its answer."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction that failed could not be rolled back."""
        ...

    @property
    def committing(self) -> bool:
        """Whether COMMIT was under way when the last call failed."""
        ...

    def commit(
        self, transitions: Sequence[Transition], request: ClaimRequest | None
    ) -> tuple[list[Outcome], list[Claim], list[StorageCorruptedError], bool]:
        """Apply the transitions and serve the claim; what it put off, and whether an alarm came nearer.

        What is due and damaged is put off by `DAMAGED_RECHECK_MS`.

        Raises:
            StorageCorruptedError: An instance that a transition is for is damaged.
        """
        ...

    def renew(self, leases: Sequence[LeaseRef], until: int) -> tuple[list[Renewal], bool]:
        """Extend the leases that are still held; also whether an alarm came nearer."""
        ...

    def sweep(self, now: int, budget: int) -> int:
        """Delete at most `budget` rows that have outlived their retention or are too many; how many went."""
        ...


class PythonStore:
    """A store that runs `durable_primitives.kernel.apply`."""

    def __init__(self, connection: Connection, nk: int) -> None:
        self._connection, self._nk = connection, nk
        self._cache = RecordCache()
        self.committing = False

    def close(self) -> None:
        self._connection.close()

    def pragma(self, setting: str) -> object:
        row = self._connection.execute(f"PRAGMA {setting}").fetchone()
        return None if row is None else row[0]

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def commit(
        self, transitions: Sequence[Transition], request: ClaimRequest | None
    ) -> tuple[list[Outcome], list[Claim], list[StorageCorruptedError], bool]:
        damaged: dict[int, StorageCorruptedError] = {}
        while True:
            try:
                outcomes, claims, nearer = self._commit(transitions, request, damaged)
            except _Unclaimable:
                # What its claim had changed by then is rolled back with the rest, and the rest is done again.
                continue
            return outcomes, claims, list(damaged.values()), nearer

    def _commit(
        self,
        transitions: Sequence[Transition],
        request: ClaimRequest | None,
        damaged: dict[int, StorageCorruptedError],
    ) -> tuple[list[Outcome], list[Claim], bool]:
        with self._transaction():
            shelf = SQLiteShelf(self._connection, self._nk, self._cache, damaged)
            outcomes = _apply_all(transitions, shelf)
            claims = [] if request is None else _claim_due(request, shelf)
            nearer = shelf.store()
            if request is not None and damaged:
                shelf.put_off(request.at)
        if damaged:
            self._cache.clear()
        else:
            self._cache.keep(shelf.stored())
        return outcomes, claims, nearer

    def renew(self, leases: Sequence[LeaseRef], until: int) -> tuple[list[Renewal], bool]:
        with self._transaction():
            shelf = SQLiteShelf(self._connection, self._nk, self._cache, {})
            shelf.load_records({ref.instance for ref in leases})
            answers = [_renew(ref, shelf, until) for ref in leases]
            for answer in answers:
                if answer.held:
                    shelf.touch(answer.instance)
            nearer = shelf.store()
        self._cache.keep(shelf.stored())
        return answers, nearer

    def sweep(self, now: int, budget: int) -> int:
        gone, budget = 0, max(budget, 0)
        execute, executemany = self._connection.execute, self._connection.executemany
        with self._transaction():
            for name in ("sweep_receipts", "sweep_letters"):
                gone += execute(sql(name), (self._nk, now, budget - gone)).rowcount
            for ik, excess in execute(sql("list_overfull_instances"), (self._nk, MAX_LETTERS)).fetchall():
                limit = min(excess, budget - gone)
                gone += execute(sql("delete_oldest_letters"), (self._nk, ik, limit)).rowcount
            rows = execute(sql("list_purgeable_instances"), (self._nk, now, budget - gone))
            keys = [(ik,) for (ik,) in rows]
            executemany(sql("delete_live_receipts"), keys)
            executemany(sql("delete_instance"), keys)
        self._cache.clear()
        return gone + len(keys)

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self.committing = False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self.committing = True
            self._connection.execute("COMMIT")
        except BaseException:
            self._cache.clear()
            with suppress(Error):  # `in_transaction` tells.
                self._connection.rollback()
            raise


class _Unclaimable(Exception):
    """The shelf knows which one."""


def _apply_all(transitions: Sequence[Transition], shelf: SQLiteShelf) -> list[Outcome]:
    if not transitions:
        return []
    shelf.load(transitions)
    outcomes: list[Outcome] = []
    for transition in transitions:
        try:
            outcome = apply(transition, shelf)
        except ERRORS as error:
            if is_unreadable(error):
                raise damaged_instance(transition.instance, error) from error
            raise
        outcomes.append(outcome)
        if outcome.verdict == "applied":
            shelf.touch(transition.instance)
    return outcomes


def _claim_due(request: ClaimRequest, shelf: SQLiteShelf) -> list[Claim]:
    claims: list[Claim] = []
    for record in shelf.due_records(request):
        try:
            claims.append(claim(record, request, shelf))
        except ERRORS as error:
            if not is_unreadable(error):
                raise
            shelf.refuse(record, error)
            raise _Unclaimable from error
        shelf.touch(record.instance)
    return claims


def _renew(ref: LeaseRef, shelf: SQLiteShelf, until: int) -> Renewal:
    try:
        return renew(ref, shelf.record(ref.instance), until)
    except StorageCorruptedError:
        # Nobody can commit anything for it either: its run may as well end.
        return Renewal(ref.instance, False, 0)
