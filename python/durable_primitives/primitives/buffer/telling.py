"""Tracking events about the attempts at a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from durable_primitives.events import (
    BufferCleared,
    BufferDeadLettered,
    BufferDiscarded,
    BufferFlushed,
    BufferFlushFailed,
    PrimitiveEvent,
)
from durable_primitives.kernel.record import Record
from durable_primitives.primitives.buffer.stored import Flush
from durable_primitives.services.metadata import identify

if TYPE_CHECKING:
    from durable_primitives.primitives.buffer.flushing import Ending


def ended(
    namespace: str, record: Record, flush: Flush, ending: Ending, now: int, next_due_ms: int | None = None
) -> Iterator[PrimitiveEvent]:
    """What an attempt came to.  A snooze is no news, and neither is a batch that had vanished."""
    who, batch, error = identify(namespace, record.instance), ending.batch, ending.error
    if ending.on == "returned":
        yield BufferFlushed(
            at_ms=now,
            flush_id=flush.flush_id,
            flush_reason=batch.reason,
            event_count=batch.count,
            attempt=ending.attempt,
            duration_ms=ending.duration_ms,
            **who,
        )
    if ending.on in ("raised", "gave_up") and error is not None:
        yield BufferFlushFailed(
            at_ms=now,
            flush_id=flush.flush_id,
            flush_reason=batch.reason,
            event_count=batch.count,
            attempt=ending.attempt,
            duration_ms=ending.duration_ms,
            error=error,
            next_due_ms=next_due_ms,
            **who,
        )
    if ending.on in ("gave_up", "crash_looped"):
        yield BufferDeadLettered(
            at_ms=now,
            flush_id=flush.flush_id,
            flush_reason=batch.reason,
            event_count=batch.count,
            attempt=ending.attempt,
            reason=ending.reason,
            error=error,
            **who,
        )
    if ending.on == "cancelled" and flush.segment is not None:
        yield BufferCleared(at_ms=now, event_count=batch.count, **who)
    elif ending.on == "cancelled":
        yield BufferDiscarded(at_ms=now, flush_id=flush.flush_id, event_count=batch.count, **who)
