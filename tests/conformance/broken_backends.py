"""Backends with one defect each, where it is not the store that is wrong: calls in flight, reads, opening, waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from copy import deepcopy
from fnmatch import fnmatch
from typing import Any

from msgspec.structs import replace

from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives.kernel.record import DeadLetter, Item, Record
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef, Outcome, Renewal, Transition
from durable_primitives.spi import Backend

from .reference_backend import Disk, ReferenceBackend


class Refusal(Exception):
    """What a defect raises on purpose: any other error that is not the suite's is a mistake in the defect."""


def method(**methods: Any) -> type[ReferenceBackend]:
    """Other methods than those of the reference."""
    return type("Broken", (ReferenceBackend,), methods)


def shows(**answers: Any) -> type[ReferenceBackend]:
    """Methods that always answer the same."""

    def constant(answer: Any) -> Any:
        async def read(self: ReferenceBackend, *args: Any) -> Any:
            return answer

        return read

    return method(**{name: constant(answer) for name, answer in answers.items()})


# Commits and reads.


class MixesUpCommitsInFlight(ReferenceBackend):
    busy = 0

    async def commit(
        self, transitions: Sequence[Transition], request: ClaimRequest | None = None
    ) -> tuple[Sequence[Outcome], Sequence[Claim]]:
        self.busy += 1
        if self.busy == 1:
            self.reply = self.commit_now(transitions, request)
        await asyncio.sleep(0)
        self.busy -= 1
        return self.reply


class LooksUpTooEarly(ReferenceBackend):
    """Knows the ids from before the commit waited for its turn."""

    async def commit(
        self, transitions: Sequence[Transition], request: ClaimRequest | None = None
    ) -> tuple[Sequence[Outcome], Sequence[Claim]]:
        looked_up = [knows_all_but(self.store, t) for t in transitions]
        await asyncio.sleep(0)
        return self.commit_now(looked_up, request)


def knows_all_but(store: MemoryStore, t: Transition) -> Transition:
    """The ids that are not known now are taken for new ones, whatever is known when the transition is applied."""
    known = store._rows[t.instance].receipts if t.instance in store._rows else ()
    return replace(t, append=tuple(replace(new, fresh=new.id not in known) for new in t.append))


