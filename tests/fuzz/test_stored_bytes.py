"""Whatever bytes a store gives back, decoding them gives a value or a `SerializationError`, and nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_primitives.errors import SerializationError
from durable_primitives.events import ErrorInfo
from durable_primitives.kernel.record import Item, Record
from durable_primitives.primitives.buffer import stored as buffer_stored
from durable_primitives.primitives.continuous import stored as continuous_stored
from durable_primitives.schema import Codec, codec_for
from durable_primitives.services.failures import decode_failure, encode_failure
from durable_primitives.testing import from_schema
from tests.fuzz.damage import damaged, refusal


class Struct(msgspec.Struct):
    id: UUID
    at: dt.datetime
    amount: Decimal
    lengths: dict[str, dt.timedelta]
    anything: Any
    next: Struct | None = None


@dataclass
class Dataclass:
    number: int
    data: bytes
    ratio: float


class Model(pydantic.BaseModel):
    id: UUID
    at: dt.datetime
    data: bytes
    tags: set[str]
    next: Model | None = None


CODECS: list[Codec[Any]] = [
    codec_for(Struct),
    codec_for(Dataclass),
    codec_for(Model),
    codec_for(Any),
    codec_for(
        Dataclass, name="Migrated", version=3, migrate={1: lambda raw: {**raw, "ratio": 1.0}, 2: lambda raw: raw}
    ),
    codec_for(Model, name="MigratedModel", version=2, migrate={1: lambda raw: raw}),
]

CODES = {"corrupted", "wrong_schema", "not_an_envelope", "newer_schema", "wrong_codec", "migration_failed"}

NOW = 1_893_456_000_000


def record(data: bytes) -> Record:
    return Record(instance="continuous:job:1", status="scheduled", data=data, updated_at=NOW)


# The records of the primitives, with every field in use.

CONTINUOUS = msgspec.msgpack.encode(
    continuous_stored.Stored(
        state=b"\xc1m\x00\x01\x03",
        epoch=1,
        run=continuous_stored.Run(NOW, missed=2, attempt=2, retry_at=NOW + 1000),
        next_tick=NOW + 60_000,
        override_at=NOW + 5000,
        triggered_at=NOW,
        last_run_at=NOW - 1,
        last_error=ErrorInfo("ValueError", "no"),
    )
)
BUFFER = buffer_stored.encode(
    buffer_stored.Stored(
        ended=2,
        flush=buffer_stored.Flush("buffer:b:1/1.1/0000000003", 3, 1, NOW),
        reasons={3: "flush_after", 4: "manual"},
        redrives=("buffer:b:1/1.1/0000000001",),
        folded=buffer_stored.Folded(state=b"\xc1m\x00\x01\x03", count=2, first_at=NOW, last_at=NOW + 1),
        last_error='{"type":"ValueError","message":"no"}',
        buried=1,
    )
)
BATCH = buffer_stored.encode(
    buffer_stored.Batch(reason="manual", count=2, first_at=NOW, last_at=NOW, events=(b"\xc1m\x00\x01\x03", b"x"))
)
FAILURE = encode_failure(ErrorInfo("ValueError", "no"))

READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "the record of a continuous": (CONTINUOUS, lambda data: continuous_stored.read(record(data))),
    "the record of a buffer": (BUFFER, lambda data: buffer_stored.read(record(data))),
    "a dead letter of a buffer": (BATCH, buffer_stored.read_batch),
}


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: f"{codec.name}-{codec.version}")
@given(data=st.data())
def test_a_damaged_payload_decodes_or_is_refused(codec: Codec[Any], data: st.DataObject):
    whole = codec.encode(data.draw(from_schema(codec.schema)))
    bad = data.draw(damaged(whole))
    error = refusal(SerializationError, lambda: codec.decode(bad))

    assert error is None or error.code in CODES


@pytest.mark.parametrize("what", READERS)
@given(data=st.data())
def test_a_damaged_record_is_read_or_refused(what: str, data: st.DataObject):
    whole, read = READERS[what]
    bad = data.draw(damaged(whole))
    error = refusal(SerializationError, lambda: read(bad))

    assert error is None or error.code in {"corrupted", "newer_schema"}


@pytest.mark.parametrize("what", READERS)
def test_every_truncation_is_read_or_refused(what: str):
    whole, read = READERS[what]
    read(whole)
    for end in range(len(whole)):
        with pytest.raises(SerializationError):
            read(whole[:end] or b"\xc1")


@given(damaged(FAILURE.encode()))
def test_a_damaged_failure_is_read_as_one(bad: bytes):
    assert isinstance(decode_failure(bad.decode(errors="replace")), ErrorInfo)


@given(data=st.data())
def test_a_batch_is_gathered_from_whatever_the_items_hold(data: st.DataObject):
    folded = buffer_stored.encode(
        buffer_stored.Folded(state=b"\xc1m\x00\x01\x03", count=2, first_at=NOW, last_at=NOW + 1)
    )
    payload = data.draw(damaged(folded))

    batch = buffer_stored.gather([Item(1, None, payload, NOW)], "manual")

    assert batch.count >= 0
