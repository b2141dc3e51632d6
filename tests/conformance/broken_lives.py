"""Stores with one defect each in what time does: alarms, leases, the end of a life, retention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from durable_primitives.kernel.record import MAX_LETTERS, NEVER, TERMINATED, DeadLetter, Record
from durable_primitives.kernel.transition import (
    Claim,
    ClaimRequest,
    LeaseRef,
    Renewal,
    Transition,
)

from .doors import Doors, Reply, assign


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


class CountsClaimsForTokens(Doors):
    def _claim(self, request: ClaimRequest) -> list[Claim]:
        claims = super()._claim(request)
        for claim in claims:
            kept = self._rows[claim.record.instance].record
            kept.token = claim.record.token = kept.deliveries
        return claims


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


class KeepsAnyNumberOfLetters(Doors):
    def _drop_excess(self, letters: dict[str, DeadLetter], budget: int) -> int:
        return 0


class SweepsTheNewestLetters(Doors):
    def _drop_excess(self, letters: dict[str, DeadLetter], budget: int) -> int:
        aged = {id: replace(letter, failed_at=self.age(letter)) for id, letter in letters.items()}
        gone = super()._drop_excess(aged, budget)
        for id in letters.keys() - aged.keys():
            del letters[id]
        return gone

    def age(self, letter: DeadLetter) -> int:
        return -letter.failed_at


class SweepsLettersByName(SweepsTheNewestLetters):
    def age(self, letter: DeadLetter) -> int:
        return 0


class CountsLettersOfAll(Doors):
    def _drop_excess(self, letters: dict[str, DeadLetter], budget: int) -> int:
        count = sum(len(rows.letters) for rows in self._rows.values())
        gone = min(max(count - MAX_LETTERS, 0), budget, len(letters))
        for id in sorted(letters, key=lambda id: (letters[id].failed_at, id))[:gone]:
            del letters[id]
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
