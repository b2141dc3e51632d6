"""How the kernel's structures lie in rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import Any, TypeVar

from msgspec import json, structs

from durable_primitives.backends.sqlite.failures import damaged_instance, is_unreadable
from durable_primitives.backends.sqlite.statements import sql
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


def record_rows(connection: Connection, name: str, parameters: Sequence[object]) -> list[Row]:
    """Rows for `record_of`.  A text that is no UTF-8 comes as bytes: one damaged row does not hide the others."""
    try:
        return connection.execute(sql(name), parameters).fetchall()
    except sqlite3.OperationalError as error:
        if not is_unreadable(error):
            raise
    connection.text_factory = _text_or_bytes
    try:
        return connection.execute(sql(name), parameters).fetchall()
    finally:
        connection.text_factory = str


def _text_or_bytes(text: bytes) -> str | bytes:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


def instance_of(row: Row) -> str:
    """The name in the row of a record, also of one that `record_of` refuses."""
    name: str | bytes = row[0]
    return name if isinstance(name, str) else name.decode(errors="backslashreplace")


def _decoded(decoder: json.Decoder[T], text: str, row: Row) -> T:
    try:
        return decoder.decode(text)
    except Exception as error:
        raise damaged_instance(instance_of(row), error) from error


def record_of(row: Row) -> Record:
    """A record from its columns, which stand in the order of its fields.

    Raises:
        StorageCorruptedError: They are not what we write there.
    """
    if bytes in (type(row[0]), type(row[1]), type(row[10])):
        raise damaged_instance(instance_of(row), "a text is no UTF-8")
    return Record(
        instance=row[0],
        status=row[1],
        data=row[2],
        version=row[3],
        generation=row[4],
        held=row[5] == 1,
        dues=_decoded(_dues_decoder, row[6], row),
        linger_ms=row[7],
        purge_at=row[8],
        token=row[9],
        owner=row[10],
        lease_until=row[11],
        deliveries=row[12],
        taken=_decoded(_sequences_decoder, row[13], row) if row[13] != _NONE else (),
        cancels=_decoded(_sequences_decoder, row[14], row) if row[14] != _NONE else (),
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
