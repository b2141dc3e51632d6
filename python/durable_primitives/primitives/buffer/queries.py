"""What can be read of a buffer; nothing here changes anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import cast

from msgspec import Struct

from durable_primitives.durations import to_datetime
from durable_primitives.errors import SerializationError
from durable_primitives.kernel.ids import split_instance
from durable_primitives.kernel.page import Page
from durable_primitives.kernel.record import DeadLetter, Item, Record
from durable_primitives.kernel.transition import WINDOW_DUE
from durable_primitives.primitives.buffer.results import BufferStatus, BufferSummary, Status
from durable_primitives.primitives.buffer.stored import (
    OPEN,
    Batch,
    Stored,
    alive,
    gather,
    instance_of,
    open_count,
    read,
)
from durable_primitives.services.failures import decode_failure
from durable_primitives.spi import Storage

_PAGE = 500
_NOT_FOUND = BufferStatus(status="not_found")


class InstancesRequest(Struct, frozen=True):
    """A page of instances, by id."""

    prefix: str
    status: str | None
    limit: int
    cursor: str | None


class LettersRequest(Struct, frozen=True):
    """A page of dead letters, by flush id: of one instance, or of all where the call names none."""

    limit: int
    cursor: str | None


async def status(reader: Storage, instance: str, request: object, now: int) -> BufferStatus:
    """Where one instance stands."""
    return describe((await reader.load(instance)).record)


def describe(record: Record | None) -> BufferStatus:
    """The status of a record."""
    record = alive(record)
    if record is None:
        return _NOT_FOUND
    try:
        stored = read(record)
    except SerializationError:
        return BufferStatus(status="failed")
    flush, folded, count = stored.flush, stored.folded, open_count(record, stored)
    first_at = record.segment_first_at if folded is None else folded.first_at
    window = record.dues.get(WINDOW_DUE)
    retry_at = None if flush is None else flush.retry_at
    return BufferStatus(
        status=_status(record, stored),
        event_count=count,
        first_event_at=to_datetime(first_at) if count else None,
        will_flush_at=to_datetime(window) if count and window is not None else None,
        flushing=_is_flushing(record, stored),
        attempt=0 if flush is None else flush.attempt,
        retry_at=None if retry_at is None else to_datetime(retry_at),
        last_error=decode_failure(stored.last_error),
    )


def _status(record: Record, stored: Stored) -> Status:
    if record.status != OPEN:
        return cast("Status", record.status)
    if stored.flush is not None and stored.flush.retry_at is not None:
        return "retrying"
    if _is_flushing(record, stored):
        return "flushing"
    return "buffering" if open_count(record, stored) else "idle"


def _is_flushing(record: Record, stored: Stored) -> bool:
    return stored.flush is not None or bool(stored.redrives) or stored.ended < record.segment - 1


async def state(reader: Storage, instance: str, request: object, now: int) -> Batch | None:
    """The open batch, as it is stored."""
    record = alive((await reader.load(instance)).record)
    if record is None:
        return None
    folded = read(record).folded
    batch = gather(await items_of(reader, instance, record.segment), "manual", folded)
    return batch if batch.count else None


async def items_of(reader: Storage, instance: str, segment: int) -> list[Item]:
    """All items of one batch, page by page."""
    found: list[Item] = []
    while True:
        page = await reader.items(instance, segment, found[-1].seq if found else 0, _PAGE)
        found += page
        if len(page) < _PAGE:
            return found


async def instances(reader: Storage, instance: str, request: InstancesRequest, now: int) -> Page[BufferSummary]:
    """Instances with a prefix and, if asked for, in one status."""
    found: list[BufferSummary] = []
    async for record in _records(reader, instance + request.prefix, request.cursor or ""):
        described = describe(record)
        if request.status is None or described.status == request.status:
            found.append(BufferSummary(record.instance, split_instance(record.instance)[2], described))
            if len(found) == request.limit:
                return Page(tuple(found), record.instance)
    return Page(tuple(found), None)


async def _records(reader: Storage, prefix: str, after: str) -> AsyncIterator[Record]:
    while True:
        page = await reader.scan(prefix, after, _PAGE)
        for record in page:
            if alive(record) is not None:
                yield record
        if len(page) < _PAGE:
            return
        after = page[-1].instance


async def letter(reader: Storage, instance: str, flush_id: str, now: int) -> DeadLetter | None:
    """One dead letter."""
    return (await reader.load(instance, (), (flush_id,))).letters.get(flush_id)


async def letters(reader: Storage, instance: str, request: LettersRequest, now: int) -> Page[DeadLetter]:
    """The dead letters of one instance; of all, instance by instance, if `instance` ends without an id."""
    if split_instance(instance)[2]:
        return _page(await reader.letters(instance, request.cursor or "", request.limit), request.limit)
    found: list[DeadLetter] = []
    last = instance_of(request.cursor) if request.cursor is not None else ""
    if request.cursor is not None:
        found += await reader.letters(last, request.cursor, request.limit)
    async for record in _records(reader, instance, last):
        if len(found) == request.limit:
            break
        if _may_have_letters(record):
            found += await reader.letters(record.instance, "", request.limit - len(found))
    return _page(found, request.limit)


def _page(found: Sequence[DeadLetter], limit: int) -> Page[DeadLetter]:
    return Page(tuple(found), found[-1].id if len(found) == limit else None)


def _may_have_letters(record: Record) -> bool:
    try:
        return read(record).buried > 0
    except SerializationError:
        return True
