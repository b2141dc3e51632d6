"""Stores with one defect each: the reference, breaking one law on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from durable_primitives._core._reference.memory_store import MemoryStore, _drop_item
from durable_primitives.kernel.record import NEVER, TERMINATED, Receipt, Record, Snapshot
from durable_primitives.kernel.transition import (
    Claim,
    ClaimRequest,
    Create,
    LeaseRef,
    Outcome,
    Renewal,
    Transition,
)
from durable_primitives.spi import Backend

from .reference_backend import Disk, ReferenceBackend

Reply = tuple[list[Outcome], list[Claim]]

LIVE = Create(status="live")


class Doors(MemoryStore):
    """The reference, with a door wherever something passes."""

    def transition(self, t: Transition) -> Transition:
        return t

    def request(self, request: ClaimRequest) -> ClaimRequest:
        return request

    def after(self, t: Transition, record: Record) -> object: ...

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


def over(store: type[MemoryStore], **methods: Any) -> Callable[[], Backend]:
    """Backends on stores of this kind."""
    kind = type("Broken", (store,), methods)
    return lambda: ReferenceBackend(Disk(kind))


def at(door: str, change: Callable[[Any], Any]) -> Callable[[], Backend]:
    """A store that changes what passes one door."""
    return over(Doors, **{door: lambda self, value: change(value)})


def keeps(change: Callable[[Transition, Record], object]) -> Callable[[], Backend]:
    """A store that keeps something else than it was told."""
    return over(Doors, after=lambda self, t, record: change(t, record))


def without(t: Transition, *parts: str) -> Transition:
    nothing = Transition(instance="", at=0)
    return replace(t, **{part: getattr(nothing, part) for part in parts})


def with_part(t: Transition, part: str, **changes: Any) -> Transition:
    return replace(t, **{part: replace(getattr(t, part), **changes)})


def assign(record: Record, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(record, name, value)


# What passes a door, changed.


def conflict_for_fenced(outcome: Outcome) -> Outcome:
    return replace(outcome, verdict="conflict") if outcome.verdict == "fenced" else outcome


def by_sequence(outcome: Outcome) -> Outcome:
    return replace(outcome, items=tuple(sorted(outcome.items, key=lambda item: item.seq)))


def last_position(outcome: Outcome) -> Outcome:
    return replace(outcome, accepted=tuple(replace(a, position=outcome.count) for a in outcome.accepted))


def with_ids(t: Transition) -> Transition:
    return replace(t, append=tuple(replace(new, id=new.id or "none") for new in t.append))


def bounded(t: Transition) -> Transition:
    """Three events are a batch, if nobody says otherwise."""
    unbounded = t.batching is not None and t.batching.max_items is None
    return with_part(t, "batching", max_items=3) if unbounded else t


# Commits.


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
        return (
            replace(t, append=tuple(replace(new, fresh=True) for new in t.append))
            if full and t.on_full == "reject"
            else t
        )


class RejectsInANewInstance(Doors):
    def transition(self, t: Transition) -> Transition:
        full = t.guard is not None and t.guard.room is not None and len(t.append) > t.guard.room
        return replace(t, on_full="reject") if full and self.record(t.instance) is None else t


class RejectsWhatItCannotDrop(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        stuck = record is not None and record.taken and len(record.taken) == record.count
        return replace(t, on_full="reject") if stuck else t


class CountsEventsWithoutAnIdOnce(Doors):
    def transition(self, t: Transition) -> Transition:
        nameless = sum(new.id is None for new in t.append)
        if t.guard is None or t.guard.room is None or not nameless:
            return t
        return replace(t, guard=replace(t.guard, room=t.guard.room + nameless - 1))


class DropsTheNewest(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        full = record is not None and t.guard is not None and record.count == t.guard.room
        if t.on_full == "drop_oldest" and record is not None and full:
            rows = self._rows[t.instance]
            newest = max(rows.items.values(), key=lambda item: item.seq)
            _drop_item(rows, newest)
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
    """Of events for which `gone` holds."""

    def gone(self, t: Transition, id: str) -> bool:
        return True

    def after(self, t: Transition, record: Record) -> None:
        receipts = self._rows[t.instance].receipts
        for id in [id for id in receipts if self.gone(t, id)]:
            del receipts[id]


def forgets_ids(when: Callable[[Transition, Receipt], bool]) -> Callable[[], Backend]:
    def judge(self: ForgetsIds, t: Transition, id: str) -> bool:
        return when(t, self._rows[t.instance].receipts[id])

    return over(ForgetsIds, gone=judge)


class IdsOfAllInstances(Doors):
    def __init__(self) -> None:
        super().__init__()
        self._owner: dict[str | None, str] = {None: ""}

    def transition(self, t: Transition) -> Transition:
        mine = tuple(new for new in t.append if self._owner.setdefault(new.id, t.instance) in {"", t.instance})
        return replace(t, append=mine)


class LooksUpBeforeTheCommit(Doors):
    """Meets no id that the same commit brings."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, set[str]] = {}

    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        self._known = {name: set(rows.receipts) for name, rows in self._rows.items()}
        return super().commit(transitions, request)

    def transition(self, t: Transition) -> Transition:
        known = self._known.get(t.instance, set())
        return replace(t, append=tuple(replace(new, fresh=new.id not in known) for new in t.append))


