"""What can be read of a queue, instance by instance."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from durable_primitives.kernel.ids import split_instance
from durable_primitives.kernel.record import TERMINATED, DeadLetter, Tally
from durable_primitives.spi import Storage


class InstanceCount(Struct, frozen=True):
    """The counts of one instance."""

    tally: Tally
    live: int
    """All events that have not ended.  The other counts are read beside it and may be of another moment."""
    running: int
    finished: int
    held: bool


class LettersRequest(Struct, frozen=True):
    """A page of dead letters."""

    after: str
    limit: int


class QueueInspection:
    """Answers queries; changes nothing."""

    async def status(self, reader: Storage, instance: str, request: object, now: int) -> InstanceCount:
        """The counts of one instance; an absent one is empty."""
        record = (await reader.load(instance)).record
        tally = await reader.tally(instance, now)
        if record is None or record.status == TERMINATED:
            return InstanceCount(tally, 0, 0, 0, False)
        return InstanceCount(tally, record.count, len(record.taken), record.finished, record.held)

    async def indexes(self, reader: Storage, instance: str, request: object, now: int) -> Sequence[int]:
        """The instances that exist in the store, also those beyond today's `concurrency`."""
        prefix, after, found = instance, "", list[int]()
        while True:
            page = await reader.scan(prefix, after, 500)
            found += [int(id) for record in page if (id := split_instance(record.instance)[2]).isdecimal()]
            if len(page) < 500:
                return sorted(found)
            after = page[-1].instance

    async def letters(self, reader: Storage, instance: str, request: LettersRequest, now: int) -> Sequence[DeadLetter]:
        """Dead letters by event id."""
        return await reader.letters(instance, request.after, request.limit)

    async def letter(self, reader: Storage, instance: str, request: str, now: int) -> DeadLetter | None:
        """One dead letter."""
        return (await reader.load(instance, (), (request,))).letters.get(request)
