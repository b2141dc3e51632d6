"""How the kernel's structures lie in rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import json, msgpack

from durable_primitives.errors import PayloadTooLargeError
from durable_primitives.kernel.record import NEVER, DeadLetter, Item, Receipt, Record
from durable_primitives_cloudflare.object.storage import MAX_VALUE

Row = Sequence[Any]

LATEST = 1 << 52
"""How `NEVER` is stored: a number that a double holds with all its neighbours."""

_NUMBER_BYTES = 8
"""At most, of a number or NULL in a row."""

_NAMELESS = "\t"
"""Begins the key of an event without an id.  No id holds one: ids are printable."""

_record = msgpack.Decoder(Record).decode


def json_array(values: Iterable[object]) -> str:
    """A parameter for ``json_each``: one, however many values (a statement takes 100)."""
    return json.encode(list(values)).decode()


def record_of(stored: bytes) -> Record:
    """A record from its blob."""
    return _record(stored)


def fits(what: str, *values: object) -> None:
    """A `PayloadTooLargeError` for what the platform does not take as one row."""
    size = sum(map(_size_of, values))
    if size > MAX_VALUE:
        raise PayloadTooLargeError(size, MAX_VALUE, what)


def _size_of(value: object) -> int:
    if isinstance(value, bytes):
        return len(value)
    return len(value.encode()) if isinstance(value, str) else _NUMBER_BYTES


def record_blob(name: str, record: Record) -> bytes:
    """The record of the instance of this name as one value.

    Raises:
        PayloadTooLargeError: It is longer than a row.
    """
    stored = msgpack.encode(record)
    fits("stored instance", name, stored)
    return stored


def key_of(id: str | None, seq: int) -> str:
    """The key of an event."""
    return f"{_NAMELESS}{seq}" if id is None else id


def id_of(key: str) -> str | None:
    """The id of an event, from its key."""
    return None if key.startswith(_NAMELESS) else key


def due_row(due: int) -> int:
    """A due time as it is stored."""
    return min(due, LATEST)


def due_of(stored: int) -> int:
    """A due time as it was meant."""
    return NEVER if stored == LATEST else stored


def payload_row(payload: bytes) -> bytes | str:
    """A payload as it is stored: an empty blob would arrive as NULL."""
    return payload or ""


def payload_of(stored: bytes | str) -> bytes:
    """A payload as it was given."""
    return stored if isinstance(stored, bytes) else b""


def items_of(rows: Iterable[Row]) -> list[Item]:
    """Items from their columns."""
    return [_item_of(*row) for row in rows]


def _item_of(seq: int, key: str, payload: bytes | str, at: int, lane: str | None, due: int, *rest: Any) -> Item:
    rank, segment, attempt, delivery, error, blocks = rest
    place = (lane, due_of(due), rank, segment)
    return Item(seq, id_of(key), payload_of(payload), at, *place, attempt, delivery, error, blocks == 1)


def receipt_of(row: Row) -> Receipt:
    """A receipt from its columns."""
    id, seq, position, due, rank, segment, settlement, expires_at = row
    return Receipt(id, seq, position, due_of(due), rank, segment, settlement, expires_at)


def letter_rows(ik: int, letter: DeadLetter) -> list[Row]:
    """A dead letter in parts: the batch of a buffer may be longer than a row."""
    size = MAX_VALUE // 2
    parts = [letter.payload[start : start + size] for start in range(0, len(letter.payload), size)] or [b""]
    head = (
        letter.lane, letter.rank, letter.at, letter.failed_at, letter.attempts, letter.error, letter.count,
        letter.expires_at,
    )  # fmt: skip
    blank = (None,) * len(head)
    return [
        (ik, letter.id, number, payload_row(part), *(blank if number else head)) for number, part in enumerate(parts)
    ]


def letter_of(rows: Sequence[Row]) -> DeadLetter | None:
    """A dead letter from its parts."""
    if not rows:
        return None
    id, _, *head = rows[0]
    return DeadLetter(id, b"".join(payload_of(row[1]) for row in rows), *head)