class CancelsWhatItRemembers(Doors):
    """Takes every id that it knows for that of an event."""

    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        outcomes, claims = super().commit(transitions, request)
        for n, t in enumerate(transitions):
            known = self._rows[t.instance].receipts if t.instance in self._rows else {}
            answers = zip(t.cancel, outcomes[n].cancelled, strict=False)
            told = tuple("cancelled" if a == "not_found" and id in known else a for id, a in answers)
            outcomes[n] = replace(outcomes[n], cancelled=told)
        return outcomes, claims


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
        due = sorted(name for name in self._rows if self._alarm(name) <= request.at)[: request.limit]
        for name in self._rows:
            if name not in due:
                self._alarms.cancel(name)
        claims = super()._claim(request)
        for name in self._rows:
            self._rearm(name)
        return claims

    def _alarm(self, name: str) -> int:
        alarm = self._rows[name].record.alarm
        return NEVER if alarm is None else alarm


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


class RenewsWhateverItIsAsked(Doors):
    def renew(self, leases: Sequence[LeaseRef], until: int) -> list[Renewal]:
        for ref in leases:
            record = self.record(ref.instance)
            if record is not None:
                assign(record, lease_until=until, owner=record.owner or "somebody")
                self._rearm(ref.instance)
        return [Renewal(ref.instance, True, 1) for ref in leases]


class KeepsLettersOfTheDead(Doors):
    """The rows named by `kept` outlive an erasure."""

    kept = "letters"

    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        before = {t.instance: self._rows[t.instance] for t in transitions if t.erase and t.instance in self._rows}
        reply = super().commit(transitions, request)
        for name, rows in before.items():
            getattr(self._rows[name], self.kept).update(getattr(rows, self.kept))
        return reply


class LetsTheDeadBeWritten(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        dead = record is not None and record.status == TERMINATED
        return replace(t, guard=replace(t.guard, generation=None)) if dead and t.guard is not None else t


class EndsWithItsTombstone(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        self._old = record.purge_at if record is not None and record.status == TERMINATED else None
        return t

    def after(self, t: Transition, record: Record) -> None:
        if self._old is not None and record.purge_at is not None:
            record.purge_at = self._old


class EndsATombstone(Doors):
    """A restart of what is not there ends it once more."""

    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        if t.erase and t.create is not None and record is not None and record.status == TERMINATED:
            record.generation += 1
        return t


class ErasesTheErased(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        if t.erase and record is not None and record.status == TERMINATED:
            record.generation += 1
        return t


class RedrivesAgainAndAgain(Doors):
    def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        redriven = {t.instance for t in transitions if t.redrive and t.instance in self._rows}
        before = {name: dict(self._rows[name].letters) for name in redriven}
        reply = super().commit(transitions, request)
        for name, letters in before.items():
            self._rows[name].letters.update(letters)
        return reply


class SweepsTheLiving(Doors):
    def sweep(self, now: int, budget: int) -> int:
        for rows in self._rows.values():
            rows.receipts.clear()
        return super().sweep(now, budget)


class SweepsLettersEarly(Doors):
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


class SweepsSoMuchOfEach(Doors):
    def sweep(self, now: int, budget: int) -> int:
        rows, gone = self._rows, 0
        for name in list(rows):
            self._rows = {name: rows[name]}
            gone += super().sweep(now, budget)
            if not self._rows:
                del rows[name]
        self._rows = rows
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
        old = self._old.pop(t.instance, {}) if self.record(t.instance) is None else {}
        if t.create is not None and old:
            super().commit([Transition(instance=t.instance, at=t.at, create=t.create)], None)
            self._rows[t.instance].receipts.update(old)
        return t


class DuesForDuplicates(Doors):
    def after(self, t: Transition, record: Record) -> None:
        record.dues.update({due.name: due.at for due in t.dues})


class SealsForADuplicate(Doors):
    def after(self, t: Transition, record: Record) -> None:
        if t.seal and t.append and record.segment_count:
            assign(record, segment=record.segment + 1, segment_count=0)


class RoomForTheFirst(Doors):
    def transition(self, t: Transition) -> Transition:
        return t if self.record(t.instance) is not None else replace(t, guard=None)


class ClearsWhatIsInHand(Doors):
    def transition(self, t: Transition) -> Transition:
        record = self.record(t.instance)
        if t.clear is not None and record is not None:
            record.taken = ()
        return t


class LatestAlarm(Doors):
    def next_due(self) -> int | None:
        return max((rows.record.alarm or 0 for rows in self._rows.values()), default=None)


class NextDueUsesUp(Doors):
    def next_due(self) -> int | None:
        first = self._alarms.peek()
        if first is not None:
            self._alarms.cancel(first[1])
        return None if first is None else first[0]


class KeepsIdsOfTheDead(KeepsLettersOfTheDead):
    kept = "receipts"
