"""What the handler of a queue gets."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from durable_primitives.durations import to_datetime
from durable_primitives.kernel.record import Item
from durable_primitives.logs import Logger, get_logger

if TYPE_CHECKING:
    from durable_primitives.client import PrimitivesClient
    from durable_primitives.primitives.queue.stream import Stream

E = TypeVar("E")


class QueueExecuteContext(Generic[E]):
    """One attempt at one event."""

    __slots__ = ("_client", "_item", "_stream", "attempt", "delivery", "event")

    def __init__(self, stream: Stream, item: Item, event: E) -> None:
        self._stream = stream
        self._item = item
        self._client: PrimitivesClient | None = None
        self.event = event
        """The decoded event, fresh for every attempt."""
        self.attempt = item.attempt + 1
        """1 for the first execution."""
        self.delivery = item.delivery or 1
        """How many claims it took; more than 1 after a crash."""

    @property
    def instance_id(self) -> str:
        return self._stream.instance

    @property
    def instance_index(self) -> int:
        return self._stream.index

    @property
    def name(self) -> str:
        return self._stream.name

    @property
    def event_id(self) -> str:
        assert self._item.id is not None
        return self._item.id

    @property
    def partition_key(self) -> str | None:
        return self._item.lane

    @property
    def sequence(self) -> int:
        """The place of the event in its instance; it only rises."""
        return self._item.seq

    @property
    def is_retry(self) -> bool:
        return self.attempt > 1

    @property
    def enqueued_at(self) -> datetime:
        return to_datetime(self._item.at)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt and delivery of this event: hand it to whatever the handler calls."""
        return f"queue:{self._stream.name}:{self._item.id}"

    @property
    def cancelled(self) -> bool:
        """Whether the handler should come to an end: a cancel was asked for, the lease is lost, or a shutdown began."""
        return self._stream.is_cancelled(self._item.seq)

    @property
    def client(self) -> PrimitivesClient:
        """A client whose sends carry ids derived from this event: an event that runs again sends nothing twice."""
        if self._client is None:
            self._client = self._stream.environment.client_for(self.idempotency_key)
        return self._client

    @property
    def resources(self) -> Any:
        """What the application's `resources` yielded."""
        return self._stream.environment.resources

    @property
    def log(self) -> Logger:
        """A logger that names the event."""
        return get_logger(f"durable_primitives.queue.{self.name}").bind(
            instance_id=self.instance_id, event_id=self.event_id, attempt=self.attempt
        )


class QueueDeadLetterContext(Struct, frozen=True):
    """What `on_dead_letter` learns besides the event and the error."""

    event_id: str
    attempts: int
    enqueued_at: datetime
    failed_at: datetime
    instance_id: str
    instance_index: int
    name: str
