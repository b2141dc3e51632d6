"""The reference with doors, through which a defect comes in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives.kernel.record import Record
from durable_primitives.kernel.transition import (
    Claim,
    ClaimRequest,
    Create,
    Outcome,
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


def last_words(t: Transition) -> Transition:
    """Of two removals of one item the last one counts."""
    return replace(t, remove=tuple({removal.item.seq: removal for removal in t.remove}.values()))


def bounded(t: Transition) -> Transition:
    """Three events are a batch, if nobody says otherwise."""
    unbounded = t.batching is not None and t.batching.max_items is None
    return with_part(t, "batching", max_items=3) if unbounded else t
