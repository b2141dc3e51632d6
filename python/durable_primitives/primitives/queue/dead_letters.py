"""The dead letters of a queue: list them, look at one, run them again, delete them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

from durable_primitives.durations import to_datetime
from durable_primitives.errors import SerializationError
from durable_primitives.events import ErrorInfo
from durable_primitives.kernel.ids import check_id
from durable_primitives.kernel.page import Page
from durable_primitives.kernel.record import DeadLetter
from durable_primitives.primitives.queue.definition import QueueDefinition
from durable_primitives.primitives.queue.inspection import LettersRequest
from durable_primitives.primitives.queue.orchestrator import IdsRequest
from durable_primitives.primitives.queue.results import DeadLetterRecord
from durable_primitives.services.failures import decode_failure
from durable_primitives.services.options import not_a_cursor, page_limit, text_or_none

E = TypeVar("E")
_PAGE = 500


class QueueDeadLetters(Generic[E]):
    """The events that were given up on.  They are kept for 30 days."""

    def __init__(
        self,
        definition: QueueDefinition[E],
        ask: Callable[[int, str, object], Awaitable[Any]],
        indexes: Callable[[], Awaitable[list[int]]],
    ) -> None:
        self._definition = definition
        self._ask = ask
        self._indexes = indexes

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[DeadLetterRecord[E]]:
        """Dead letters instance by instance, by event id; `cursor` goes on where a page ended."""
        limit = page_limit(limit)
        first, _, after = (text_or_none(cursor, "cursor") or "0:").partition(":")
        if not first.isdecimal():
            raise not_a_cursor(first)
        found: list[DeadLetterRecord[E]] = []
        for index in await self._indexes():
            if index < int(first):
                continue
            request = LettersRequest(after if index == int(first) else "", limit - len(found) + 1)
            for letter in await self._ask(index, "letters", request):
                if len(found) == limit:
                    last = found[-1]
                    return Page(tuple(found), f"{last.instance_index}:{last.event_id}")
                found.append(self._record(index, letter))
        return Page(tuple(found), None)

    async def get(self, event_id: str) -> DeadLetterRecord[E] | None:
        """One dead letter, or None."""
        check_id(event_id, "event_id")
        for index in await self._indexes():
            letter = await self._ask(index, "letter", event_id)
            if letter is not None:
                return self._record(index, letter)
        return None

    async def redrive(self, which: str | Callable[[DeadLetterRecord[E]], bool]) -> int:
        """Run one event, or all that a function chooses, again: at the end of its lane, with all attempts before it.

        Returns how many went back.
        """
        return await self._each("redrive", which)

    async def discard(self, which: str | Callable[[DeadLetterRecord[E]], bool]) -> int:
        """Delete one dead letter, or all that a function chooses.  Returns how many went."""
        return await self._each("discard", which)

    async def _each(self, operation: str, which: str | Callable[[DeadLetterRecord[E]], bool]) -> int:
        changed = 0
        if isinstance(which, str):
            record = await self.get(which)
            return 0 if record is None else await self._ask(record.instance_index, operation, IdsRequest((which,)))
        async for record in self._all():
            if which(record):
                changed += await self._ask(record.instance_index, operation, IdsRequest((record.event_id,)))
        return changed

    async def _all(self) -> AsyncIterator[DeadLetterRecord[E]]:
        cursor = None
        while True:
            page = await self.list(limit=_PAGE, cursor=cursor)
            for record in page.items:
                yield record
            if page.cursor is None:
                return
            cursor = page.cursor

    def _record(self, index: int, letter: DeadLetter) -> DeadLetterRecord[E]:
        event: E | None
        try:
            event = self._definition.codec.decode(letter.payload)
        except SerializationError:
            event = None
        return DeadLetterRecord(
            event_id=letter.id,
            event=event,
            error=decode_failure(letter.error) or ErrorInfo("unknown", ""),
            attempts=letter.attempts,
            enqueued_at=to_datetime(letter.at),
            failed_at=to_datetime(letter.failed_at),
            partition_key=letter.lane,
            instance_index=index,
        )
