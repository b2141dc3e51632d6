"""What happens to a Queue: an event is accepted, tried, and reaches exactly one end."""

from __future__ import annotations

from durable_primitives.events.model import ErrorInfo, PrimitiveEvent


class _QueueItem(PrimitiveEvent, frozen=True, kw_only=True):
    event_id: str
    partition_key: str | None = None


class QueueEnqueued(_QueueItem, frozen=True, kw_only=True, tag="queue.enqueued"):
    """An event was accepted."""

    severity = "debug"

    priority: int = 0
    next_due_ms: int | None = None
    """When it may start, if it was delayed."""


class QueueDuplicate(_QueueItem, frozen=True, kw_only=True, tag="queue.duplicate"):
    """An event id came again; the first receipt was returned."""

    severity = "debug"


class QueueRejected(PrimitiveEvent, frozen=True, kw_only=True, tag="queue.rejected"):
    """An event was refused and nothing changed, for example because the queue was full."""

    severity = "warning"

    reason: str
    event_id: str | None = None
    partition_key: str | None = None
    limit: int | None = None
    """How many events the instance may hold."""


class QueueStarted(_QueueItem, frozen=True, kw_only=True, tag="queue.started"):
    """The handler was called."""

    severity = "debug"

    attempt: int
    delivery: int


class QueueCompleted(_QueueItem, frozen=True, kw_only=True, tag="queue.completed"):
    """The handler returned."""

    severity = "debug"

    attempt: int
    duration_ms: int


class QueueFailed(_QueueItem, frozen=True, kw_only=True, tag="queue.failed"):
    """The handler raised or timed out."""

    severity = "warning"

    attempt: int
    duration_ms: int
    error: ErrorInfo
    will_retry: bool


class QueueRetryScheduled(_QueueItem, frozen=True, kw_only=True, tag="queue.retry_scheduled"):
    """Another attempt has a due time."""

    attempt: int
    """The attempt that failed."""
    next_due_ms: int


class QueueSnoozed(_QueueItem, frozen=True, kw_only=True, tag="queue.snoozed"):
    """The handler asked to be called later; no attempt was consumed."""

    attempt: int
    next_due_ms: int


class QueueCancelled(_QueueItem, frozen=True, kw_only=True, tag="queue.cancelled"):
    """The event ended without completing, at the wish of a caller or of the handler."""

    reason: str | None = None


class QueueExpired(_QueueItem, frozen=True, kw_only=True, tag="queue.expired"):
    """The event was not started before `expires_after` had passed."""

    severity = "warning"


class QueueDeadLettered(_QueueItem, frozen=True, kw_only=True, tag="queue.dead_lettered"):
    """The event was given up on and kept as a dead letter."""

    severity = "error"

    attempt: int
    reason: str
    """Why it was given up on, for example "max_attempts", "crash_loop", or what the handler said."""
    error: ErrorInfo | None = None


class QueueRedriven(_QueueItem, frozen=True, kw_only=True, tag="queue.redriven"):
    """A dead letter was put back into the queue."""


class QueueDiscarded(_QueueItem, frozen=True, kw_only=True, tag="queue.discarded"):
    """An event was deleted by a caller, or by `on_full="drop_oldest"`."""

    reason: str | None = None


class QueuePaused(PrimitiveEvent, frozen=True, kw_only=True, tag="queue.paused"):
    """This instance accepts events and starts none."""


class QueueResumed(PrimitiveEvent, frozen=True, kw_only=True, tag="queue.resumed"):
    """This instance starts events again."""


class QueueCleared(PrimitiveEvent, frozen=True, kw_only=True, tag="queue.cleared"):
    """The pending events of this instance were dropped on request."""

    event_count: int


EVENTS: tuple[type[PrimitiveEvent], ...] = (
    QueueEnqueued,
    QueueDuplicate,
    QueueRejected,
    QueueStarted,
    QueueCompleted,
    QueueFailed,
    QueueRetryScheduled,
    QueueSnoozed,
    QueueCancelled,
    QueueExpired,
    QueueDeadLettered,
    QueueRedriven,
    QueueDiscarded,
    QueuePaused,
    QueueResumed,
    QueueCleared,
)
