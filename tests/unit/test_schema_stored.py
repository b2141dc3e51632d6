"""Stored bytes: what a codec reads, what it brings forward from older versions, and what it refuses, and why."""

from __future__ import annotations

from typing import Any

import msgspec
import pydantic
import pytest

from durable_primitives.errors import DefinitionError, Issue, SerializationError
from durable_primitives.schema import Codec, codec_for
from durable_primitives.schema.envelope import SIZE, write


class OrderStruct(msgspec.Struct):
    id: str
    items: list[str] = []


class OrderModel(pydantic.BaseModel):
    id: str
    items: list[str] = []


STRUCT = codec_for(OrderStruct)
MODEL = codec_for(OrderModel)


def refusal_of(codec: Codec[Any], data: bytes) -> SerializationError:
    with pytest.raises(SerializationError) as caught:
        codec.decode(data)
    assert caught.value.schema_name == codec.name
    return caught.value


def test_the_header_is_four_bytes_of_mark_format_and_version():
    assert codec_for(int, version=0x0102).encode(7) == b"\xc1m\x01\x02\x07"
    assert MODEL.encode(OrderModel(id="o"))[:SIZE] == b"\xc1j\x00\x01"


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\xc1m\x00", b"\x07", b'{"id": 1}', b"\xc1x\x00\x01\x07", b"\xc1m\x00\x00\x07"]
)
def test_bytes_without_a_header_are_not_read(data: bytes):
    error = refusal_of(codec_for(int), data)

    assert error.code == "not_an_envelope"
    assert error.found == f"{len(data)} bytes without one"


def test_a_newer_schema_version_is_refused_loudly():
    error = refusal_of(codec_for(int, version=1), codec_for(int, version=3).encode(7))

    assert error.code == "newer_schema"
    assert (error.expected, error.found) == ("schema version 1 or older", "schema version 3")
    assert "deploy" in error.help


def test_a_schema_that_moved_to_the_other_library_is_refused():
    error = refusal_of(MODEL, STRUCT.encode(OrderStruct("o-1")))

    assert error.code == "wrong_codec"
    assert (error.expected, error.found) == ("json", "msgpack")


def test_another_schema_is_refused_with_the_place():
    error = refusal_of(STRUCT, codec_for(dict[str, Any]).encode({"id": 4111, "items": []}))

    assert error.code == "wrong_schema"
    assert error.issues == (Issue("$.id", "expected `str`, got `int`", "type"),)
    assert "4111" not in str(error)


@pytest.mark.parametrize("tail", [b"", b"\xc1", b"\x83\xa2id", b"\x91" * 5_000, b"\x07\x07"])
def test_a_damaged_body_is_refused(tail: bytes):
    error = refusal_of(codec_for(Any), codec_for(Any).encode(7)[:SIZE] + tail)

    assert error.code in {"corrupted", "wrong_schema"}


# --- versions ---------------------------------------------------------------------------------------------------------


class V1(msgspec.Struct):
    name: str


class V3(msgspec.Struct):
    first: str
    last: str
    age: int = 0


def split_name(raw: Any) -> Any:
    first, last = raw["name"].split(" ")
    return {"first": first, "last": last}


def test_new_fields_with_defaults_need_no_migration():
    class Later(msgspec.Struct):
        name: str
        age: int = 18

    old = codec_for(V1).encode(V1("Ada"))

    assert codec_for(Later).decode(old) == Later("Ada", 18)
    assert codec_for(Later, version=2).decode(old) == Later("Ada", 18)


def test_older_versions_pass_through_every_later_migration_in_order():
    codec = codec_for(V3, version=3, migrate={1: split_name, 2: lambda raw: {**raw, "age": 36}})

    assert codec.decode(codec_for(V1, version=1).encode(V1("Ada King"))) == V3("Ada", "King", 36)
    assert codec.decode(codec_for(V3, version=2).encode(V3("Ada", "King"))) == V3("Ada", "King", 36)
    assert codec.decode(codec.encode(V3("Ada", "King", 7))) == V3("Ada", "King", 7)


def test_a_version_without_a_migration_is_read_as_it_is():
    codec = codec_for(V3, version=3, migrate={1: split_name})

    assert codec.decode(codec_for(V1).encode(V1("Ada King"))) == V3("Ada", "King", 0)


def test_a_migration_carries_a_schema_from_one_library_to_the_other():
    codec = codec_for(OrderModel, version=2, migrate={1: lambda raw: raw})

    assert codec.decode(STRUCT.encode(OrderStruct("o-1", ["pen"]))) == OrderModel(id="o-1", items=["pen"])


def test_a_migration_that_raises_is_named_and_is_the_cause():
    codec = codec_for(V3, version=2, migrate={1: split_name})

    error = refusal_of(codec, codec_for(V1).encode(V1("Ada")))

    assert error.code == "migration_failed"
    assert isinstance(error.__cause__, ValueError)


@pytest.mark.parametrize("old", [codec_for(V1), MODEL], ids=["msgpack", "json"])
def test_damaged_bytes_of_an_older_version_are_corrupted_not_a_failed_migration(old: Codec[Any]):
    codec = codec_for(V3, version=2, migrate={1: split_name})

    error = refusal_of(codec, write(old.format, 1) + b"\xc1")

    assert error.code == "corrupted"
    assert error.__cause__ is None


def test_a_migration_must_end_in_the_schema():
    codec = codec_for(V3, version=2, migrate={1: lambda raw: raw})

    assert refusal_of(codec, codec_for(V1).encode(V1("Ada"))).code == "wrong_schema"


@pytest.mark.parametrize("version", [0, -1, 65_536, "2", None])
def test_a_version_out_of_range_is_refused(version: Any):
    with pytest.raises(DefinitionError, match="outside 1 to 65535"):
        codec_for(int, version=version)


@pytest.mark.parametrize("known", [0, 2, 3])
def test_a_migration_that_can_never_run_is_refused(known: int):
    with pytest.raises(DefinitionError, match=f"a migration from version {known}"):
        codec_for(int, version=2, migrate={known: lambda raw: raw})
