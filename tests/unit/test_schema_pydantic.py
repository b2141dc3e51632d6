"""What JSON would lose from a pydantic model is refused, and what it keeps reads back."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import pydantic
import pytest

from durable_primitives.errors import DefinitionError, Issue, SerializationError, ValidationError
from durable_primitives.schema import codec_for
from durable_primitives.schema.envelope import SIZE


class Reading(pydantic.BaseModel):
    value: float | None = None
    series: list[float | None] = []
    labels: dict[str, float | None] = {}
    anything: Any = None
    unordered: set[float | None] = set()
    queue: deque[float | None] = deque()
    by_number: dict[int, float | None] = {}


def unhex(given: Any) -> Any:
    return bytes.fromhex(given) if isinstance(given, str) else given


def issues_of(schema: Any, value: Any) -> tuple[Issue, ...]:
    with pytest.raises(ValidationError) as caught:
        codec_for(schema).encode(value)
    return caught.value.issues


def read_back(schema: Any, value: Any) -> Any:
    codec = codec_for(schema)
    return codec.decode(codec.encode(value))


# --- numbers that JSON does not have ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("place", "path"),
    [
        (lambda number: Reading(value=number), "$.value"),
        (lambda number: Reading(series=[None, 1.0, number]), "$.series[2]"),
        (lambda number: Reading(labels={"a": None, "b": number}), "$.labels.b"),
        (lambda number: Reading(labels={"a key": number}), "$.labels[...]"),
        (lambda number: Reading(anything=[{"x": number}]), "$.anything[0].x"),
        (lambda number: Reading(unordered={None, 1.0, number}), "$.unordered"),
        (lambda number: Reading(queue=deque([1.0, number])), "$.queue[1]"),
        (lambda number: Reading(by_number={1: number}), "$.by_number[1]"),
    ],
    ids=["field", "list", "dict", "dict key that is data", "any", "set", "deque", "dict of numbers"],
)
def test_a_number_that_would_become_null_is_refused_with_its_place(place: Any, path: str, number: float):
    (issue,) = issues_of(Reading, place(number))

    assert (issue.path, issue.code) == (path, "not_finite")


def test_each_of_several_lost_numbers_is_named():
    issues = issues_of(Reading, Reading(value=math.nan, series=[math.inf]))

    assert [issue.path for issue in issues] == ["$.value", "$.series[0]"]


def test_null_itself_is_a_value():
    reading = Reading(value=None, series=[None, 1.0], anything={"x": None}, unordered={None, 1.0}, by_number={1: None})

    assert read_back(Reading, reading) == reading


def test_text_that_looks_like_such_a_number_is_text():
    reading = Reading(value=None, anything=["NaN", "Infinity"])

    assert read_back(Reading, reading) == reading


def test_a_lost_number_is_found_beside_what_only_its_own_serializer_can_write():
    class Key(pydantic.BaseModel, frozen=True):
        id: int

        @pydantic.model_serializer
        def as_text(self) -> str:
            return str(self.id)

        @pydantic.model_validator(mode="before")
        @classmethod
        def from_text(cls, given: Any) -> Any:
            return {"id": given} if isinstance(given, str) else given

    class Keyed(pydantic.BaseModel):
        data: Annotated[bytes, pydantic.PlainSerializer(bytes.hex), pydantic.BeforeValidator(unhex)] = b""
        limits: dict[Key, float | None] = {}

    kept = Keyed(data=b"\xff", limits={Key(id=1): None})
    (issue,) = issues_of(Keyed, Keyed(data=b"\xff", limits={Key(id=1): math.nan}))

    assert read_back(Keyed, kept) == kept
    assert issue.code == "not_finite"


def test_a_model_that_keeps_such_numbers_may_have_them():
    class Keeps(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(ser_json_inf_nan="constants")
        value: float
        other: float | None = None

    assert math.isnan(read_back(Keeps, Keeps(value=math.nan)).value)
    assert read_back(Keeps, Keeps(value=math.inf)) == Keeps(value=math.inf)


# --- secrets, bytes, unions -------------------------------------------------------------------------------------------


class Masked(pydantic.BaseModel):
    token: pydantic.SecretStr | None = None


class Revealed(pydantic.BaseModel):
    token: pydantic.SecretStr

    @pydantic.field_serializer("token", when_used="json")
    def reveal(self, token: pydantic.SecretStr) -> str:
        return token.get_secret_value()


def test_a_secret_that_would_become_asterisks_is_refused():
    (issue,) = issues_of(list[Masked], [Masked(), Masked(token=pydantic.SecretStr("hunter2"))])

    assert (issue.path, issue.code) == ("$[1].token", "not_reversible")


def test_a_secret_with_a_serializer_is_kept():
    assert read_back(Revealed, Revealed(token=pydantic.SecretStr("hunter2"))).token.get_secret_value() == "hunter2"


class Utf8(pydantic.BaseModel):
    data: bytes


class HalfBase64(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_bytes="base64")
    data: bytes


class Base64(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    data: bytes
    note: str | None = None


def test_bytes_that_would_be_read_in_another_encoding_are_refused():
    (issue,) = issues_of(HalfBase64, HalfBase64(data=b"abc"))

    assert (issue.path, issue.code) == ("$.data", "not_reversible")


def test_bytes_that_are_no_text_are_refused_in_the_default_encoding():
    (issue,) = issues_of(Utf8, Utf8(data=b"\xff"))

    assert issue.code == "unserializable"
    assert read_back(Utf8, Utf8(data=b"abc")) == Utf8(data=b"abc")


def test_any_bytes_are_kept_where_both_directions_agree():
    assert read_back(Base64, Base64(data=b"\xff\x00")) == Base64(data=b"\xff\x00", note=None)


@dataclass
class Cat:
    name: str


@dataclass
class Dog:
    name: str


class Opened(pydantic.BaseModel):
    kind: Literal["opened"] = "opened"
    id: str


class Closed(pydantic.BaseModel):
    kind: Literal["closed"] = "closed"
    id: str


class Log(pydantic.BaseModel):
    pets: list[Cat | Dog] = []
    when: str | datetime = ""
    events: list[Annotated[Opened | Closed, pydantic.Field(discriminator="kind")]] = []


@pytest.mark.parametrize(
    ("schema", "value", "path"),
    [
        (Cat | Dog, Dog("Rex"), "$"),
        (list[Cat | Dog], [Cat("Tom"), Dog("Rex")], "$[1]"),
        (Log, Log(pets=[Dog("Rex")]), "$.pets[0]"),
        (Log, Log(when=datetime(2030, 1, 1, tzinfo=UTC)), "$.when"),
    ],
)
def test_a_union_member_that_would_be_read_back_as_another_is_refused(schema: Any, value: Any, path: str):
    (issue,) = issues_of(schema, value)

    assert (issue.path, issue.code) == (path, "ambiguous_union")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (Cat | Dog, Cat("Tom")),
        (Opened | Closed, Closed(id="1")),
        (Log, Log(pets=[Cat("Tom")], when="now", events=[Closed(id="1"), Opened(id="2")])),
    ],
)
def test_union_members_that_can_be_told_apart_are_kept(schema: Any, value: Any):
    assert read_back(schema, value) == value


# --- names ------------------------------------------------------------------------------------------------------------


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", serialize_by_alias=True)
    user: str = pydantic.Field(alias="userId")
    group: str = pydantic.Field(validation_alias="in", serialization_alias="out")
    first: int = pydantic.Field(alias="second")
    second: int = pydantic.Field(alias="first")

    @pydantic.computed_field
    def label(self) -> str:
        return f"{self.user}@{self.group}"


def test_fields_are_stored_by_name_whatever_their_aliases():
    value = Aliased.model_validate({"userId": "u", "in": "g", "second": 1, "first": 2})

    assert read_back(Aliased, value) == value
    assert codec_for(Aliased).encode(value)[SIZE:] == b'{"user":"u","group":"g","first":1,"second":2}'
    assert set(codec_for(Aliased).json_schema()["properties"]) == {"user", "group", "first", "second"}


# --- issues -----------------------------------------------------------------------------------------------------------


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    amount: Decimal = Decimal(1)
    kind: Literal["a", "b"] = "a"
    by_name: dict[str, int] = {}
    checked: int = 0
    event: Annotated[Opened | Closed, pydantic.Field(discriminator="kind")] | None = None

    @pydantic.field_validator("checked")
    @classmethod
    def refuse(cls, value: int) -> int:
        if value == 4111:
            raise ValueError(f"{value} is a card")
        if value == 666:
            raise KeyError(f"a bug that quotes {value}")
        return value


@pytest.mark.parametrize(
    ("value", "path", "code"),
    [
        ({"amount": "secret"}, "$.amount", "decimal_parsing"),
        ({"kind": "secret"}, "$.kind", "literal_error"),
        ({"by_name": {"secret@example.com": "secret"}}, "$.by_name[...]", "int_parsing"),
        ({"checked": 4111}, "$.checked", "value_error"),
        ({"event": {"kind": "secret"}}, "$.event", "union_tag_invalid"),
        ({"event": {"kind": "opened"}}, "$.event.opened.id", "missing"),
        ({"extra": "secret"}, "$.extra", "extra_forbidden"),
        ("secret", "$", "model_type"),
        (object(), "$", "unserializable"),
        ({"by_name": "\ud800"}, "$", "unserializable"),
    ],
    ids=lambda case: case if isinstance(case, str) and case.isidentifier() else None,
)
def test_an_invalid_value_is_refused_with_its_place_and_not_its_content(value: Any, path: str, code: str):
    with pytest.raises(ValidationError) as caught:
        codec_for(Strict).encode(value)

    assert [(issue.path, issue.code) for issue in caught.value.issues] == [(path, code)]
    for secret in ("secret", "4111"):
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value.issues)
    assert caught.value.__cause__ is None


def test_the_words_of_a_validator_are_a_detail():
    (issue,) = issues_of(Strict, {"checked": 4111})

    assert issue.detail is not None
    assert "4111 is a card" in issue.detail


def test_all_issues_are_reported_at_once():
    assert len(issues_of(Strict, {"amount": "x", "kind": "x", "extra": 1})) == 3


def test_a_bug_in_a_validator_is_the_cause():
    codec = codec_for(Strict)

    with pytest.raises(ValidationError) as encoding:
        codec.encode({"checked": 666})  # pyright: ignore[reportArgumentType]
    with pytest.raises(SerializationError) as decoding:
        codec.decode(codec.encode(Strict())[:SIZE] + b'{"checked": 666}')

    assert isinstance(encoding.value.__cause__, KeyError)
    assert isinstance(decoding.value.__cause__, KeyError)
    assert "666" not in f"{encoding.value} {decoding.value}"


def test_a_model_changed_into_an_invalid_one_is_refused():
    value = Strict()
    value.kind = "c"  # pyright: ignore[reportAttributeAccessIssue]

    (issue,) = issues_of(Strict, value)

    assert (issue.path, issue.code) == ("$.kind", "literal_error")


@pytest.mark.parametrize("body", [b"", b"{", b"nul", b"\xff\xfe", b"[" * 100_000, b"{}{}"])
def test_damaged_json_is_corrupted(body: bytes):
    codec = codec_for(Strict)

    with pytest.raises(SerializationError) as caught:
        codec.decode(codec.encode(Strict())[:SIZE] + body)

    assert caught.value.code == "corrupted"


# --- definition -------------------------------------------------------------------------------------------------------


class Early(pydantic.BaseModel):
    later: Later | None = None


class Later(pydantic.BaseModel):
    x: int


def test_a_model_may_name_one_that_is_defined_after_it():
    assert read_back(Early, Early(later=Later(x=1))) == Early(later=Later(x=1))


def test_a_model_that_pydantic_cannot_complete_is_refused_at_definition():
    class Incomplete(pydantic.BaseModel):
        missing: Missing  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    with pytest.raises(DefinitionError, match="pydantic cannot use Incomplete as a schema"):
        codec_for(Incomplete)
