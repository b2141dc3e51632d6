"""What the client of a queue gives back, and the envelope of one event of `enqueue_many`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar

from msgspec import Struct

from durable_primitives.durations import Duration
from durable_primitives.events import ErrorInfo
from durable_primitives.kernel.transition import CancelAnswer

E = TypeVar("E")


class Enqueue(Struct, Generic[E], frozen=True):
    """One event of `enqueue_many`, with options of its own."""

    event: E
    id: str | None = None
    partition_key: str | None = None
    delay: Duration | None = None
    at: datetime | None = None
    priority: int = 0


class EnqueueResult(Struct, frozen=True, gc=False):
    """The receipt of an accepted event.  A duplicate gets the first receipt again."""

    event_id: str
    instance_id: str
    instance_index: int
    position: int
    """Its place among the events of its instance when it was accepted; 1 is next."""
    duplicate: bool


class CancelResult(Struct, frozen=True):
    """`running`: its worker has it in hand and was asked to stop; `done`: it had ended before."""

    event_id: str
    outcome: CancelAnswer


class QueueStatus(Struct, frozen=True, kw_only=True):
    """Where the events of a queue stand.  Each live event counts in exactly one of the first four."""

    pending: int
    delayed: int
    running: int
    """In the hands of a worker."""
    retrying: int
    dead: int
    processed: int
    """Events that ended well since the instance came to be."""
    paused: bool
    oldest_age: timedelta | None
    """The age of the oldest live event."""
    instances: int


class QueuePauseResult(Struct, frozen=True):
    """`paused` tells whether the instances are held now."""

    instance_id: str
    paused: bool


class QueueClearResult(Struct, frozen=True):
    """How many waiting events were dropped."""

    instance_id: str
    cleared: bool
    discarded_events: int


class DrainResult(Struct, frozen=True):
    """`drained`: nothing is left; otherwise `pending` events were still live when the time was over."""

    drained: bool
    pending: int


class DeadLetterRecord(Struct, Generic[E], frozen=True):
    """An event that was given up on.  `event` is None if it no longer decodes; its bytes are kept."""

    event_id: str
    event: E | None
    error: ErrorInfo
    attempts: int
    enqueued_at: datetime
    failed_at: datetime
    partition_key: str | None
    instance_index: int


Ordering = Literal["strict", "relaxed"]
OnFull = Literal["reject", "drop_oldest"]
