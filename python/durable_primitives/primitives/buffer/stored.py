"""What a buffer stores: its record's own part, a folded batch, and a batch as a whole.

Each is a MessagePack array that begins with the version of its format; new fields are added at the end, with defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, Literal

import msgspec
from msgspec import Struct, field

from durable_primitives.errors import SerializationError
from durable_primitives.kernel.record import TERMINATED, Item, Record
from durable_primitives.services.versioned import Count, Instant, decode_versioned

FlushReason = Literal["max_events", "max_bytes", "flush_after", "debounce", "max_wait", "manual"]
"""What sealed a batch."""

FORMAT: Final = 1

OPEN: Final = "open"
"""The stored status of every instance that is not parked: what it does is told by the rest of its record."""


class Folded(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What a reducer made of the events of one batch so far."""

    format: int = FORMAT
    state: bytes
    count: Count
    first_at: Instant
    last_at: Instant


class Flush(Struct, frozen=True, array_like=True, gc=False):
    """The one batch that is being handed over."""

    flush_id: str
    segment: Count | None
    """Its number; None for a dead letter that runs again."""
    attempt: Count = 0
    """Finished tries."""
    retry_at: Instant | None = None
    """When the next try is due; None while one runs."""


class Stored(Struct, frozen=True, kw_only=True, array_like=True):
    """The record's own part.  The open batch's number, count and times are the store's (`Record.segment…`)."""

    format: int = FORMAT
    ended: Count = 0
    """The last batch that came to its end.  Those after it, up to the open one, are sealed and wait in order."""
    flush: Flush | None = None
    reasons: dict[int, FlushReason] = field(default_factory=dict[int, FlushReason])
    """What sealed a batch, unless it was ``max_events``: the append that fills a batch writes no record."""
    redrives: tuple[str, ...] = ()
    """Dead letters that wait to run again."""
    folded: Folded | None = None
    """The open batch, if a reducer gathers it."""
    last_error: str | None = None
    """Encoded `ErrorInfo` of the last failed try, until a batch is flushed."""
    buried: Count = 0
    """Batches that ever became dead letters: an instance with none need not be asked for them."""


class Batch(Struct, frozen=True, kw_only=True, array_like=True):
    """The content of one batch, encoded as it was accepted: what is flushed, and what a dead letter keeps."""

    format: int = FORMAT
    reason: FlushReason
    count: Count
    first_at: Instant
    last_at: Instant
    events: tuple[bytes, ...] = ()
    state: bytes | None = None
    """What a reducer made of those events that are not in `events`."""


_encoder = msgspec.msgpack.Encoder()
_stored = msgspec.msgpack.Decoder(Stored)
_folded = msgspec.msgpack.Decoder(Folded)
_batch = msgspec.msgpack.Decoder(Batch)
_read = partial(decode_versioned, newest=FORMAT)
_NEW = Stored()


def encode(value: Stored | Folded | Batch) -> bytes:
    """The bytes to store."""
    return _encoder.encode(value)


def read(record: Record) -> Stored:
    """The record's own part.

    Raises:
        SerializationError: It was written by a newer release, or is damaged.
    """
    return _read(_stored, record.data, "buffer record") if record.data else _NEW


def read_batch(payload: bytes) -> Batch:
    """The content of a dead letter.

    Raises:
        SerializationError: It was written by a newer release, or is damaged.
    """
    return _read(_batch, payload, "dead letter of a buffer")


def alive(record: Record | None) -> Record | None:
    """The record, unless it is only a tombstone."""
    return None if record is None or record.status == TERMINATED else record


def open_count(record: Record, stored: Stored) -> int:
    """Events in the open batch."""
    return record.segment_count + (0 if stored.folded is None else stored.folded.count)


def gather(items: Sequence[Item], reason: FlushReason, folded: Folded | None = None) -> Batch:
    """A batch from its stored items, and from the folded state if that is still in the record.  It may be empty."""
    events: list[bytes] = []
    times: list[int] = []
    for item in items:
        # An encoded event starts with the mark of its envelope, which the array of a folded state cannot.
        if _is_array(item.payload) and (found := _folded_or_none(item.payload)) is not None:
            folded = found
        else:
            events.append(item.payload)
            times.append(item.at)
    if folded is not None:
        times += (folded.first_at, folded.last_at)
    return Batch(
        reason=reason,
        count=len(events) + (0 if folded is None else folded.count),
        first_at=min(times, default=0),
        last_at=max(times, default=0),
        events=tuple(events),
        state=None if folded is None else folded.state,
    )


def _is_array(payload: bytes) -> bool:
    return b"\x90" <= payload[:1] <= b"\x9f"


def _folded_or_none(payload: bytes) -> Folded | None:
    try:
        return _read(_folded, payload, "folded batch")
    except SerializationError:
        return None


def flush_id(record: Record, segment: int) -> str:
    """The identity of a batch, the same for every attempt and redrive, never given to another batch.

    An instance that was idle for long is purged and begins again at batch 1: `created_at` tells its lives apart.  The
    number has leading zeros so that the dead letters of an instance sort in the order of their batches.
    """
    return f"{record.instance}/{record.created_at}.{record.generation}/{segment:010d}"


def instance_of(flush_id: str) -> str:
    """The instance that a batch belongs to."""
    return flush_id.rsplit("/", 2)[0]
