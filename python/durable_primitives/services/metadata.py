"""The part of a record that every primitive shares: its status, and what happens when it cannot run here."""

from __future__ import annotations

from typing import Protocol, TypedDict

from durable_primitives.events import ErrorInfo, InstanceOrphaned, InstanceParked, InstanceRecovered, PrimitiveEvent
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.ids import split_instance
from durable_primitives.kernel.record import RECHECK_DUE, Record
from durable_primitives.kernel.transition import Due, Put, Transition
from durable_primitives.services.ownership import Ownership

RECHECK_MS = 5 * 60 * 1000
"""How often a parked instance is looked at."""

ORPHANED = "orphaned"
"""The status of an instance whose definition this deploy does not have."""

FAILED = "failed"
"""The status of an instance that cannot run: its state does not decode, or it keeps killing its process."""


class Identity(TypedDict):
    """The fields by which every tracking event names its instance."""

    namespace: str
    kind: str
    name: str
    instance_id: str


class Revivable(Protocol):
    """The part of an orchestrator that brings a parked instance back."""

    def revive(self, record: Record) -> str:
        """The status that a parked instance takes up again."""
        ...


def identify(namespace: str, instance: str) -> Identity:
    """How an event names an instance."""
    kind, name, _ = split_instance(instance)
    return Identity(namespace=namespace, kind=kind, name=name, instance_id=instance)


def identity(ownership: Ownership) -> Identity:
    """How an event names the owned instance."""
    return Identity(
        namespace=ownership.namespace,
        kind=ownership.kind,
        name=ownership.name,
        instance_id=ownership.instance,
    )


async def park_orphan(ownership: Ownership) -> None:
    """A due instance without a definition: keep every byte, say so, look again later (law 6)."""
    told = InstanceOrphaned(at_ms=ownership.runtime.now(), reason="no definition", **identity(ownership))
    await _park(ownership, ORPHANED, told, recheck=True)


async def park_failed(
    ownership: Ownership, reason: str, error: ErrorInfo | None = None, *, recheck: bool = True
) -> None:
    """An instance that cannot run: keep every byte, say why, and (unless it is a crash loop) look again later."""
    told = InstanceParked(at_ms=ownership.runtime.now(), reason=reason, error=error, **identity(ownership))
    await _park(ownership, FAILED, told, recheck=recheck)


async def _park(ownership: Ownership, status: str, told: PrimitiveEvent, *, recheck: bool) -> None:
    at = ownership.runtime.now()
    due = Due(RECHECK_DUE, "set", at + RECHECK_MS) if recheck else Due(RECHECK_DUE, "clear")

    def decide(record: Record) -> Decision[None]:
        transition = Transition(
            instance=ownership.instance,
            at=at,
            guard=ownership.versioned(),
            put=Put(status=status, data=record.data, held=True, linger_ms=record.linger_ms),
            dues=(due,),
            release="yes",
        )
        # One that was parked and only looked at again is still what it was: nothing new to tell.
        news = () if ownership.parked_as == status else (told,)
        return Decision(transition, lambda _: None, lambda _: news)

    await ownership.decide(decide)
    ownership.parked_as = status


async def revive(ownership: Ownership, orchestrator: Revivable) -> None:
    """A parked instance that is looked at again takes up where it stood; if it still cannot run it parks once more."""
    if ownership.parked_as is None:
        return
    at = ownership.runtime.now()

    def decide(record: Record) -> Decision[None]:
        transition = Transition(
            instance=ownership.instance,
            at=at,
            guard=ownership.versioned(),
            put=Put(status=orchestrator.revive(record), data=record.data, held=False, linger_ms=record.linger_ms),
            dues=(Due(RECHECK_DUE, "clear"),),
        )
        return Decision(transition, lambda _: None)

    await ownership.decide(decide)
    await ownership.refresh()


def tell_recovered(ownership: Ownership) -> None:
    """A parked instance went on."""
    if ownership.parked_as is not None and ownership.record.status not in (ORPHANED, FAILED):
        ownership.emit(InstanceRecovered(at_ms=ownership.runtime.now(), **identity(ownership)))
