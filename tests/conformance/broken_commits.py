"""Stores with one defect each in what a commit writes: the reference, breaking one law on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from durable_primitives._core._reference.memory_store import _drop_item
from durable_primitives.kernel.record import Receipt, Record, Snapshot
from durable_primitives.kernel.transition import (
    ClaimRequest,
    Outcome,
    Transition,
)
from durable_primitives.spi import Backend

from .doors import Doors, Reply, assign, over


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