def refuse_empty(self: ReferenceBackend, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Any:
    if not transitions and request is None:
        raise Refusal("nothing to do")
    return self.store.commit(transitions, request)


async def refuse(self: ReferenceBackend, *args: Any) -> Any:
    raise Refusal


def renew_nothing(self: ReferenceBackend, leases: Sequence[LeaseRef], until: int) -> list[Renewal]:
    return [Renewal(ref.instance, True, 0) for ref in leases]


async def first_letters(self: ReferenceBackend, instance: str, after: str, limit: int) -> list[DeadLetter]:
    return self.store.letters(instance, "", limit)


async def first_items(self: ReferenceBackend, instance: str, segment: int, after: int, limit: int) -> list[Item]:
    return self.store.items(instance, segment, 0, limit)


async def scan_by_pattern(self: ReferenceBackend, prefix: str, after: str, limit: int) -> list[Record]:
    pattern = prefix.replace("_", "?").replace("%", "*") + "*"
    return [record for record in self.store.scan("", after, 100) if fnmatch(record.instance, pattern)][:limit]


async def scan_without_limit(self: ReferenceBackend, prefix: str, after: str, limit: int) -> list[Record]:
    return self.store.scan(prefix, after, 100)


async def scan_the_living(self: ReferenceBackend, prefix: str, after: str, limit: int) -> list[Record]:
    return [record for record in self.store.scan(prefix, after, limit) if record.status != "terminated"]


# Defects of opening again.


def every_row(spoil: Callable[[Any], object]) -> Callable[[], Backend]:
    """Something of every instance is lost between a close and the next open."""

    async def open(self: ReferenceBackend, namespace: str) -> None:
        await ReferenceBackend.open(self, namespace)
        for name, rows in self.store._rows.items():
            spoil(rows)
            self.store._rearm(name)

    return method(open=open)


def revive_the_done(rows: Any) -> None:
    for receipt in rows.receipts.values():
        if receipt.settlement == "done":
            item = Item(receipt.seq, receipt.id, b"", 0)
            rows.items[0, 0, receipt.seq] = item


async def lose_the_newest(self: ReferenceBackend) -> None:
    for rows in self.store._rows.values():
        if rows.order:
            del rows.items[rows.order.pop()]
    await ReferenceBackend.close(self)


class ClosesOnce(ReferenceBackend):
    """Refuses a close right after its own."""

    async def close(self) -> None:
        last, self.disk.__dict__["last"] = self.disk.__dict__.get("last"), self
        if last is self:
            raise Refusal("closed already")
        await ReferenceBackend.close(self)


class ClosesWhatWasOpened(ReferenceBackend):
    opened = False

    async def open(self, namespace: str) -> None:
        self.opened = True
        await ReferenceBackend.open(self, namespace)

    async def close(self) -> None:
        if not self.opened:
            raise Refusal("not open")
        await ReferenceBackend.close(self)


# Defects of waiting.


async def wait_from_now_on(self: ReferenceBackend, seconds: float) -> None:
    self._bell.clear()
    await ReferenceBackend.wait(self, seconds)


async def wait_without_listening(self: ReferenceBackend, seconds: float) -> None:
    if not self._bell.is_set():
        await asyncio.sleep(seconds)
    self._bell.clear()


async def wait_for_a_change(self: ReferenceBackend, seconds: float) -> None:
    await self._bell.wait()
    self._bell.clear()


async def oversleep(self: ReferenceBackend, seconds: float) -> None:
    await (wait_for_a_change(self, seconds) if 0 < seconds < 1 else ReferenceBackend.wait(self, seconds))


async def wait_alone(self: ReferenceBackend, seconds: float) -> None:
    busy, self.__dict__["busy"] = self.__dict__.get("busy", False), True
    await (asyncio.sleep(seconds) if busy else ReferenceBackend.wait(self, seconds))
    self.__dict__["busy"] = False


async def wait_until_cancelled(self: ReferenceBackend, seconds: float) -> None:
    try:
        await (asyncio.sleep(seconds) if self.__dict__.get("deaf") else ReferenceBackend.wait(self, seconds))
    except asyncio.CancelledError:
        self.__dict__["deaf"] = True
        raise


async def wait_once(self: ReferenceBackend, seconds: float) -> None:
    await (asyncio.sleep(seconds) if self.__dict__.get("woken") else ReferenceBackend.wait(self, seconds))
    self.__dict__["woken"] = seconds > 1


class LearnsNothingFromAClaim(ReferenceBackend):
    """Rings for what is nearer than the last `next_due` said, and never learns what a claim has shown."""

    nearest: int | None = -1

    async def next_due(self) -> int | None:
        self.nearest = self.store.next_due()
        return self.nearest

    def commit_now(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Any:
        reply = self.store.commit(transitions, request)
        due = self.store.next_due()
        if due is not None and (self.nearest is None or due < self.nearest):
            self._bell.set()
        return reply


class RingsOnlyItsOwnBell(ReferenceBackend):
    def commit_now(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Any:
        self._bell.set()
        return self.store.commit(transitions, request)


# Defects of namespaces.


class OneForAll(ReferenceBackend):
    """Whatever is opened while something is open is on its store."""

    shared = Disk()

    def __init__(self, disk: Disk | None = None) -> None:
        if not self.shared.bells:
            type(self).shared = Disk()
        super().__init__(disk or self.shared)


async def open_the_only_namespace(self: ReferenceBackend, namespace: str) -> None:
    await ReferenceBackend.open(self, "the only one")


async def open_folded(self: ReferenceBackend, namespace: str) -> None:
    await ReferenceBackend.open(self, namespace.lower())


async def open_a_copy(self: ReferenceBackend, namespace: str) -> None:
    await ReferenceBackend.open(self, namespace)
    self.store = deepcopy(self.store)


async def open_wiping_others(self: ReferenceBackend, namespace: str) -> None:
    for name, store in self.disk.stores.items():
        if name != namespace:
            store.__init__()
    await ReferenceBackend.open(self, namespace)
