"""The dead letters of a buffer: list them, look at one, flush them again, delete them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

from durable_primitives.durations import to_datetime
from durable_primitives.errors import SerializationError
from durable_primitives.events import ErrorInfo
from durable_primitives.kernel.ids import check_id, split_instance
from durable_primitives.kernel.page import Page
from durable_primitives.kernel.primitive import Call
from durable_primitives.kernel.record import DeadLetter
from durable_primitives.primitives.buffer.definition import BufferDefinition
from durable_primitives.primitives.buffer.queries import LettersRequest
from durable_primitives.primitives.buffer.results import BufferDeadLetter
from durable_primitives.primitives.buffer.stored import instance_of, read_batch
from durable_primitives.services.failures import decode_failure
from durable_primitives.services.options import page_limit, text_or_none

S = TypeVar("S")
_PAGE = 500


class BufferDeadLetters(Generic[S]):
    """The batches that were given up on.  They are kept for 30 days."""

    def __init__(self, definition: BufferDefinition[Any, S], deliver: Callable[[Call], Awaitable[Any]]) -> None:
        self._definition = definition
        self._deliver = deliver

    async def list(
        self, id: str | None = None, *, limit: int = 100, cursor: str | None = None
    ) -> Page[BufferDeadLetter[S]]:
        """The dead letters of one instance in the order of their batches, or of all, instance by instance.

        Args:
            id: Which instance; all of them if it is left out.
            limit: At most so many.
            cursor: Goes on where the page ended that it came with.
        """
        where = "" if id is None else check_id(id)
        request = LettersRequest(page_limit(limit), text_or_none(cursor, "cursor"))
        page: Page[DeadLetter] = await self._deliver(
            Call("buffer", self._definition.name, where, "dead_letters", request)
        )
        return Page(tuple(self._record(letter) for letter in page.items), page.cursor)

    async def get(self, flush_id: str) -> BufferDeadLetter[S] | None:
        """One dead letter, or None."""
        letter = await self._ask(flush_id, "dead_letter", None)
        return None if letter is None else self._record(letter)

    async def redrive(self, which: str | Callable[[BufferDeadLetter[S]], bool]) -> int:
        """Flush one batch, or all that a function chooses, again: the same `flush_id` and content, all attempts anew.

        It goes before the batches that wait, and stays a dead letter until it is flushed.  Returns how many were put
        back; one that is on its way already does not count.
        """
        return await self._each("redrive", which)

    async def discard(self, which: str | Callable[[BufferDeadLetter[S]], bool]) -> int:
        """Delete one dead letter, or all that a function chooses.  Returns how many went.

        Raises:
            InvalidStateError: It was redriven and is being flushed.
        """
        return await self._each("discard", which)

    async def _each(self, operation: str, which: str | Callable[[BufferDeadLetter[S]], bool]) -> int:
        if isinstance(which, str):
            chosen = [which]
        else:
            chosen = [letter.flush_id async for letter in self._all() if which(letter)]
        return sum([await self._ask(flush_id, operation, 0) for flush_id in chosen])

    async def _all(self) -> AsyncIterator[BufferDeadLetter[S]]:
        cursor = None
        while True:
            page = await self.list(limit=_PAGE, cursor=cursor)
            for letter in page.items:
                yield letter
            if page.cursor is None:
                return
            cursor = page.cursor

    async def _ask(self, flush_id: str, operation: str, otherwise: Any) -> Any:
        """Ask the instance that the batch belongs to; `otherwise` if it is none of this buffer's."""
        instance = instance_of(text_or_none(flush_id, "flush_id") or "")
        if instance.count(":") < 2:
            return otherwise
        kind, name, id = split_instance(instance)
        if kind != "buffer" or name not in (self._definition.name, *self._definition.aliases):
            return otherwise
        return await self._deliver(Call("buffer", name, id, operation, flush_id))

    def _record(self, letter: DeadLetter) -> BufferDeadLetter[S]:
        instance = instance_of(letter.id)
        try:
            batch = read_batch(letter.payload)
        except SerializationError:
            batch = None
        return BufferDeadLetter(
            flush_id=letter.id,
            instance_id=instance,
            id=split_instance(instance)[2],
            state=None if batch is None else self._definition.state_or_none(instance, batch),
            error=decode_failure(letter.error) or ErrorInfo("unknown", ""),
            attempts=letter.attempts,
            event_count=letter.count,
            flush_reason=None if batch is None else batch.reason,
            first_event_at=None if batch is None else to_datetime(batch.first_at),
            last_event_at=None if batch is None else to_datetime(batch.last_at),
            failed_at=to_datetime(letter.failed_at),
        )
