"""The memory backend: the meaning of every transition, and no durability at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from durable_primitives._core import MemoryStore
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef, Outcome, Renewal, Transition
from durable_primitives.spi.backend import Capabilities


class MemoryBackend:
    """Everything in this process, gone with it.  For tests, for development, and as the yardstick of other backends."""

    capabilities = Capabilities(durable=False, multi_process=False, immediate=True)
    url = "memory://"

    def __init__(self) -> None:
        self._stores: dict[str, MemoryStore] = {}
        # The heartbeat renews leases from a thread of its own.
        self._lock = threading.Lock()
        self._wake = asyncio.Event()
        self._nearest: int | None = None

    @classmethod
    def from_url(cls, url: str) -> MemoryBackend:
        """Every URL is a store of its own."""
        return cls()

    async def open(self, namespace: str) -> None:
        self._store = self._stores.setdefault(namespace, MemoryStore())

    async def close(self) -> None:
        """Nothing to let go of: the store can be opened again."""

    def commit_now(
        self, transitions: Sequence[Transition], request: ClaimRequest | None = None
    ) -> tuple[list[Outcome], list[Claim]]:
        with self._lock:
            reply = self._store.commit(transitions, request)
            due = self._store.next_due()
        if due is not None and (self._nearest is None or due < self._nearest):
            self._wake.set()
        self._nearest = due
        return reply

    async def commit(
        self, transitions: Sequence[Transition], request: ClaimRequest | None = None
    ) -> tuple[list[Outcome], list[Claim]]:
        return self.commit_now(transitions, request)

    async def load(self, instance: str, receipts: Sequence[str] = (), letters: Sequence[str] = ()) -> Snapshot:
        with self._lock:
            return self._store.load(instance, receipts, letters)

    async def items(self, instance: str, segment: int, after: int, limit: int) -> list[Item]:
        with self._lock:
            return self._store.items(instance, segment, after, limit)

    async def letters(self, instance: str, after: str, limit: int) -> list[DeadLetter]:
        with self._lock:
            return self._store.letters(instance, after, limit)

    async def scan(self, prefix: str, after: str, limit: int) -> list[Record]:
        with self._lock:
            return self._store.scan(prefix, after, limit)

    async def tally(self, instance: str, now: int) -> Tally:
        with self._lock:
            return self._store.tally(instance, now)

    async def sweep(self, now: int, budget: int) -> int:
        with self._lock:
            return self._store.sweep(now, budget)

    def renew(self, leases: Sequence[LeaseRef], until: int) -> list[Renewal]:
        with self._lock:
            return self._store.renew(leases, until)

    async def next_due(self) -> int | None:
        with self._lock:
            return self._store.next_due()

    async def wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
