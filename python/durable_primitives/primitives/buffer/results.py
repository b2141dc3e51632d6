"""What the client of a buffer gives back.  Times are aware UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Literal, TypeVar, get_args

from msgspec import Struct

from durable_primitives.events import ErrorInfo
from durable_primitives.primitives.buffer.stored import FlushReason

S = TypeVar("S")

Status = Literal["not_found", "idle", "buffering", "flushing", "retrying", "orphaned", "failed"]
"""The first that holds, from the right: `failed` and `orphaned` instances cannot run here and keep every byte;
`retrying`: a batch failed and waits for its next attempt; `flushing`: a sealed batch is handed over or waits for its
turn; `buffering`: events gather; `idle`: nothing is stored but the ids of past events."""

STATES: tuple[Status, ...] = get_args(Status)


class AddResult(Struct, frozen=True, gc=False):
    """An accepted event.  For a duplicate, the count and the time are those of the batch that is open now."""

    instance_id: str
    event_count: int
    """Events in the batch right after this one."""
    will_flush_at: datetime | None
    """When the batch is due: now, if it is full.  None if only further events, or `flush`, can make it due."""
    duplicate: bool
    created: bool
    """Whether this event brought the instance into being."""


AddResults = list[AddResult]
"""One for each event, in order."""


class FlushReceipt(Struct, frozen=True):
    """`flushed`: there was something to flush.  The batch is sealed; a worker hands it over."""

    instance_id: str
    flushed: bool
    event_count: int
    flush_id: str | None


class ClearResult(Struct, frozen=True):
    """`cleared`: there was something to drop."""

    instance_id: str
    cleared: bool
    discarded_events: int


class BufferStatus(Struct, frozen=True, kw_only=True):
    """Where an instance stands.  The count and times are those of the open batch."""

    status: Status
    event_count: int = 0
    first_event_at: datetime | None = None
    will_flush_at: datetime | None = None
    """When the open batch is due, if nothing seals it earlier."""
    flushing: bool = False
    """Whether a sealed batch is being handed over, or waits for its turn or its next attempt."""
    attempt: int = 0
    """Finished tries of the batch that is being handed over."""
    retry_at: datetime | None = None
    """When it is tried again, if its last try failed."""
    last_error: ErrorInfo | None = None
    """Why the last try failed; None once a batch has been flushed since."""


class BufferSummary(Struct, frozen=True):
    """One instance in a listing."""

    instance_id: str
    id: str
    status: BufferStatus


class BufferDeadLetter(Struct, Generic[S], frozen=True, kw_only=True):
    """A batch that was given up on.  `state` is None if it no longer decodes; its bytes are kept."""

    flush_id: str
    instance_id: str
    id: str
    state: S | None
    error: ErrorInfo
    attempts: int
    event_count: int
    flush_reason: FlushReason | None
    first_event_at: datetime | None
    last_event_at: datetime | None
    failed_at: datetime
