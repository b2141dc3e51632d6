"""What the client of a Continuous answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

from durable_primitives.events import ErrorInfo

ContinuousState = Literal["scheduled", "running", "retrying", "paused", "stopped", "failed", "orphaned", "not_found"]
"""What an instance is doing.

``failed``: it cannot run (its state does not decode, its schedule function raises, or it keeps killing its process) and
is looked at again by itself.  ``orphaned``: a worker that does not have its definition came across it.
"""

STATES: tuple[ContinuousState, ...] = get_args(ContinuousState)

IfExists = Literal["return_existing", "restart", "raise"]
IF_EXISTS: tuple[IfExists, ...] = get_args(IfExists)


class StartResult(Struct, frozen=True):
    """`created` is False for an instance that existed before."""

    instance_id: str
    created: bool
    status: ContinuousState
    next_run_at: datetime | None


class StopResult(Struct, frozen=True):
    """`stopped` is False only if there is no such instance; `reason` is the one it was stopped for."""

    instance_id: str
    stopped: bool
    reason: str | None


class TerminateResult(Struct, frozen=True):
    """`terminated` is False if there was no such instance."""

    instance_id: str
    terminated: bool


class TriggerResult(Struct, frozen=True):
    """`triggered` is False for an instance that is paused or stopped."""

    instance_id: str
    triggered: bool


class PauseResult(Struct, frozen=True):
    """`paused` is what holds after the call."""

    instance_id: str
    paused: bool


class ContinuousStatus(Struct, frozen=True):
    """One instance at one moment."""

    status: ContinuousState
    next_run_at: datetime | None = None
    """When user code runs next: a retry's time while it is retrying, None while nothing is planned."""
    last_run_at: datetime | None = None
    """When the last attempt began."""
    run_count: int = 0
    attempt: int = 1
    """The attempt that runs or comes next."""
    consecutive_failures: int = 0
    """Runs in a row that exhausted their retries."""
    last_error: ErrorInfo | None = None
    """Why the last attempt failed; None once a run has succeeded since."""
    stop_reason: str | None = None


class ContinuousSummary(Struct, frozen=True):
    """One line of a listing."""

    id: str
    instance_id: str
    status: ContinuousState
    next_run_at: datetime | None = None
    last_run_at: datetime | None = None
    run_count: int = 0
    consecutive_failures: int = 0
