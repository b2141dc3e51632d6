"""Answers what callers want to know.  Reads only."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from durable_primitives.durations import to_datetime
from durable_primitives.errors import SerializationError
from durable_primitives.kernel.ids import split_instance
from durable_primitives.kernel.page import Page
from durable_primitives.kernel.record import TERMINATED, Record, Snapshot
from durable_primitives.primitives.continuous.requests import ListRequest, PlainRequest
from durable_primitives.primitives.continuous.results import ContinuousState, ContinuousStatus, ContinuousSummary
from durable_primitives.primitives.continuous.stored import Stored, read
from durable_primitives.services.metadata import Identity
from durable_primitives.spi import Storage

SCANNED = 1000
"""Records that one page looks at: a listing of a rare status answers in bounded time and says where to go on."""


class ContinuousQueries:
    """The part of the orchestrator that changes nothing."""

    async def status(self, reader: Storage, instance: str, request: PlainRequest, now: int) -> ContinuousStatus:
        """One instance; absent is a status too."""
        record = live_record(await reader.load(instance))
        if record is None:
            return ContinuousStatus("not_found")
        stored = _readable(record)
        if stored is None:
            return ContinuousStatus(state_of(record))
        return ContinuousStatus(
            status=state_of(record),
            next_run_at=next_run_at(record, stored),
            last_run_at=time_of(stored.last_run_at),
            run_count=stored.run_count,
            attempt=stored.run.attempt if stored.run is not None else 1,
            consecutive_failures=stored.consecutive_failures,
            last_error=stored.last_error,
            stop_reason=stored.stop_reason,
        )

    async def get_state(self, reader: Storage, instance: str, request: PlainRequest, now: int) -> bytes | None:
        """The stored bytes of the state."""
        record = live_record(await reader.load(instance))
        return None if record is None else read(record).state

    async def list(self, reader: Storage, instance: str, request: ListRequest, now: int) -> Page[ContinuousSummary]:
        """Instances by id.  `instance` ends where the ids begin."""
        width = request.limit + 1 if request.status is None else SCANNED
        after = f"{instance}{request.cursor}" if request.cursor else ""
        records = await reader.scan(instance + request.prefix, after, width)
        matching = [r for r in records if r.status != TERMINATED and request.status in (None, r.status)]
        shown = matching[: request.limit]
        last: Record | None = None
        if len(matching) > request.limit:
            last = shown[-1]
        elif len(records) == width:
            last = records[-1]
        return Page(tuple(map(_summary, shown)), None if last is None else split_instance(last.instance)[2])


def live_record(snapshot: Snapshot) -> Record | None:
    """The record, unless all that is left of it is a tombstone."""
    record = snapshot.record
    return None if record is None or record.status == TERMINATED else record


def identity(namespace: str, instance: str) -> Identity:
    """How tracking events name an instance."""
    kind, name, _ = split_instance(instance)
    return Identity(namespace=namespace, kind=kind, name=name, instance_id=instance)


def time_of(ms: int | None) -> datetime | None:
    """For people: an aware UTC time."""
    return None if ms is None else to_datetime(ms)


def next_run_at(record: Record, stored: Stored) -> datetime | None:
    """When user code runs next; nobody knows for an instance that is parked."""
    return time_of(stored.next_run_at) if record.status == stored.status else None


def state_of(record: Record) -> ContinuousState:
    """Its status, parked ones included."""
    return cast("ContinuousState", record.status)


def _readable(record: Record) -> Stored | None:
    try:
        return read(record)
    except SerializationError:
        return None


def _summary(record: Record) -> ContinuousSummary:
    id = split_instance(record.instance)[2]
    stored = _readable(record)
    if stored is None:
        return ContinuousSummary(id, record.instance, state_of(record))
    return ContinuousSummary(
        id=id,
        instance_id=record.instance,
        status=state_of(record),
        next_run_at=next_run_at(record, stored),
        last_run_at=time_of(stored.last_run_at),
        run_count=stored.run_count,
        consecutive_failures=stored.consecutive_failures,
    )
