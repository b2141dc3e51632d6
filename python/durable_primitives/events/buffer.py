"""What happens to a Buffer: events gather, a batch is sealed, the batch is flushed."""

from __future__ import annotations

from durable_primitives.events.model import ErrorInfo, PrimitiveEvent


class BufferEventReceived(PrimitiveEvent, frozen=True, kw_only=True, tag="buffer.event_received"):
    """An event was accepted into the open batch."""

    severity = "debug"

    event_count: int
    """Events in the open batch, this one included."""
    event_id: str | None = None
    next_due_ms: int | None = None
    """When the batch will be flushed, if nothing seals it earlier."""


class BufferDuplicate(PrimitiveEvent, frozen=True, kw_only=True, tag="buffer.duplicate"):
    """An event id came again; neither state nor timer moved."""

    severity = "debug"

    event_id: str


class BufferRejected(PrimitiveEvent, frozen=True, kw_only=True, tag="buffer.rejected"):
    """An event was refused and nothing changed, for example because the reducer raised."""

    severity = "warning"

    reason: str
    event_id: str | None = None
    error: ErrorInfo | None = None


class BufferFlushRequested(PrimitiveEvent, frozen=True, kw_only=True, tag="buffer.flush_requested"):
    """A caller made the open batch due now."""

    event_count: int
    flush_id: str


class _FlushAttempt(PrimitiveEvent, frozen=True, kw_only=True):
    flush_id: str
    """The same on every attempt at one batch."""
    flush_reason: str
    """What sealed the batch, for example "max_events" or "debounce"."""
    event_count: int
    attempt: int


class BufferFlushed(_FlushAttempt, frozen=True, kw_only=True, tag="buffer.flushed"):
    """A batch was handed over."""

    duration_ms: int
    failed_count: int = 0
    """Events that the handler gave back."""


class BufferFlushFailed(_FlushAttempt, frozen=True, kw_only=True, tag="buffer.flush_failed"):
    """A flush raised or timed out; the batch is kept as it was."""

    severity = "warning"

    duration_ms: int
    error: ErrorInfo
    next_due_ms: int | None = None
    """When it is tried again; None if it is not."""


class BufferDeadLettered(_FlushAttempt, frozen=True, kw_only=True, tag="buffer.dead_lettered"):
    """A batch was given up on and kept as a dead letter; the next one proceeds."""

    severity = "error"

    reason: str
    """Why it was given up on, for example "max_attempts"."""
    error: ErrorInfo | None = None


class BufferRedriven(PrimitiveEvent, frozen=True, kw_only=True, tag="buffer.redriven"):
    """A dead batch was put back to be flushed again."""

    flush_id: str
    event_count: int


class BufferDiscarded(PrimitiveEvent, frozen=True, kw_only=True, tag="buffer.discarded"):
    """A dead batch was deleted on request."""

    flush_id: str
    event_count: int


class BufferCleared(PrimitiveEvent, frozen=True, kw_only=True, tag="buffer.cleared"):
    """The open batch was dropped on request."""

    event_count: int


EVENTS: tuple[type[PrimitiveEvent], ...] = (
    BufferEventReceived,
    BufferDuplicate,
    BufferRejected,
    BufferFlushRequested,
    BufferFlushed,
    BufferFlushFailed,
    BufferDeadLettered,
    BufferRedriven,
    BufferDiscarded,
    BufferCleared,
)
