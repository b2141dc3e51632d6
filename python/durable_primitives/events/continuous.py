"""What happens to a Continuous: the life of a repeating job."""

from __future__ import annotations

from durable_primitives.events.model import ErrorInfo, PrimitiveEvent


class ContinuousStarted(PrimitiveEvent, frozen=True, kw_only=True, tag="continuous.started"):
    """An instance was created, restarted, or started again after a stop."""

    next_due_ms: int | None = None
    restarted: bool = False
    """It existed before."""


class ContinuousExecuted(PrimitiveEvent, frozen=True, kw_only=True, tag="continuous.executed"):
    """A run returned and its state was saved."""

    severity = "debug"

    run_count: int
    attempt: int
    duration_ms: int
    missed: int = 0
    """Ticks that this run stands for beyond its own."""
    next_due_ms: int | None = None


class ContinuousFailed(PrimitiveEvent, frozen=True, kw_only=True, tag="continuous.failed"):
    """A run raised or timed out; its state is as it was before."""

    severity = "warning"

    run_count: int
    attempt: int
    duration_ms: int
    error: ErrorInfo
    will_retry: bool


class ContinuousRetryScheduled(PrimitiveEvent, frozen=True, kw_only=True, tag="continuous.retry_scheduled"):
    """Another attempt at the failed run has a due time."""

    run_count: int
    attempt: int
    """The attempt that failed."""
    next_due_ms: int


class ContinuousRetryExhausted(PrimitiveEvent, frozen=True, kw_only=True, tag="continuous.retry_exhausted"):
    """The last attempt failed, or the error is one that no retry mends; `on_exhausted` was applied."""

    severity = "error"

    run_count: int
    attempt: int
    error: ErrorInfo
    reason: str
    """Why there is no further attempt, for example "max_attempts" or "give_up_on"."""
    on_exhausted: str
    """What was done: "continue", "pause" or "stop"."""
    next_due_ms: int | None = None


class ContinuousTriggered(PrimitiveEvent, frozen=True, kw_only=True, tag="continuous.triggered"):
    """A run was asked for out of turn."""

    while_running: bool = False
    """A run was in flight: exactly one more follows it."""


class ContinuousPaused(PrimitiveEvent, frozen=True, kw_only=True, tag="continuous.paused"):
    """No run starts until it is resumed."""

    reason: str | None = None


class ContinuousResumed(PrimitiveEvent, frozen=True, kw_only=True, tag="continuous.resumed"):
    """The schedule goes on; the misfire rule has been applied to the gap."""

    missed: int = 0
    next_due_ms: int | None = None


class ContinuousStopped(PrimitiveEvent, frozen=True, kw_only=True, tag="continuous.stopped"):
    """It was stopped by a caller, by its handler, or by its own limit; the state is kept."""

    run_count: int
    reason: str | None = None


class ContinuousTerminated(PrimitiveEvent, frozen=True, kw_only=True, tag="continuous.terminated"):
    """Its rows are deleted and later writes of this generation are refused."""

    run_count: int
    reason: str | None = None


EVENTS: tuple[type[PrimitiveEvent], ...] = (
    ContinuousStarted,
    ContinuousExecuted,
    ContinuousFailed,
    ContinuousRetryScheduled,
    ContinuousRetryExhausted,
    ContinuousTriggered,
    ContinuousPaused,
    ContinuousResumed,
    ContinuousStopped,
    ContinuousTerminated,
)
