"""One codec for every kind of schema: what it encodes decodes, and what it cannot read it says."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar, assert_type
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_primitives.errors import DefinitionError, Issue, SerializationError, ValidationError
from durable_primitives.schema import Codec, codec_for
from durable_primitives.schema.envelope import SIZE, write

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class ItemStruct(msgspec.Struct):
    name: str
    price: float


class OrderStruct(msgspec.Struct):
    id: str
    items: list[ItemStruct]
    note: str | None = None
    color: Color = Color.RED


@dataclass
class ItemDataclass:
    name: str
    price: float


@dataclass
class OrderDataclass:
    id: str
    items: list[ItemDataclass]
    note: str | None = None
    color: Color = Color.RED


class ItemDict(TypedDict):
    name: str
    price: float


class OrderDict(TypedDict):
    id: str
    items: list[ItemDict]
    note: NotRequired[str | None]


class ItemModel(pydantic.BaseModel):
    name: str
    price: float


class OrderModel(pydantic.BaseModel):
    id: str
    items: list[ItemModel]
    note: str | None = None
    color: Color = Color.RED


class Point(NamedTuple):
    x: int
    y: int = 0


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


class Node(msgspec.Struct):
    value: int
    children: list[Node] = []


class Created(msgspec.Struct, tag=True):
    id: str


class Deleted(msgspec.Struct, tag=True):
    id: str


class Bounded(msgspec.Struct):
    amount: Annotated[int, msgspec.Meta(gt=0)]


class Checked(msgspec.Struct):
    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"{self.end} is before {self.start}")
        if self.start == 666:
            raise KeyError(f"a bug that quotes {self.start}")


UserId = NewType("UserId", str)

TEXT = st.text(max_size=20)
PRICES = st.floats(allow_nan=False, allow_infinity=False)
COLORS = st.sampled_from(Color)


def orders(order: Any, item: Any) -> st.SearchStrategy[Any]:
    items = st.lists(st.builds(item, name=TEXT, price=PRICES), max_size=3)
    return st.builds(order, id=TEXT, items=items, note=st.none() | TEXT, color=COLORS)


ORDER_DICTS = st.fixed_dictionaries(
    {"id": TEXT, "items": st.lists(st.fixed_dictionaries({"name": TEXT, "price": PRICES}), max_size=3)},
    optional={"note": st.none() | TEXT},
)
KINDS = {
    "struct": (codec_for(OrderStruct), orders(OrderStruct, ItemStruct)),
    "dataclass": (codec_for(OrderDataclass), orders(OrderDataclass, ItemDataclass)),
    "typed dict": (codec_for(OrderDict), ORDER_DICTS),
    "model": (codec_for(OrderModel), orders(OrderModel, ItemModel)),
    "builtin": (codec_for(dict[str, list[int]]), st.dictionaries(TEXT, st.lists(st.integers(-(2**63), 2**64 - 1)))),
}
every_kind = pytest.mark.parametrize(("codec", "values"), KINDS.values(), ids=KINDS)

STRUCT = codec_for(OrderStruct)
ORDER = OrderStruct(id="o-1", items=[ItemStruct("pen", 1.5)])


UNREADABLE = {"corrupted", "wrong_schema"}


def refusal(codec: Codec[Any], data: bytes) -> str | None:
    """The code of the error that `data` raises; None if it decodes."""
    try:
        codec.decode(data)
    except SerializationError as error:
        return error.code
    return None


# --- round trip -------------------------------------------------------------------------------------------------------


@every_kind
@given(data=st.data())
def test_what_is_encoded_decodes_to_an_equal_value_made_anew(
    codec: Codec[Any], values: st.SearchStrategy[Any], data: st.DataObject
):
    value = data.draw(values)
    encoded = codec.encode(value)

    one, other = codec.decode(encoded), codec.decode(encoded)

    assert one == value
    assert one is not other


@every_kind
@given(data=st.data())
def test_damaged_bytes_decode_or_raise_a_serialization_error_and_nothing_else(
    codec: Codec[Any], values: st.SearchStrategy[Any], data: st.DataObject
):
    damaged = bytearray(codec.encode(data.draw(values)))
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=5)):
        damaged[position] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)))

    assert refusal(codec, bytes(damaged[:end])) in {None, "not_an_envelope", "wrong_codec", "newer_schema", *UNREADABLE}


@pytest.mark.parametrize("codec", [codec for codec, _ in KINDS.values()], ids=KINDS)
@given(body=st.binary(max_size=40))
def test_random_bytes_behind_a_valid_header_raise_nothing_but_a_serialization_error(codec: Codec[Any], body: bytes):
    header = write(codec.format, codec.version)

    assert refusal(codec, header + body) in {None, *UNREADABLE}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (int, 7),
        (str, "héllo"),
        (bytes, b"\xff\x00"),
        (float, math.inf),
        (type(None), None),
        (int | None, None),
        (int | None, 7),
        (Any, {"a": [1, None, "b"]}),
        (list[OrderStruct], [ORDER]),
        (tuple[int, str], (1, "a")),
        (tuple[int, ...], (1, 2)),
        (set[str], {"a", "b"}),
        (frozenset[int], frozenset({1})),
        (dict[int, str], {1: "a"}),
        (Mapping[str, int], {"a": 1}),
        (Sequence[int], [1, 2]),
        (Literal["a", "b"], "a"),
        (Color, Color.BLUE),
        (datetime, datetime(2030, 1, 1, 12, 30, 0, 123_456, tzinfo=UTC)),
        (datetime, datetime(2030, 1, 1)),
        (date, date(2030, 1, 1)),
        (time, time(12, 30)),
        (timedelta, timedelta(hours=1, microseconds=3)),
        (UUID, UUID(int=5)),
        (Decimal, Decimal("1.10")),
        (Annotated[int, msgspec.Meta(gt=3)], 4),
        (Point, Point(1, 2)),
        (Page[OrderStruct], Page([ORDER])),
        (Node, Node(1, [Node(2)])),
        (Created | Deleted, Deleted("a")),
        (UserId, UserId("u-1")),
        (msgspec.Raw, msgspec.Raw(b"\x01")),
    ],
    ids=str,
)
def test_any_form_of_type_is_a_schema(schema: Any, value: Any):
    codec = codec_for(schema)

    assert codec.decode(codec.encode(value)) == value


def test_a_nan_survives_message_pack():
    codec = codec_for(ItemStruct)

    assert math.isnan(codec.decode(codec.encode(ItemStruct("pen", math.nan))).price)


def test_a_field_of_a_struct_may_be_unset():
    class Change(msgspec.Struct):
        count: int | msgspec.UnsetType | None = msgspec.UNSET

    codec = codec_for(Change)

    assert [codec.decode(codec.encode(Change(*given))).count for given in [(), (None,), (3,)]] == [
        msgspec.UNSET,
        None,
        3,
    ]


def test_many_separately_encoded_values_decode_in_order():
    codec = codec_for(Point)

    assert codec.decode_many([codec.encode(Point(n)) for n in range(3)]) == [Point(0), Point(1), Point(2)]
    assert codec.decode_many([]) == []


def test_changing_a_decoded_value_does_not_change_what_is_decoded_next():
    encoded = STRUCT.encode(ORDER)

    STRUCT.decode(encoded).items.clear()

    assert STRUCT.decode(encoded) == ORDER


def test_the_codec_has_the_type_of_its_schema():
    assert_type(codec_for(int | None), Codec[int | None])
    assert_type(codec_for(OrderStruct), Codec[OrderStruct])
    assert_type(codec_for(list[OrderStruct]).decode(codec_for(list[OrderStruct]).encode([])), list[OrderStruct])


# --- what is valid ----------------------------------------------------------------------------------------------------


def issue_of(codec: Codec[Any], value: Any) -> Issue:
    """The only issue that `value` has."""
    with pytest.raises(ValidationError) as caught:
        codec.encode(value)
    assert caught.value.schema_name == codec.name
    (issue,) = caught.value.issues
    return issue


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (OrderStruct, OrderStruct(id=1, items=[]), Issue("$.id", "expected `str`, got `int`", "type")),
        (OrderStruct, OrderStruct("o", [{"name": "a"}]), Issue("$.items[0].price", "missing", "missing")),
        (OrderDict, {"id": "o"}, Issue("$.items", "missing", "missing")),
        (OrderStruct, object(), Issue("$", "encoding objects of type object is unsupported", "unsupported_type")),
        (OrderStruct, "an order", Issue("$", "expected `object`, got `str`", "type")),
        (Bounded, Bounded(0), Issue("$.amount", "expected `int` >= 1", "constraint")),
        (dict[str, int], {"secret": "x"}, Issue("$[...]", "expected `int`, got `str`", "type")),
        (dict[int, int], {"x": 1}, Issue("$", "expected `int`, got `str`", "type")),
        (Color, "green", Issue("$", "not one of the allowed values", "enum")),
        (Created | Deleted, {"type": "secret"}, Issue("$.type", "an unknown tag", "tag")),
        (datetime, "soon", Issue("$", "invalid RFC3339 encoded datetime", "format")),
        (Any, 2**64, Issue("$", "an integer of more than 64 bits", "constraint")),
        (Any, "\ud800", Issue("$", "text that is not valid Unicode", "format")),
        (Any, CYCLE, Issue("$", "nested too deeply", "too_deep")),
        (int, True, Issue("$", "expected `int`, got `bool`", "type")),
        (int, "5", Issue("$", "expected `int`, got `str`", "type")),
    ],
    ids=lambda case: str(getattr(case, "path", "")) or None,
)
def test_an_invalid_value_is_refused_with_the_place_and_the_reason(schema: Any, value: Any, expected: Issue):
    assert issue_of(codec_for(schema), value) == expected


def test_an_unknown_field_is_refused_where_the_schema_forbids_it():
    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        id: str

    assert issue_of(codec_for(Strict), {"id": "a", "extra": 1}) == Issue("$.extra", "unknown field", "unknown_field")


def test_a_mapping_may_stand_for_a_record():
    assert STRUCT.decode(STRUCT.encode({"id": "o-1", "items": []})) == OrderStruct("o-1", [])  # pyright: ignore


def test_the_words_of_a_validator_are_a_detail_and_in_no_text():
    codec = codec_for(Checked)

    with pytest.raises(ValidationError) as caught:
        codec.encode({"start": 4111, "end": 1})  # pyright: ignore[reportArgumentType]

    (issue,) = caught.value.issues
    assert issue.detail == "1 is before 4111"
    assert issue.code == "validator"
    assert "4111" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_bug_in_user_code_is_the_cause():
    codec = codec_for(Checked)
    encoded = codec.encode(Checked(1, 2))
    stored = encoded[:SIZE] + msgspec.msgpack.encode({"start": 666, "end": 667})

    with pytest.raises(ValidationError) as encoding:
        codec.encode({"start": 666, "end": 667})  # pyright: ignore[reportArgumentType]
    with pytest.raises(SerializationError) as decoding:
        codec.decode(stored)

    assert isinstance(encoding.value.__cause__, KeyError)
    assert isinstance(decoding.value.__cause__, KeyError)
    assert "666" not in f"{encoding.value} {decoding.value}"


def test_running_out_of_memory_says_nothing_about_the_value():
    class Exhausted(msgspec.Struct):
        size: int

        def __post_init__(self) -> None:
            if self.size > 1:
                raise MemoryError

    codec = codec_for(Exhausted)
    header = codec.encode(Exhausted(1))[:SIZE]

    with pytest.raises(MemoryError):
        codec.encode({"size": 2})  # pyright: ignore[reportArgumentType]
    with pytest.raises(MemoryError):
        codec.decode(header + msgspec.msgpack.encode({"size": 2}))


# --- definition -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        (OrderStruct, "OrderStruct"),
        (int | None, "int | None"),
        (list[OrderStruct], "list[OrderStruct]"),
        (dict[str, Any], "dict[str, Any]"),
    ],
)
def test_a_codec_is_named_after_its_schema(schema: Any, name: str):
    assert codec_for(schema).name == name
    assert codec_for(schema, name="TokenState").name == "TokenState"


class Plain:
    pass


class Untagged(msgspec.Struct):
    id: str


@dataclass
class HasPlain:
    plain: list[Plain] = field(default_factory=list)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (Plain, "Plain has the type Plain, which cannot be stored"),
        (HasPlain, "HasPlain.plain has the type Plain, which cannot be stored"),
        (object, "object has the type object"),
        (dict[str, complex], "has the type complex"),
        (Callable[[], int], "has the type Callable"),
        (Untagged | Created, "must be tagged"),
        ("OrderStruct", "is no schema"),
        (3, "is no schema"),
    ],
)
def test_what_could_never_be_stored_is_refused_at_definition(schema: Any, message: str):
    with pytest.raises(DefinitionError, match=message):
        codec_for(schema)


def test_an_annotation_that_means_nothing_is_refused_at_definition():
    @dataclass
    class Broken:
        later: Missing  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    with pytest.raises(DefinitionError):
        codec_for(Broken)


def test_the_json_schema_uses_the_names_that_are_stored():
    class Renamed(msgspec.Struct, rename="camel"):
        order_id: str

    assert list(codec_for(Renamed).json_schema()["$defs"]["Renamed"]["properties"]) == ["orderId"]


def test_a_codec_shows_what_it_is():
    assert repr(codec_for(OrderStruct, version=2)) == "Codec('OrderStruct', version=2, format='msgpack')"
