"""How the kernel's structures lie in rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from msgspec import json, structs

from durable_primitives.kernel.record import DeadLetter, Item, Receipt, Record

T = TypeVar("T")

Row = Sequence[Any]

_encode = json.encode
_dues_decoder = json.Decoder(dict[str, int])
_sequences_decoder = json.Decoder(tuple[int, ...])
_NONE = "[]"


def json_array(values: Iterable[object]) -> str:
    """A parameter for ``json_each``."""
    return _encode(list(values)).decode()


def _decoded(decoder: json.Decoder[T], text: str) -> T:
    try:
        return decoder.decode(text)
    except Exception as error:
        # As SQLite itself reports what is wrong in its own part of the file.
        damage = sqlite3.DatabaseError(f"a column of an instance cannot be read: {error}")
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage from error


def record_of(row: Row) -> Record:
    """A record from its columns, which stand in the order of its fields."""
    return Record(
        instance=row[0],
        status=row[1],
        data=row[2],
        version=row[3],
        generation=row[4],
        held=row[5] == 1,
        dues=_decoded(_dues_decoder, row[6]),
        linger_ms=row[7],
        purge_at=row[8],
        token=row[9],
        owner=row[10],
        lease_until=row[11],
        deliveries=row[12],
        taken=_decoded(_sequences_decoder, row[13]) if row[13] != _NONE else (),
        cancels=_decoded(_sequences_decoder, row[14]) if row[14] != _NONE else (),
        sequence=row[15],
        count=row[16],
        segment=row[17],
        segment_count=row[18],
        segment_first_at=row[19],
        segment_last_at=row[20],
        finished=row[21],
        created_at=row[22],
        updated_at=row[23],
    )


def record_row(record: Record) -> Row:
    """The columns of a record in the order of its fields, from status on and without `purge_at`."""
    return (
        record.status,
        record.data,
        record.version,
        record.generation,
        int(record.held),
        _encode(record.dues).decode(),
        record.linger_ms,
        record.token,
        record.owner,
        record.lease_until,
        record.deliveries,
        _encode(record.taken).decode() if record.taken else _NONE,
        _encode(record.cancels).decode() if record.cancels else _NONE,
        record.sequence,
        record.count,
        record.segment,
        record.segment_count,
        record.segment_first_at,
        record.segment_last_at,
        record.finished,
        record.created_at,
        record.updated_at,
    )


def items_of(rows: Iterable[Row]) -> list[Item]:
    """Items from their columns; the last one is a truth value, which SQLite stores as a number."""
    return [
        Item(seq, id, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks == 1)
        for seq, id, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks in rows
    ]


def receipts_of(rows: Iterable[Row]) -> dict[str, Receipt]:
    """Receipts by id."""
    return {row[0]: Receipt(*row) for row in rows}


def letters_of(rows: Iterable[Row]) -> list[DeadLetter]:
    """Dead letters from their columns."""
    return [DeadLetter(*row) for row in rows]


def letter_row(nk: int, ik: int, letter: DeadLetter) -> Row:
    """The parameters of ``put_letter``."""
    return (nk, ik, *structs.astuple(letter))
