"""The executable definition of the contract as a backend, over a store that outlives it and may be shared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef, Outcome, Renewal, Transition
from durable_primitives.spi import Capabilities


class Disk:
    """What is left when every backend is closed: a store per namespace, and who is to be told of changes."""

    def __init__(self, make_store: Callable[[], MemoryStore] = MemoryStore) -> None:
        self._make_store = make_store
        self.stores: dict[str, MemoryStore] = {}
        self.bells: list[asyncio.Event] = []

    def store(self, namespace: str) -> MemoryStore:
        if namespace not in self.stores:
            self.stores[namespace] = self._make_store()
        return self.stores[namespace]

    def ring(self) -> None:
        for bell in self.bells:
            bell.set()


class ReferenceBackend:
    """One process over a disk."""

    capabilities = Capabilities(durable=True, multi_process=True, immediate=True)
    url = "reference://"

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.store = MemoryStore()
        self._bell = asyncio.Event()

    def beside(self) -> ReferenceBackend:
        """Another process over the same disk."""
        return type(self)(self.disk)

    async def open(self, namespace: str) -> None:
        self.store = self.disk.store(namespace)
        self.disk.bells.append(self._bell)

    async def close(self) -> None:
        if self._bell in self.disk.bells:
            self.disk.bells.remove(self._bell)

    def commit_now(
        self, transitions: Sequence[Transition], request: ClaimRequest | None = None
    ) -> tuple[Sequence[Outcome], Sequence[Claim]]:
        reply = self.store.commit(transitions, request)
        self.disk.ring()
        return reply

    async def commit(
        self, transitions: Sequence[Transition], request: ClaimRequest | None = None
    ) -> tuple[Sequence[Outcome], Sequence[Claim]]:
        return self.commit_now(transitions, request)

    async def load(self, instance: str, receipts: Sequence[str] = (), letters: Sequence[str] = ()) -> Snapshot:
        return self.store.load(instance, receipts, letters)

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        return self.store.items(instance, segment, after, limit)

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        return self.store.letters(instance, after, limit)

    async def scan(self, prefix: str, after: str, limit: int) -> Sequence[Record]:
        return self.store.scan(prefix, after, limit)

    async def tally(self, instance: str, now: int) -> Tally:
        return self.store.tally(instance, now)

    async def sweep(self, now: int, budget: int) -> int:
        return self.store.sweep(now, budget)

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        return self.store.renew(leases, until)

    async def next_due(self) -> int | None:
        return self.store.next_due()

    async def wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._bell.wait(), seconds)
        except TimeoutError:
            pass
        self._bell.clear()
