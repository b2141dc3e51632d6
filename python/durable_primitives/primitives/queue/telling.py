"""Tracking events about the attempts at an event."""

from __future__ import annotations

from collections.abc import Iterator

from durable_primitives.events import (
    PrimitiveEvent,
    QueueCancelled,
    QueueCompleted,
    QueueDeadLettered,
    QueueExpired,
    QueueFailed,
    QueueRetryScheduled,
    QueueSnoozed,
    QueueStarted,
)
from durable_primitives.kernel.record import Item
from durable_primitives.kernel.transition import Reschedule
from durable_primitives.primitives.queue.orchestrator import Verdict
from durable_primitives.services.metadata import identity
from durable_primitives.services.ownership import Ownership


def started(owned: Ownership, item: Item) -> None:
    """An attempt begins."""
    owned.emit(
        QueueStarted(
            at_ms=owned.runtime.now(),
            event_id=item.id or "",
            partition_key=item.lane,
            attempt=item.attempt + 1,
            delivery=item.delivery or 1,
            **identity(owned),
        )
    )


def ended(owned: Ownership, item: Item, verdict: Verdict, seconds: float) -> None:
    """An attempt is over, or the event never had one."""
    for event in _ends(owned, item, verdict, int(seconds * 1000)):
        owned.emit(event)


def _ends(owned: Ownership, item: Item, verdict: Verdict, duration_ms: int) -> Iterator[PrimitiveEvent]:
    at_ms, id, lane, attempt = owned.runtime.now(), item.id or "", item.lane, item.attempt + 1
    who = identity(owned)
    if verdict.error is not None and verdict.ended in ("retry", "dead"):
        yield QueueFailed(
            at_ms=at_ms,
            event_id=id,
            partition_key=lane,
            attempt=attempt,
            duration_ms=duration_ms,
            error=verdict.error,
            will_retry=verdict.ended == "retry",
            **who,
        )
    change = verdict.change
    due = change.due if isinstance(change, Reschedule) else 0
    if verdict.ended == "completed":
        yield QueueCompleted(
            at_ms=at_ms, event_id=id, partition_key=lane, attempt=attempt, duration_ms=duration_ms, **who
        )
    elif verdict.ended == "retry":
        yield QueueRetryScheduled(at_ms=at_ms, event_id=id, partition_key=lane, attempt=attempt, next_due_ms=due, **who)
    elif verdict.ended == "snoozed":
        yield QueueSnoozed(at_ms=at_ms, event_id=id, partition_key=lane, attempt=attempt, next_due_ms=due, **who)
    elif verdict.ended == "cancelled":
        yield QueueCancelled(at_ms=at_ms, event_id=id, partition_key=lane, reason=verdict.reason, **who)
    elif verdict.ended == "expired":
        yield QueueExpired(at_ms=at_ms, event_id=id, partition_key=lane, **who)
    else:
        yield QueueDeadLettered(
            at_ms=at_ms,
            event_id=id,
            partition_key=lane,
            attempt=attempt,
            reason=verdict.reason or "",
            error=verdict.error,
            **who,
        )
