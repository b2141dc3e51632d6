"""`SQLiteBackend`: the contract of a backend, handed to the threads that do the work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from durable_primitives.backends.sqlite import native
from durable_primitives.backends.sqlite.connection import Durability, check_version
from durable_primitives.backends.sqlite.doorbell import Doorbell
from durable_primitives.backends.sqlite.failures import BACKEND
from durable_primitives.backends.sqlite.reader import Reader
from durable_primitives.backends.sqlite.thread import Owned, OwnerThread
from durable_primitives.backends.sqlite.writer import Writer
from durable_primitives.errors import DefinitionError, unknown_option
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import ClaimRequest, LeaseRef, Renewal, Transition
from durable_primitives.spi.backend import Capabilities, Reply
from durable_primitives.spi.damage import DamageLog
from durable_primitives.spi.opening import check_closed, check_open
from durable_primitives.spi.waking import Bell, Watch

RECHECK_SECONDS = 1.0
"""How long a lost wake-up can be missed."""


class SQLiteBackend:
    """A store in one file, for one process or for several on one machine.

    Processes of one user wake each other at once; those of different users, and those on Windows, look for new work
    once a second.  A program that writes to the same file by itself must not run checkpoints (``PRAGMA
    wal_autocheckpoint = 0``) unless its SQLite is 3.51.3 or later: older ones can lose rows when a checkpoint races a
    commit, and only ours wait for each other.

    Args:
        path: The database.  It is made if it is not there; it may be the application's own, where our tables all begin
            with ``durable_``.  Beside it lie SQLite's ``-wal`` and ``-shm`` and a lock file ``-lock``.
        durability: ``"full"``: what was acknowledged survives a loss of power.  ``"normal"``: it survives the loss of
            every process; a loss of power may take the last commits with it, and leaves the rest consistent.

    Raises:
        DefinitionError: The path is empty, no path of a file, or names a database in memory.

    Example:
        >>> SQLiteBackend("app.db").url
        'sqlite:///app.db'
    """

    def __init__(self, path: str | os.PathLike[str], *, durability: Durability = "full") -> None:
        name = os.fspath(path)
        if not name or name.startswith((":memory:", "file:")):
            raise DefinitionError(f"SQLiteBackend needs the path of a file, got {name!r}", help="or use memory://")
        if durability not in ("full", "normal"):
            raise DefinitionError(f"durability must be 'full' or 'normal', got {durability!r}")
        self._name = name
        # The files beside the database belong to the file itself, whatever link leads to it.
        try:
            self._path = Path(os.path.realpath(name))
        except ValueError as error:
            raise DefinitionError(f"{name!r} is no path that a file can have ({error})") from None
        self._durability: Durability = durability
        self._pid = 0
        self._writer: OwnerThread[Writer] | None = None
        self._reader: OwnerThread[Reader] | None = None
        self._damage = DamageLog()
        self._bell = Bell()
        self._watch = Watch(self._bell, lambda: self._ready(self._reader).run(lambda r: r.next_due()))
        self._listening: bool | None = None

    @classmethod
    def from_url(cls, url: str) -> SQLiteBackend:
        """The backend of a URL.

        Example:
            >>> SQLiteBackend.from_url("sqlite:////var/lib/app.db?durability=normal").url
            'sqlite:////var/lib/app.db'
        """
        parts = urlsplit(url)
        if parts.netloc or not parts.path.startswith("/"):
            raise DefinitionError(
                f"{url!r} is not the URL of an SQLite database",
                help="write sqlite:///relative.db or sqlite:////absolute.db, with three or four slashes",
            )
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        durability = options.pop("durability", "full")
        for name in options:
            raise unknown_option(name, ["durability"], "the URL of an SQLite database")
        return cls(unquote(parts.path[1:]), durability=cast(Durability, durability))

    @property
    def url(self) -> str:
        return f"sqlite:///{self._name}"

    @property
    def capabilities(self) -> Capabilities:
        """What it can do: the Rust writer leaves the interpreter free while it commits."""
        return Capabilities(durable=True, multi_process=True, overlapping=self.writer == "native")

    @property
    def writer(self) -> Literal["native", "python"]:
        """Who does the transactions.

        ``"native"``: the Rust core, without the interpreter lock, on the SQLite library that Python's ``sqlite3`` uses.
        ``"python"``: the same through ``sqlite3``, where the core is not compiled or not wanted
        (``DURABLE_PRIMITIVES_CORE=reference``), on Windows, and where that library is not within its reach.
        """
        return "python" if native.library() is None else "native"

    # Opening and closing.

    async def open(self, namespace: str) -> None:
        check_closed(self._writer, self, name=BACKEND)
        check_version()
        self._pid, self._loop = os.getpid(), asyncio.get_running_loop()
        self._doorbell = Doorbell(self._path, namespace)
        path, durability = self._path, self._durability
        writer = OwnerThread("durable-primitives SQLite writer", lambda: Writer(path, namespace, durability))
        reader = OwnerThread("durable-primitives SQLite reader", lambda: Reader(path, namespace))
        await writer.start()
        try:
            await reader.start()
        except BaseException:
            await writer.stop()
            raise
        self._writer, self._reader = writer, reader

    async def close(self) -> None:
        writer, reader = self._writer, self._reader
        self._writer = self._reader = None
        if writer is None or reader is None or os.getpid() != self._pid:
            return
        self._bell.ring()
        try:
            await reader.stop()
            await writer.stop()
        finally:
            self._doorbell.close()
            self._listening = None

    def _ready(self, thread: OwnerThread[Owned] | None) -> OwnerThread[Owned]:
        return check_open(thread, self, name=BACKEND, pid=self._pid)

    # Changing it.

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        writer = self._ready(self._writer)
        outcomes, claims, damaged, _ = await writer.run(
            lambda w: w.commit(transitions, request), self._notice, self._tell_others
        )
        if request is not None and damaged:
            self._damage.tell(damaged, request.at)
        return outcomes, claims

    def commit_now(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        raise NotImplementedError("an SQLite commit waits for the disk: await commit()")

    async def sweep(self, now: int, budget: int) -> int:
        return await self._ready(self._writer).run(lambda w: w.sweep(now, budget))

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        writer = self._ready(self._writer)
        answers, nearer = writer.run_and_wait(lambda w: w.renew(leases, until), self._tell_others)
        if nearer:
            with suppress(RuntimeError):  # The loop is closed: nobody sleeps there.
                self._loop.call_soon_threadsafe(self._bell.ring)
        return answers

    # Looking at it.

    async def load(self, instance: str, receipts: Sequence[str] = (), letters: Sequence[str] = ()) -> Snapshot:
        return await self._ready(self._reader).run(lambda r: r.load(instance, receipts, letters))

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        return await self._ready(self._reader).run(lambda r: r.items(instance, segment, after, limit))

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        return await self._ready(self._reader).run(lambda r: r.letters(instance, after, limit))

    async def scan(self, prefix: str, after: str, limit: int) -> Sequence[Record]:
        return await self._ready(self._reader).run(lambda r: r.scan(prefix, after, limit))

    async def tally(self, instance: str, now: int) -> Tally:
        return await self._ready(self._reader).run(lambda r: r.tally(instance, now))

    # Waking.

    async def next_due(self) -> int | None:
        return await self._watch.next_due()

    async def wait(self, seconds: float) -> None:
        self._ready(self._writer)
        if self._listening is None:
            # What others committed before somebody listened rang nowhere: the caller must look again.
            self._listening = self._doorbell.listen(self._bell.ring)
            return
        await self._watch.wait(seconds, recheck_seconds=RECHECK_SECONDS)

    def _notice(self, committed: tuple[*tuple[object, ...], bool]) -> None:
        if committed[-1]:
            self._bell.ring()

    def _tell_others(self, committed: tuple[*tuple[object, ...], bool]) -> None:
        """In the writer's thread, after its caller has the answer."""
        if committed[-1]:
            self._doorbell.ring()
