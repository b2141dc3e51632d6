"""The part of a record that every primitive shares: its status, and what happens when it cannot run here."""

from __future__ import annotations

from typing import Protocol, TypedDict

from durable_primitives.events import ErrorInfo, InstanceOrphaned, InstanceParked, InstanceRecovered
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
    at = ownership.runtime.now()
    if ownership.record.status != ORPHANED:
        ownership.emit(InstanceOrphaned(at_ms=at, reason="no definition", **identity(ownership)))
    await ownership.commit(_parked(ownership, ORPHANED, at))


async def park_failed(ownership: Ownership, reason: str, error: ErrorInfo | None) -> None:
    """An instance that cannot run: keep every byte, say why, look again later."""
    at = ownership.runtime.now()
    if ownership.record.status != FAILED:
        ownership.emit(InstanceParked(at_ms=at, reason=reason, error=error, **identity(ownership)))
    await ownership.commit(_parked(ownership, FAILED, at))


def _parked(ownership: Ownership, status: str, at: int) -> Transition:
    record = ownership.record
    return Transition(
        instance=ownership.instance,
        at=at,
        guard=ownership.fence,
        put=Put(status=status, data=record.data, held=True, linger_ms=record.linger_ms),
        dues=(Due(RECHECK_DUE, "set", at + RECHECK_MS),),
        release="yes",
    )


async def revive(ownership: Ownership, orchestrator: Revivable) -> None:
    """A parked instance that is looked at again takes up where it stood; if it still cannot run it parks once more."""
    record = ownership.record
    if RECHECK_DUE not in record.dues:
        return
    at = ownership.runtime.now()
    await ownership.commit(
        Transition(
            instance=ownership.instance,
            at=at,
            guard=ownership.fence,
            put=Put(status=orchestrator.revive(record), data=record.data, held=False, linger_ms=record.linger_ms),
            dues=(Due(RECHECK_DUE, "clear"),),
        )
    )
    ownership.emit(InstanceRecovered(at_ms=at, **identity(ownership)))
    await ownership.refresh()
