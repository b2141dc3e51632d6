"""The memory backend: the meaning of every transition, and no durability at all."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from durable_primitives._core import MemoryStore
from durable_primitives.errors import BackendUnavailableError
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import ClaimRequest, LeaseRef, Renewal, Transition
from durable_primitives.spi.backend import Capabilities, Reply
from durable_primitives.spi.waking import Bell


class MemoryBackend:
    """Everything in this process, gone with it.  For tests, for development, and as the yardstick of other backends.

    The object is the store: closed and opened again, it holds what it held.

    Example:
        >>> import asyncio
        >>> from durable_primitives.kernel.transition import Create, Transition
        >>> async def main():
        ...     backend = MemoryBackend()
        ...     await backend.open("default")
        ...     transition = Transition(instance="queue:orders:0", at=0, create=Create(status="open"))
        ...     (outcome,), _ = await backend.commit([transition])
        ...     return outcome.verdict
        >>> asyncio.run(main())
        'applied'
    """

    capabilities = Capabilities(durable=False, multi_process=False, immediate=True)
    url = "memory://"

    def __init__(self) -> None:
        self._stores: dict[str, MemoryStore] = {}
        self._opened: MemoryStore | None = None
        # The heartbeat renews leases from a thread of its own.
        self._lock = threading.Lock()
        self._bell = Bell()

    @classmethod
    def from_url(cls, url: str) -> MemoryBackend:
        """A store of its own for every call: two URLs ``memory://`` have nothing in common."""
        return cls()

    async def open(self, namespace: str) -> None:
        self._opened = self._stores.setdefault(namespace, MemoryStore())

    async def close(self) -> None:
        self._opened = None

    @property
    def _store(self) -> MemoryStore:
        if self._opened is None:
            raise BackendUnavailableError(
                "the memory backend is not open",
                backend="memory",
                outcome="not_applied",
                help="await open(namespace) first",
            )
        return self._opened

    # Changing it.

    def commit_now(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        with self._lock:
            before = self._store.next_due()
            reply = self._store.commit(transitions, request)
            after = self._store.next_due()
        # Whoever sleeps does so until the earliest alarm: no other one can be too late for it.
        if after is not None and (before is None or after < before):
            self._bell.ring()
        return reply

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        return self.commit_now(transitions, request)

    async def sweep(self, now: int, budget: int) -> int:
        with self._lock:
            return self._store.sweep(now, budget)

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        with self._lock:
            return self._store.renew(leases, until)

    # Looking at it.

    async def load(self, instance: str, receipts: Sequence[str] = (), letters: Sequence[str] = ()) -> Snapshot:
        with self._lock:
            return self._store.load(instance, receipts, letters)

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        with self._lock:
            return self._store.items(instance, segment, after, limit)

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        with self._lock:
            return self._store.letters(instance, after, limit)

    async def scan(self, prefix: str, after: str, limit: int) -> Sequence[Record]:
        with self._lock:
            return self._store.scan(prefix, after, limit)

    async def tally(self, instance: str, now: int) -> Tally:
        with self._lock:
            return self._store.tally(instance, now)

    # Waking.

    async def next_due(self) -> int | None:
        with self._lock:
            return self._store.next_due()

    async def wait(self, seconds: float) -> None:
        await self._bell.wait(seconds)
