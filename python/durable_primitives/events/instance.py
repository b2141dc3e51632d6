"""What can happen to an instance of any primitive."""

from __future__ import annotations

from durable_primitives.events.model import ErrorInfo, PrimitiveEvent


class InstanceOrphaned(PrimitiveEvent, frozen=True, kw_only=True, tag="instance.orphaned"):
    """No definition of this kind and name is deployed: the instance waits for one, untouched."""

    severity = "error"

    reason: str


class InstanceParked(PrimitiveEvent, frozen=True, kw_only=True, tag="instance.parked"):
    """It can not go on as it is: its state does not decode, or its handler keeps killing the process."""

    severity = "error"

    reason: str
    """For example "undecodable" or "crash_loop"."""
    delivery: int | None = None
    """Claims without an outcome, for a crash loop."""
    error: ErrorInfo | None = None


class InstanceRecovered(PrimitiveEvent, frozen=True, kw_only=True, tag="instance.recovered"):
    """An orphaned or parked instance can go on: the definition is back, or the state decodes again."""

    next_due_ms: int | None = None


class InstanceLeaseLost(PrimitiveEvent, frozen=True, kw_only=True, tag="instance.lease_lost"):
    """This worker no longer owns the instance; what it was about to commit changed nothing."""

    severity = "warning"

    reason: str | None = None


class InstancePurged(PrimitiveEvent, frozen=True, kw_only=True, tag="instance.purged"):
    """Its rows were deleted, on request or at the end of their retention."""

    reason: str | None = None


EVENTS: tuple[type[PrimitiveEvent], ...] = (
    InstanceOrphaned,
    InstanceParked,
    InstanceRecovered,
    InstanceLeaseLost,
    InstancePurged,
)
