"""An open store with short words for what the cases do to it and what they ask of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, Protocol, TypeVar

from durable_primitives.kernel.record import DeadLetter, Item, Receipt, Record, Settlement, Tally
from durable_primitives.kernel.transition import (
    Burial,
    Claim,
    ClaimRequest,
    Create,
    Due,
    LeaseRef,
    NewItem,
    Outcome,
    Removal,
    Transition,
)
from durable_primitives.spi.backend import Backend

T = TypeVar("T")
Key = TypeVar("Key", int, str)

ONE = "queue:orders:1"
"""The instance of a case that needs only one."""

Parts = dict[str, Any]
"""Some fields of a transition, for a table of transitions."""

LEASE_MS = 30_000
DAY_MS = 24 * 60 * 60 * 1000
LIVE = Create(status="live")
ALL = 10_000
"""A limit that no case reaches."""

NAMESPACE = "conformance"


class Harness(Protocol):
    """Where the suite gets its stores from.  Both methods give a backend that is not open yet."""

    def make(self) -> Backend:
        """A backend on a fresh, empty store."""
        ...

    def reopen(self, backend: Backend) -> Backend:
        """Another backend on the store of `backend`, as another process would make it."""
        ...


class Picture(NamedTuple):
    """All that can be seen of one instance."""

    record: Record | None
    receipts: dict[str, Receipt]
    items: list[Item]
    letters: list[DeadLetter]
    tally: Tally
    next_due: int | None


class Store:
    """One open backend.  Times are small whole numbers of milliseconds: the clock of a case is an argument."""

    def __init__(self, harness: Harness, backend: Backend, opened: AsyncExitStack) -> None:
        self._harness, self._opened = harness, opened
        self._ids: dict[str, set[str]] = {}
        self.backend = backend

    @classmethod
    async def open(
        cls, harness: Harness, backend: Backend, opened: AsyncExitStack, namespace: str = NAMESPACE
    ) -> Store:
        """Open `backend`; `opened` closes it at the end of the case."""
        opened.push_async_callback(backend.close)
        await backend.open(namespace)
        return cls(harness, backend, opened)

    async def fresh(self) -> Store:
        """An empty store beside this one."""
        return await Store.open(self._harness, self._harness.make(), self._opened)

    def unopened(self) -> Backend:
        """A backend on an empty store, as it was made."""
        return self._harness.make()

    async def beside(self, namespace: str = NAMESPACE) -> Store:
        """The same store through another backend; both stay open."""
        other = await Store.open(self._harness, self._harness.reopen(self.backend), self._opened, namespace)
        other._ids = self._ids
        return other

    async def reopen(self, namespace: str = NAMESPACE) -> Store:
        """The same store through another backend, after this one was closed."""
        await self.backend.close()
        return await self.beside(namespace)

    # Changing it.

    async def commit(
        self, *transitions: Transition, request: ClaimRequest | None = None
    ) -> tuple[Sequence[Outcome], Sequence[Claim]]:
        """One round trip."""
        for t in transitions:
            ids = {*t.remember, *t.redrive, *(new.id for new in t.append if new.id is not None)}
            self._ids.setdefault(t.instance, set()).update(ids)
        return await self.backend.commit(transitions, request)

    async def apply(self, at: int, instance: str = ONE, **parts: Any) -> Outcome:
        """Commit one transition, given by its parts."""
        (outcome,), _ = await self.commit(Transition(instance=instance, at=at, **parts))
        return outcome

    async def enqueue(self, at: int, *items: NewItem, instance: str = ONE) -> Outcome:
        """Append to an instance, which is made if it is not there."""
        return await self.apply(at, instance, create=LIVE, append=items)

    async def claim(self, at: int, take: int = 0, limit: int = ALL, owner: str = "worker") -> Sequence[Claim]:
        """Lease what is due."""
        request = ClaimRequest(owner=owner, at=at, lease_ms=LEASE_MS, limit=limit, take=take)
        return (await self.commit(request=request))[1]

    async def claim_one(self, at: int, take: int = 0, owner: str = "worker") -> Claim:
        """Lease the only instance that is due."""
        claims = await self.claim(at, take, owner=owner)
        assert len(claims) == 1, f"exactly one instance is due at {at}: expected one claim, got {claims!r}"
        return claims[0]

    async def own(self, at: int, *items: NewItem, take: int = 0, instance: str = ONE) -> Claim:
        """Append to an instance and lease it at once, whenever the items are due."""
        await self.apply(at, instance, create=LIVE, append=items, dues=(Due("run", "set", at),))
        return await self.claim_one(at, take)

    def renew(self, token: int, until: int, instance: str = ONE) -> bool:
        """Whether the lease was still held."""
        (answer,) = self.backend.renew([LeaseRef(instance, token)], until)
        return answer.held

    # Looking at it.

    async def record(self, instance: str = ONE) -> Record:
        """The record, which must be there."""
        record = (await self.backend.load(instance)).record
        assert record is not None, f"{instance} was committed: expected a record, got none"
        return record

    async def receipt(self, id: str, instance: str = ONE) -> Receipt | None:
        """What is remembered of an event id."""
        return (await self.backend.load(instance, receipts=[id])).receipts.get(id)

    async def items(self, instance: str = ONE, segment: int = 0) -> Sequence[Item]:
        """The items of one segment."""
        return await self.backend.items(instance, segment, 0, ALL)

    def known_ids(self, instance: str = ONE) -> list[str]:
        """Every event id that was ever committed through this store."""
        return sorted(self._ids.get(instance, ()))

    async def letters(self, instance: str = ONE) -> Sequence[DeadLetter]:
        """All dead letters."""
        return await self.backend.letters(instance, "", ALL)

    async def picture(self, instance: str = ONE, now: int = 0) -> Picture:
        """Everything that can be seen of an instance, for a comparison."""
        letters = list(await self.letters(instance))
        snapshot = await self.backend.load(instance, self.known_ids(instance), [letter.id for letter in letters])
        assert list(snapshot.letters.values()) == letters, f"load and letters of {instance} show different dead letters"
        last = 0 if snapshot.record is None else snapshot.record.segment
        items = [item for segment in range(last + 1) for item in await self.items(instance, segment)]
        tally = await self.backend.tally(instance, now)
        return Picture(snapshot.record, dict(snapshot.receipts), items, letters, tally, await self.backend.next_due())


def event(id: str | None, lane: str | None = None, due: int = 0, rank: int = 0, blocks: bool = True) -> NewItem:
    """An event to append; its payload tells which one it is."""
    return NewItem(id, f"payload of {id}".encode(), lane, due, rank, blocks=blocks)


def removed(item: Item, settlement: Settlement = "done", expires_at: int = DAY_MS) -> Removal:
    """The owner's word that an item has ended."""
    return Removal(item, settlement, expires_at)


