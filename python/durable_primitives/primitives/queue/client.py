"""The typed client of a queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from durable_primitives.durations import Duration, instant_ms, parse_ms
from durable_primitives.errors import DefinitionError, Issue, ValidationError
from durable_primitives.kernel.ids import check_id, instance_id
from durable_primitives.kernel.primitive import Call
from durable_primitives.kernel.transition import Accepted, NewItem
from durable_primitives.primitives.queue.dead_letters import QueueDeadLetters
from durable_primitives.primitives.queue.definition import QueueDefinition
from durable_primitives.primitives.queue.inspection import InstanceCount
from durable_primitives.primitives.queue.orchestrator import EnqueueRequest, IdsRequest, NoRequest
from durable_primitives.primitives.queue.results import (
    CancelResult,
    DrainResult,
    Enqueue,
    EnqueueResult,
    QueueClearResult,
    QueuePauseResult,
    QueueStatus,
)
from durable_primitives.primitives.queue.routing import Router
from durable_primitives.primitives.queue.summary import summarise
from durable_primitives.services.limits import limited
from durable_primitives.services.options import whole_number
from durable_primitives.services.senders import Sender

E = TypeVar("E")

MAX_PRIORITY = 1_000_000
DRAIN_POLL_SECONDS = 0.02
_NOTHING = NoRequest()


class QueueClient(Generic[E]):
    """Sends events to a queue and looks after it.

    Every method returns when the store has made its change durable, and raises a `StorageError` that says whether the
    change was applied if it could not.
    """

    def __init__(
        self, definition: QueueDefinition[E], deliver: Callable[[Call], Awaitable[Any]], sender: Sender
    ) -> None:
        self._definition = definition
        self._deliver = deliver
        self._sender = sender
        self._router = Router(definition.concurrency, sender.random())
        self._encode = limited(definition.codec.encode, sender.max_payload, "event")
        self._instances = [instance_id("queue", definition.name, str(index)) for index in range(definition.concurrency)]

    @property
    def dead_letters(self) -> QueueDeadLetters[E]:
        """The events that were given up on."""
        return QueueDeadLetters(self._definition, self._ask, self._indexes)

    # Sending.

    async def enqueue(
        self,
        event: E,
        *,
        id: str | None = None,
        partition_key: str | None = None,
        delay: Duration | None = None,
        at: datetime | None = None,
        priority: int = 0,
    ) -> EnqueueResult:
        """Accept an event: one commit that reads nothing.

        Args:
            event: Checked against the schema before anything is written.
            id: Makes the call idempotent: within the dedupe window a second event with this id is a duplicate.
            partition_key: Events with one key run in order and never overlap.
            delay: Do not start before so much time has passed.
            at: Do not start before this moment (aware).
            priority: Higher starts first, among different keys; the order inside a key is never broken.

        Raises:
            ValidationError: The event or an option is not valid; nothing was written.
            PayloadTooLargeError: The store does not take so much; nothing was written.
            QueueFullError: `max_pending` is reached; nothing was written.
        """
        index, new = self._route(event, id, partition_key, delay, at, priority)
        accepted: tuple[Accepted, ...] = await self._ask(index, "enqueue", EnqueueRequest(index, (new,)))
        receipt = accepted[0]
        return EnqueueResult(new.id or "", self._instances[index], index, receipt.position, receipt.duplicate)

    async def enqueue_many(self, events: Iterable[E | Enqueue[E]]) -> list[EnqueueResult]:
        """Accept many events, one commit per instance of the queue; one result per event, in order.

        Events are all validated before the first is written.
        """
        routed = [self._route_one(one) for one in events]
        groups: dict[int, list[int]] = {}
        for position, (index, _) in enumerate(routed):
            groups.setdefault(index, []).append(position)
        replies = await asyncio.gather(
            *(
                self._ask(index, "enqueue", EnqueueRequest(index, tuple(routed[position][1] for position in members)))
                for index, members in groups.items()
            )
        )
        results: list[EnqueueResult | None] = [None] * len(routed)
        for (index, members), accepted in zip(groups.items(), replies, strict=True):
            instance = self._instances[index]
            for position, receipt in zip(members, accepted, strict=True):
                results[position] = EnqueueResult(
                    routed[position][1].id or "", instance, index, receipt.position, receipt.duplicate
                )
        return [result for result in results if result is not None]

    def _route_one(self, one: E | Enqueue[E]) -> tuple[int, NewItem]:
        if not isinstance(one, Enqueue):
            return self._route(one, None, None, None, None, 0)
        given = cast("Enqueue[E]", one)
        return self._route(given.event, given.id, given.partition_key, given.delay, given.at, given.priority)

    def _route(
        self,
        event: E,
        id: str | None,
        partition_key: str | None,
        delay: Duration | None,
        at: datetime | None,
        priority: int,
    ) -> tuple[int, NewItem]:
        definition = self._definition
        payload = self._encode(event)
        if partition_key is not None:
            check_id(partition_key, "partition_key")
        elif definition.partition_key is not None and (chosen := definition.partition_key(event)) is not None:
            partition_key = check_id(chosen, "the key that partition_key returned")
        fresh = False
        if id is not None:
            check_id(id)
        else:
            id, fresh = self._sender.id_for_send()
        if partition_key is not None:
            index = self._router.keyed(partition_key)
        else:
            index = self._router.next() if fresh else self._router.keyed(id)
        due = 0 if delay is None and at is None else self._due(delay, at)
        rank = -_checked_priority(priority) if priority else 0
        blocks = definition.ordering == "strict"
        return index, NewItem(id, payload, partition_key, due, rank, fresh, blocks)

    def _due(self, delay: Duration | None, at: datetime | None) -> int:
        if delay is not None and at is not None:
            raise DefinitionError("both delay and at were given", help="give one of them")
        if at is not None:
            due = instant_ms(at, what="at")
        else:
            assert delay is not None
            due = self._sender.now() + parse_ms(delay, what="delay", allow_zero=True)
        return due if due > self._sender.now() else 0

    # Looking after it.

    async def cancel(self, event_id: str, partition_key: str | None = None) -> CancelResult:
        """Take an event out before it runs, or ask its handler to stop (`ctx.cancelled`).

        An event that was enqueued without an explicit id is looked for in every instance.
        """
        check_id(event_id, "event_id")
        if partition_key is not None:
            indexes = [self._router.keyed(check_id(partition_key, "partition_key"))]
        else:
            first = self._router.keyed(event_id)
            indexes = [first, *(index for index in await self._indexes() if index != first)]
        for index in indexes:
            outcome = await self._ask(index, "cancel", IdsRequest((event_id,)))
            if outcome != "not_found":
                return CancelResult(event_id, outcome)
        return CancelResult(event_id, "not_found")

    async def pause(self, index: int | None = None) -> QueuePauseResult:
        """Accept events and start none, in one instance or in all.  What runs is finished."""
        return await self._hold("pause", index)

    async def resume(self, index: int | None = None) -> QueuePauseResult:
        """Go on after a pause."""
        return await self._hold("resume", index)

    async def _hold(self, operation: str, index: int | None) -> QueuePauseResult:
        indexes = await self._indexes() if index is None else [whole_number(index, "index", at_least=0)]
        held = [await self._ask(one, operation, _NOTHING) for one in indexes]
        name = "*" if index is None else str(index)
        return QueuePauseResult(instance_id("queue", self._definition.name, name), all(held))

    async def status(self) -> QueueStatus:
        """The counts of all instances together."""
        return summarise(await self._counts(), self._definition.concurrency, self._sender.now())

    async def instance_status(self, index: int) -> QueueStatus:
        """The counts of one instance."""
        count: InstanceCount = await self._ask(whole_number(index, "index", at_least=0), "status", _NOTHING)
        return summarise([count], 1, self._sender.now())

    async def clear(self) -> QueueClearResult:
        """Drop every event that no worker has in hand."""
        dropped = sum([await self._ask(index, "clear", _NOTHING) for index in await self._indexes()])
        return QueueClearResult(instance_id("queue", self._definition.name, "*"), dropped > 0, dropped)

    async def drain(self, timeout: Duration | None = None) -> DrainResult:  # noqa: ASYNC109 - a Duration
        """Wait until no live event is left, or until `timeout` is over.  It neither stops intake nor runs anything."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + parse_ms(timeout, what="timeout", allow_zero=True) / 1000
        while True:
            live = sum(count.live for count in await self._counts())
            if not live or (end is not None and loop.time() >= end):
                return DrainResult(not live, live)
            await asyncio.sleep(DRAIN_POLL_SECONDS)

    async def _counts(self) -> list[InstanceCount]:
        return [await self._ask(index, "status", _NOTHING) for index in await self._indexes()]

    # Delivery.

    def _ask(self, index: int, operation: str, request: object) -> Awaitable[Any]:
        return self._deliver(Call("queue", self._definition.name, str(index), operation, request))

    async def _indexes(self) -> list[int]:
        """Every instance that may hold something: those of today, and those of a larger `concurrency` of the past."""
        stored: Iterable[int] = await self._deliver(Call("queue", self._definition.name, "", "indexes", _NOTHING))
        return sorted({*range(self._definition.concurrency), *stored})


def _checked_priority(priority: int) -> int:
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= MAX_PRIORITY:
        message = f"must be a whole number from 0 to {MAX_PRIORITY} (higher starts first)"
        raise ValidationError("priority", (Issue(path="$", message=message, code="out_of_range"),))
    return priority
