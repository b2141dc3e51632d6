"""The typed client of a buffer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from durable_primitives.errors import Issue, ValidationError
from durable_primitives.kernel.ids import check_id, instance_id
from durable_primitives.kernel.page import Page
from durable_primitives.kernel.primitive import Call
from durable_primitives.kernel.record import NEVER
from durable_primitives.kernel.transition import NewItem
from durable_primitives.primitives.buffer.dead_letters import BufferDeadLetters
from durable_primitives.primitives.buffer.definition import BufferDefinition
from durable_primitives.primitives.buffer.orchestrator import NoRequest
from durable_primitives.primitives.buffer.queries import InstancesRequest
from durable_primitives.primitives.buffer.results import (
    STATES,
    AddResult,
    AddResults,
    BufferStatus,
    BufferSummary,
    ClearResult,
    FlushReceipt,
    Status,
)
from durable_primitives.primitives.buffer.stored import Batch
from durable_primitives.services.limits import limited
from durable_primitives.services.options import choice, page_limit, text_or_none
from durable_primitives.services.senders import Sender

E = TypeVar("E")
S = TypeVar("S")

_NOTHING = NoRequest()


class BufferClient(Generic[E, S]):
    """Sends events to the instances of a buffer and looks after them.

    Every method returns when the store has made its change durable, and raises a `StorageError` that says whether the
    change was applied if it could not.
    """

    def __init__(
        self, definition: BufferDefinition[E, S], deliver: Callable[[Call], Awaitable[Any]], sender: Sender
    ) -> None:
        self._definition = definition
        self._name = definition.name
        self._encode = limited(definition.event.encode, sender.max_payload, "event")
        self._deliver = deliver
        self._sender = sender

    @property
    def dead_letters(self) -> BufferDeadLetters[S]:
        """The batches that were given up on."""
        return BufferDeadLetters(self._definition, self._deliver)

    async def add(self, id: str, event: E, event_id: str | None = None) -> AddResult:
        """Accept an event into the open batch of `id`: one commit that stores it and arms the timer.

        Args:
            id: Which instance; it comes into being with its first event.
            event: Checked against the schema before anything is written.
            event_id: Makes the call idempotent: from acceptance until the dedupe window after the end of its batch, a
                second event with this id is a duplicate, which changes neither the state nor the timer.

        Raises:
            ValidationError: The event or an id is not valid; nothing was written.
            ReducerError: `on_event` raised, or returned what is not a state; nothing was written.
            PayloadTooLargeError: The store does not take so long an event, or the state that it makes; nothing was
                written.
        """
        results = await self._add(check_id(id), (self._item(event, event_id),))
        return results[0]

    async def add_many(self, id: str, events: Iterable[E], *, event_ids: Sequence[str] | None = None) -> AddResults:
        """Accept many events in one commit; one result per event, in order.  All are validated before any is written.

        With `on_event`, each batch that is filled on the way is a commit of its own: if a later event is refused, what
        was accepted before it stays.

        Args:
            id: Which instance.
            events: In the order in which they are to be flushed.
            event_ids: One for each event.

        Raises:
            ValidationError: An event or an id is not valid; nothing was written.
            ReducerError: `on_event` refused an event.
        """
        check_id(id)
        events = tuple(events)
        if event_ids is None:
            items = [self._item(event, None) for event in events]
        else:
            if len(event_ids) != len(events):
                message = f"must hold one id for each event; there are {len(event_ids)} ids and {len(events)} events"
                raise ValidationError("event_ids", (Issue(path="$", message=message, code="length"),))
            items = [self._item(event, event_id) for event, event_id in zip(events, event_ids, strict=True)]
        return await self._add(id, tuple(items)) if items else []

    def _item(self, event: E, event_id: str | None) -> NewItem:
        payload = self._encode(event)
        if event_id is not None:
            check_id(event_id, "event_id")
        else:
            event_id = self._sender.derived_id()
        return NewItem(event_id, payload, None, NEVER)

    async def _add(self, id: str, items: tuple[NewItem, ...]) -> list[AddResult]:
        if not self._definition.gathering.folds:
            appended: list[AddResult] = await self._ask(id, "add", items)
            return appended
        results: list[AddResult] = []
        while len(results) < len(items):
            results += await self._ask(id, "fold", items[len(results) :])
        return results

    # The open batch.

    async def flush(self, id: str) -> FlushReceipt:
        """Seal the open batch and make it due now; a worker hands it over, after those that were sealed before it.

        A batch that waits for its retry is neither hastened nor overtaken.
        """
        receipt: FlushReceipt = await self._ask(check_id(id), "flush", _NOTHING)
        return receipt

    async def clear(self, id: str) -> ClearResult:
        """Drop the events of the open batch.  Batches that are sealed, or being flushed, are left alone."""
        result: ClearResult = await self._ask(check_id(id), "clear", _NOTHING)
        return result

    async def get_state(self, id: str) -> S | None:
        """What `execute` would be given if the open batch were flushed now; None if nothing is open.

        Raises:
            SerializationError: It no longer decodes.
        """
        batch: Batch | None = await self._ask(check_id(id), "get_state", _NOTHING)
        return None if batch is None else self._definition.gathering.read(instance_id("buffer", self._name, id), batch)

    async def status(self, id: str) -> BufferStatus:
        """Where an instance stands."""
        status: BufferStatus = await self._ask(check_id(id), "status", _NOTHING)
        return status

    async def list(
        self, *, prefix: str | None = None, status: Status | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[BufferSummary]:
        """Instances by id.

        Args:
            prefix: Only those whose id starts so.
            status: Only those in this status.
            limit: At most so many.
            cursor: Goes on where the page ended that it came with.
        """
        request = InstancesRequest(
            text_or_none(prefix, "prefix") or "",
            None if status is None else choice(status, STATES, "status"),
            page_limit(limit),
            text_or_none(cursor, "cursor"),
        )
        page: Page[BufferSummary] = await self._ask("", "list", request)
        return page

    def _ask(self, id: str, operation: str, request: object) -> Awaitable[Any]:
        return self._deliver(Call("buffer", self._name, id, operation, request))