def buried(item: Item, expires_at: int = DAY_MS) -> Burial:
    """The owner's word that an item is given up on."""
    return Burial(item.id or f"item-{item.seq}", item, item.payload, 3, "boom", 1, expires_at)


async def paged(
    read: Callable[[Key], Awaitable[Sequence[T]]], start: Key, key: Callable[[T], Key]
) -> list[Sequence[T]]:
    """Every page that `read` gives, each after the last row of the one before; they must go forward."""
    pages: list[Sequence[T]] = []
    after = start
    while page := await read(after):
        last = key(page[-1])
        assert last > after, (
            f"a page starts after {after!r}: expected rows above it, got {[key(row) for row in page]!r}"
        )
        pages.append(page)
        after = last
    return pages


def ids(items: Iterable[Item]) -> list[str | None]:
    """The event ids, in order."""
    return [item.id for item in items]


def check(promise: str, got: T, expected: T) -> None:
    """Fail with the promise, what it asks for, and what was there instead."""
    # Not `assert`: pytest would add its own explanation, as this package brings a plugin for it.
    if got != expected:
        raise AssertionError(f"{promise}\n    expected {expected!r}\n    got      {got!r}")


def check_same(promise: str, got: Picture, expected: Picture) -> None:
    """`check` field by field, so that a failure shows only what differs."""
    for name, seen, wanted in zip(Picture._fields, got, expected, strict=True):
        check(f"{promise} ({name})", seen, wanted)
