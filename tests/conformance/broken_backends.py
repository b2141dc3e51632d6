"""Backends with one defect each: the reference, breaking one law on purpose.

`BROKEN` lists them by the property whose cases must notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives.kernel.record import NEVER, TERMINATED, Record, Snapshot, Tally
from durable_primitives.kernel.transition import (
    FLUSH_DUE,
    WINDOW_DUE,
    Claim,
    ClaimRequest,
    LeaseRef,
    Outcome,
    Renewal,
    Transition,
)
from durable_primitives.spi import Backend, Capabilities

from .reference_backend import Disk, ReferenceBackend

Reply = tuple[list[Outcome], list[Claim]]
Change = Callable[[Any], Any]
Broken = Callable[[], Backend]


# Defects of one spot: what goes in, what is kept, what comes out.


class Doors(MemoryStore):
    """The reference, with a door wherever something passes."""

    def transition(self, t: Transition) -> Transition:
        return t

    def request(self, request: ClaimRequest) -> ClaimRequest:
        return request

    def after(self, t: Transition, record: Record) -> None: ...

    def outcome(self, outcome: Outcome) -> Outcome:
        return outcome

    def claim(self, claim: Claim) -> Claim:
        return claim

    def record(self, instance: str) -> Record | None:
        return self._rows[instance].record if instance in self._rows else None

    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        outcomes: list[Outcome] = []
        for t in transitions:
            outcomes += super().commit([self.transition(t)], None)[0]
            record = self.record(t.instance)
            if record is not None and outcomes[-1].verdict == "applied":
                self.after(t, record)
                self._rearm(t.instance)
        claims = [] if request is None else super().commit([], self.request(request))[1]
        return [self.outcome(outcome) for outcome in outcomes], [self.claim(claim) for claim in claims]


def at(door: str, change: Change) -> Broken:
    """A store that changes what passes one door."""
    return over(type("Broken", (Doors,), {door: lambda self, value: change(value)}))


def over(store: type[MemoryStore]) -> Broken:
    return lambda: ReferenceBackend(Disk(store))


def forgets(*parts: str) -> Broken:
    """Parts of a transition that have no effect."""
    nothing = Transition(instance="", at=0)
    return at("transition", lambda t: replace(t, **{part: getattr(nothing, part) for part in parts}))


def guardless(guard: str) -> Broken:
    return at("transition", lambda t: t if t.guard is None else replace(t, guard=replace(t.guard, **{guard: None})))


def appends(**changes: Any) -> Broken:
    """Something about every appended item is lost."""
    return at("transition", lambda t: replace(t, append=tuple(replace(new, **changes) for new in t.append)))


def batches(**changes: Any) -> Broken:
    return at("transition", lambda t: replace(t, batching=t.batching and replace(t.batching, **changes)))


def answers(**changes: Any) -> Broken:
    """Something about every applied outcome is wrong."""
    return at("outcome", lambda outcome: replace(outcome, **changes) if outcome.verdict == "applied" else outcome)


def asks(**changes: Any) -> Broken:
    return at("request", lambda request: replace(request, **changes))


def claims(**changes: Any) -> Broken:
    return at("claim", lambda claim: replace(claim, **changes))


def keeps(change: Callable[[Transition, Record], object]) -> Broken:
    """Something is wrong with the record after every transition."""
    return over(type("Broken", (Doors,), {"after": lambda self, t, record: change(t, record)}))


def each(part: str, **changes: Any) -> Broken:
    """Something about every element of a part is lost."""
    return at(
        "transition", lambda t: replace(t, **{part: tuple(replace(element, **changes) for element in getattr(t, part))})
    )


def one(part: str, **changes: Any) -> Broken:
    def change(t: Transition) -> Transition:
        value = getattr(t, part)
        return t if value is None else replace(t, **{part: replace(value, **changes)})

    return at("transition", change)


def assign(record: Record, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(record, name, value)


# Defects of the backend around the store.


def method(**methods: Any) -> Broken:
    """Other methods than those of the reference."""
    return type("Broken", (ReferenceBackend,), methods)


def shows(**answers: Any) -> Broken:
    """Reads that always answer the same."""

    def constant(answer: Any) -> Any:
        async def read(self: ReferenceBackend, *args: Any) -> Any:
            return answer

        return read

    return method(**{name: constant(answer) for name, answer in answers.items()})


class AppliesHalfOfARefusal(Doors):
    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        outcomes, claims = super().commit(transitions, request)
        for t, outcome in zip(transitions, outcomes, strict=True):
            if outcome.verdict != "applied":
                super().commit([Transition(instance=t.instance, at=t.at, append=t.append, dues=t.dues)], None)
        return outcomes, claims


class MakesTheInstanceFirst(Doors):
    def transition(self, t: Transition) -> Transition:
        if t.put is not None and self.record(t.instance) is None:
            self._shelf.add_record(Record(instance=t.instance, status="live"))
        return t


class StopsAtARefusal(Doors):
    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        outcomes: list[Outcome] = []
        for t in transitions:
            refused = any(outcome.verdict != "applied" for outcome in outcomes)
            outcomes += [Outcome(verdict="conflict")] if refused else super().commit([t], None)[0]
        return outcomes, super().commit([], request)[1]


class AppliesTheLastFirst(Doors):
    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        outcomes, claims = super().commit(transitions[::-1], request)
        return outcomes[::-1], claims


class ClaimsFirst(Doors):
    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        claims = super().commit([], request)[1]
        return super().commit(transitions, None)[0], claims


class HandsOutItsOwn(Doors):
    def load(self, instance: str, receipts: Sequence[str], letters: Sequence[str]) -> Snapshot:
        snapshot = super().load(instance, receipts, letters)
        return snapshot if snapshot.record is None else replace(snapshot, record=self.record(instance))


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


def refuse_empty(self: ReferenceBackend, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Any:
    if not transitions and request is None:
        raise ValueError("nothing to do")
    return self.store.commit(transitions, request)


class CreateOverwrites(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        if t.create is not None and record is not None:
            assign(record, status=t.create.status, data=t.create.data)
        return t


class CountsDuplicatesAsNew(Doors):
    def transition(self, t: Transition) -> Transition:
        record, room = self.record(t.instance), None if t.guard is None else t.guard.room
        full = room is not None and (0 if record is None else record.count) + len(t.append) > room
        return replace(t, guard=replace(t.guard, version=-1)) if full and t.on_full == "reject" else t


class RejectsInANewInstance(Doors):
    def transition(self, t: Transition) -> Transition:
        full = t.guard is not None and t.guard.room is not None and len(t.append) > t.guard.room
        return replace(t, on_full="reject") if full and self.record(t.instance) is None else t


class DropsTheNewest(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        full = record is not None and t.guard is not None and record.count == t.guard.room
        if t.on_full == "drop_oldest" and record is not None and full:
            rows = self._rows[t.instance]
            newest = max(rows.items.values(), key=lambda item: item.seq)
            self._shelf.drop_item(record, newest)
            record.taken = tuple(seq for seq in record.taken if seq != newest.seq)
            record.count -= 1
        return t


class DropsWhatIsInHand(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        if t.on_full == "drop_oldest" and record is not None:
            record.taken = ()
        return t


class NoClampInALane(Doors):
    def __init__(self) -> None:
        super().__init__()
        self._shelf.lane_rank = lambda record, lane: None  # type: ignore[method-assign]


class OneOfALaneAtATime(Doors):
    def __init__(self) -> None:
        super().__init__()
        take = self._shelf.take

        def careful(record: Record, now: int, limit: int) -> list[Any]:
            busy = {item.lane for item in self._rows[record.instance].items.values() if item.seq in record.taken}
            return [item for item in take(record, now, limit) if item.lane is None or item.lane not in busy]

        self._shelf.take = careful  # type: ignore[method-assign]


class ForgetsIds(Doors):
    """Of events for which `over` holds."""

    def over(self, t: Transition, id: str) -> bool:
        return True

    def after(self, t: Transition, record: Record) -> None:
        receipts = self._rows[t.instance].receipts
        for id in [id for id in receipts if self.over(t, id)]:
            del receipts[id]


def forgets_ids(over: Callable[[Transition, Any], bool]) -> Broken:
    def judge(self: ForgetsIds, t: Transition, id: str) -> bool:
        return over(t, self._rows[t.instance].receipts[id])

    return at_store(ForgetsIds, over=judge)


def at_store(base: type[MemoryStore], **methods: Any) -> Broken:
    return over(type("Broken", (base,), methods))


class IdsOfAllInstances(Doors):
    def __init__(self) -> None:
        super().__init__()
        self._owner: dict[str | None, str] = {None: ""}

    def transition(self, t: Transition) -> Transition:
        mine = tuple(new for new in t.append if self._owner.setdefault(new.id, t.instance) in {"", t.instance})
        return replace(t, append=mine)


class ReceiptsStayBehind(Doors):
    def after(self, t: Transition, record: Record) -> None:
        receipts = self._rows[t.instance].receipts
        for change in t.reschedule:
            if change.item.id is not None:
                receipts[change.item.id] = replace(receipts[change.item.id], due=0)


class AlarmsOnlyComeNearer(Doors):
    def _rearm(self, instance: str) -> None:
        record, old = self.record(instance), self._alarms.get(instance)
        if record is not None and record.alarm is not None and (old is None or record.alarm < old):
            self._alarms.set(instance, record.alarm)


class AlarmsWithoutLeases(Doors):
    def _rearm(self, instance: str) -> None:
        record = self.record(instance)
        if record is None or record.owner is not None or record.alarm is None:
            self._alarms.cancel(instance)
        else:
            self._alarms.set(instance, record.alarm)


class LeasesKeepNobodyOut(Doors):
    def _rearm(self, instance: str) -> None:
        record = self.record(instance)
        if record is not None and record.dues and not record.held:
            self._alarms.set(instance, min(record.dues.values()))


class ClearsTheDuesOfNamesakes(Doors):
    def after(self, t: Transition, record: Record) -> None:
        for name, rows in self._rows.items():
            if name.startswith(t.instance) and any(due.how == "clear" for due in t.dues):
                rows.record.dues.clear()
                self._rearm(name)


class ClaimsByName(Doors):
    def _claim(self, request: ClaimRequest) -> list[Claim]:
        due = sorted(n for n, rows in self._rows.items() if (rows.record.alarm or NEVER) <= request.at)[: request.limit]
        for name in self._rows:
            if name not in due:
                self._alarms.cancel(name)
        claims = super()._claim(request)
        for name in self._rows:
            self._rearm(name)
        return claims


class ClaimsUseUpTheDues(Doors):
    def _claim(self, request: ClaimRequest) -> list[Claim]:
        claims = super()._claim(request)
        for claim in claims:
            self._rows[claim.record.instance].record.dues.clear()
        return claims


class FencesByTheClock(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        late = t.guard is not None and t.guard.token is not None and record is not None and record.lease_until <= t.at
        return replace(t, guard=replace(t.guard, token=-1)) if late else t


class StartsWhatIsHeld(Doors):
    def claim(self, claim: Claim) -> Claim:
        record = self.record(claim.record.instance)
        if record is None or not record.held:
            return claim
        return replace(claim, items=tuple(self._shelf.take(record, record.lease_until, 10)))


class ForgetsCancelRequests(Doors):
    def claim(self, claim: Claim) -> Claim:
        assign(self._rows[claim.record.instance].record, cancels=())
        return replace(claim, record=replace(claim.record, cancels=()))


class Renews(Doors):
    """Whoever asks."""

    def renew(self, leases: Sequence[LeaseRef], until: int) -> list[Renewal]:
        for ref in leases:
            record = self.record(ref.instance)
            if record is not None:
                assign(record, lease_until=until, owner=record.owner or "somebody")
                self._rearm(ref.instance)
        return [Renewal(ref.instance, True, 1) for ref in leases]


class KeepsRowsOfTheDead(Doors):
    """The rows named by `kept` outlive an erasure."""

    kept = "letters"

    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        before = {t.instance: self._rows[t.instance] for t in transitions if t.erase and t.instance in self._rows}
        reply = super().commit(transitions, request)
        for name, rows in before.items():
            getattr(self._rows[name], self.kept).update(getattr(rows, self.kept))
        return reply


class ErasesTheErased(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        if t.erase and record is not None and record.status == TERMINATED:
            record.generation += 1
        return t


class RedrivesAgainAndAgain(Doors):
    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        before = {t.instance: dict(self._rows[t.instance].letters) for t in transitions if t.redrive}
        reply = super().commit(transitions, request)
        for name, letters in before.items():
            self._rows[name].letters.update(letters)
        return reply


class ForgetsOnSweep(Doors):
    """Sweeps the live with the dead."""

    def sweep(self, now: int, budget: int) -> int:
        for rows in self._rows.values():
            rows.receipts.clear()
        return super().sweep(now, budget)


class SweepsLetters(Doors):
    def sweep(self, now: int, budget: int) -> int:
        for rows in self._rows.values():
            if rows.record.purge_at is not None:
                rows.letters.clear()
        return super().sweep(now, budget)


class SweepsNoLetters(Doors):
    def sweep(self, now: int, budget: int) -> int:
        letters = {name: dict(rows.letters) for name, rows in self._rows.items()}
        gone = super().sweep(now, budget)
        for name, rows in self._rows.items():
            rows.letters.update(letters[name])
        return gone


class SweepsAllAtOnce(Doors):
    def sweep(self, now: int, budget: int) -> int:
        return super().sweep(now, 1_000)


class FirstRetentionCounts(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        return t if record is None or t.put is None else replace(t, put=replace(t.put, linger_ms=record.linger_ms))


class SweptIdsLiveOn(Doors):
    def __init__(self) -> None:
        super().__init__()
        self._old: dict[str, Any] = {}

    def sweep(self, now: int, budget: int) -> int:
        self._old = {name: dict(rows.receipts) for name, rows in self._rows.items()}
        return super().sweep(now, budget)

    def transition(self, t: Transition) -> Transition:
        if t.create is not None and self.record(t.instance) is None and t.instance in self._old:
            super().commit([Transition(instance=t.instance, at=t.at, create=t.create)], None)
            self._rows[t.instance].receipts.update(self._old[t.instance])
        return t


# Defects of opening again.


def opens(spoil: Callable[[MemoryStore], object]) -> Broken:
    """Something is lost between a close and the next open."""

    async def open(self: ReferenceBackend, namespace: str) -> None:
        await ReferenceBackend.open(self, namespace)
        spoil(self.store)

    return method(open=open)


def every_record(spoil: Callable[[Any], object]) -> Broken:
    def spoil_store(store: MemoryStore) -> None:
        for name, rows in store._rows.items():
            spoil(rows)
            store._rearm(name)

    return opens(spoil_store)


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


async def close_once(self: ReferenceBackend) -> None:
    if self._bell not in self.disk.bells:
        raise RuntimeError("not open")
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


async def wake_once(self: ReferenceBackend, seconds: float) -> None:
    await (asyncio.sleep(seconds) if self.__dict__.get("woken") else ReferenceBackend.wait(self, seconds))
    self.__dict__["woken"] = seconds > 1


class LooksOnlyWhenAsked(ReferenceBackend):
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
