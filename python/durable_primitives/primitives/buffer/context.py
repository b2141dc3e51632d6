"""What user code of a buffer gets."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from durable_primitives.durations import to_datetime
from durable_primitives.logs import Logger, get_logger
from durable_primitives.primitives.buffer.stored import Batch, Flush

if TYPE_CHECKING:
    from durable_primitives.client import PrimitivesClient
    from durable_primitives.services.environment import Environment
    from durable_primitives.services.ownership import Ownership

E = TypeVar("E")
S = TypeVar("S")


class BufferEventContext(Struct, Generic[E, S], frozen=True):
    """One event on its way into a batch, for a reducer.  Times are aware UTC."""

    id: str
    """The id of the instance, as the caller gave it."""
    event: E
    event_id: str | None
    state: S | None
    """What the reducer returned for the event before; None for the first event of a batch.  Decoded for this call."""
    event_count: int
    """Events in the batch, this one included."""
    first_event_at: datetime
    """When the first event of the batch was accepted: now, for the first."""


class BufferExecuteContext(Generic[S]):
    """One attempt at flushing one batch.  Times are aware UTC."""

    def __init__(self, ownership: Ownership, environment: Environment, flush: Flush, batch: Batch, state: S) -> None:
        self._ownership = ownership
        self._environment = environment
        self.instance_id = ownership.instance
        self.id = ownership.id
        self.name = ownership.name
        self.state = state
        """The events in order, or what the reducer made of them.  Decoded for this attempt."""
        self.event_count = batch.count
        self.first_event_at = to_datetime(batch.first_at)
        self.last_event_at = to_datetime(batch.last_at)
        self.flush_reason = batch.reason
        self.flush_id = flush.flush_id
        """Names this batch, with the same content, on every attempt and redrive."""
        self.attempt = flush.attempt + 1
        """1 for the first execution."""
        self.is_retry = flush.attempt > 0
        self.idempotency_key = flush.flush_id
        """Hand it to whatever the handler calls: a batch that is flushed again brings the same key."""

    @property
    def cancelled(self) -> bool:
        """Whether the handler should come to an end: a shutdown began, or the lease is lost."""
        return self._ownership.draining or self._ownership.lost

    @cached_property
    def client(self) -> PrimitivesClient:
        """A client whose sends carry ids derived from this batch: a batch that is flushed again sends nothing twice."""
        return self._environment.client_for(self.idempotency_key)

    @property
    def resources(self) -> Any:
        """What the application's `resources` yielded."""
        return self._environment.resources

    @property
    def log(self) -> Logger:
        """A logger that names the batch."""
        return get_logger(f"durable_primitives.buffer.{self.name}").bind(
            instance_id=self.instance_id, flush_id=self.flush_id, attempt=self.attempt
        )


class BufferDeadLetterContext(Struct, frozen=True, kw_only=True):
    """What `on_dead_letter` learns besides the state and the error.  The batch is a dead letter already."""

    instance_id: str
    id: str
    name: str
    flush_id: str
    attempts: int
    event_count: int
    first_event_at: datetime
    last_event_at: datetime
    failed_at: datetime
