"""Every value that is derived from a schema fits it, and comes back from its stored bytes."""

from __future__ import annotations

import datetime as dt
import enum
import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from msgspec import Meta, Struct

from durable_primitives.errors import DefinitionError
from durable_primitives.schema import codec_for
from durable_primitives.schema.parts import name_of
from durable_primitives.testing import from_schema
from tests.testing.strategies import shapes_msgspec, shapes_pydantic

QUICK = settings(max_examples=300, database=None)


class Order(Struct):
    sku: Annotated[str, Meta(min_length=1)]
    count: int = 1


class Customer(Struct):
    name: str
    orders: list[Order]


def label(schema: Any) -> str:
    return f"{getattr(schema, '__module__', 'builtins').rpartition('.')[2]}-{name_of(schema)}"


@pytest.mark.parametrize("schema", [*shapes_msgspec.SHAPES, *shapes_pydantic.SHAPES], ids=label)
def test_values_fit_and_round_trip(schema: Any):
    codec = codec_for(schema)

    @settings(max_examples=30)
    @given(from_schema(schema))
    def round_trips(value: Any):
        assert codec.decode(codec.encode(value)) == value

    round_trips()


@pytest.mark.parametrize(
    ("schema", "sometimes"),
    [
        (Order, lambda order: order.count == 1),
        (Order, lambda order: order.count > 1000),
        (Order, lambda order: len(order.sku) == 1),
        (Annotated[int, Meta(ge=-3, lt=4)], lambda number: number == -3),
        (Annotated[int, Meta(ge=-3, lt=4)], lambda number: number == 3),
        (Annotated[int, pydantic.Field(gt=2, le=5)], lambda number: number == 3),
        (Annotated[int, pydantic.Field(gt=2, le=5)], lambda number: number == 5),
        (shapes_msgspec.Request, lambda request: isinstance(request, shapes_msgspec.Post) and request.answers),
        (shapes_msgspec.Tree, lambda tree: tree.children and tree.children[0].children),
        (shapes_pydantic.Tree, lambda tree: tree.children and tree.children[0].children),
        (shapes_msgspec.Partial, lambda partial: partial == {}),
        (shapes_msgspec.Partial, lambda partial: len(partial) == 2),
        (shapes_pydantic.Pet, lambda pet: isinstance(pet, shapes_pydantic.Cat)),
        (shapes_pydantic.Pet, lambda pet: isinstance(pet, shapes_pydantic.Dog) and pet.friends),
        (int | None, lambda value: value is None),
        (Literal["on", "off"], lambda word: word == "off"),
        (shapes_msgspec.Colour, lambda colour: colour is shapes_msgspec.Colour.BLUE),
    ],
)
def test_everything_that_a_schema_allows_comes_up(schema: Any, sometimes: Any):
    unshrunk = settings(max_examples=3000, database=None, phases=[Phase.generate])
    find(from_schema(schema), lambda value: bool(sometimes(value)), settings=unshrunk)


@pytest.mark.parametrize(
    ("schema", "never"),
    [
        (int, lambda number: not -(2**63) <= number < 2**63),
        (float, lambda number: number != number or number in (float("inf"), float("-inf"))),
        (dt.datetime, lambda moment: moment.tzinfo is None),
        (Annotated[dt.datetime, pydantic.Field()], lambda moment: moment.tzinfo is None),
        (shapes_msgspec.Access, lambda access: access not in list(shapes_msgspec.Access)),
    ],
)
def test_surprises_are_left_out(schema: Any, never: Any):
    with pytest.raises(NoSuchExample):
        find(from_schema(schema), never, settings=QUICK)


def test_a_default_factory_that_may_ask_the_clock_is_never_called():
    def forbidden() -> dt.datetime:
        raise AssertionError("called")

    class Stamped(Struct):
        at: dt.datetime = msgspec.field(default_factory=forbidden)

    class StampedModel(pydantic.BaseModel):
        at: dt.datetime = pydantic.Field(default_factory=forbidden)

    for schema in (Stamped, StampedModel):
        with pytest.raises(NoSuchExample):
            find(from_schema(schema), lambda value: value.at.tzinfo is None, settings=QUICK)


# Fields that are given.


def test_a_field_can_be_given():
    order = find(from_schema(Order, sku=st.just("tea")), lambda order: order.count > 1, settings=QUICK)

    assert order == Order("tea", 2)


def test_a_field_of_a_field_is_given_by_composition():
    teas = from_schema(Customer, orders=st.lists(from_schema(Order, sku=st.just("tea")), min_size=1))

    assert find(teas, lambda _: True, settings=QUICK) == Customer("", [Order("tea")])


@pytest.mark.parametrize(
    ("schema", "given_field", "value"),
    [
        (shapes_pydantic.Even, {"number": st.just(4)}, shapes_pydantic.Even(number=4)),
        (shapes_pydantic.Dataclass, {"x": st.just(9)}, shapes_pydantic.Dataclass(9)),
        (shapes_pydantic.Defaults, {"aliased": st.just(2), "name": st.just("bo")}, None),
        (shapes_msgspec.Plain, {"name": st.just("")}, shapes_msgspec.Plain("")),
        (shapes_msgspec.Mixed, {"a": st.just(1)}, {"a": 1}),
        (shapes_msgspec.Page[int], {"items": st.just([3])}, shapes_msgspec.Page([3])),
        (shapes_pydantic.Page[int], {"items": st.just([3])}, shapes_pydantic.Page[int](items=[3])),
    ],
)
def test_fields_of_all_kinds_of_records_can_be_given(schema: Any, given_field: Any, value: Any):
    found = find(from_schema(schema, **given_field), lambda _: True, settings=QUICK)

    assert value is None or found == value


def test_a_field_that_does_not_exist_is_refused_with_the_nearest_name():
    with pytest.raises(DefinitionError, match=r"from_schema\(Order\) has no option 'skuu'; did you mean 'sku'"):
        from_schema(Order, skuu=st.text())


def test_what_has_no_fields_takes_none():
    with pytest.raises(DefinitionError, match=r"from_schema\(list\[Order\]\) was given sku, and it has no fields"):
        from_schema(list[Order], sku=st.text())


# What cannot be derived.


class Coordinate:
    """A type that only its author knows how to make."""

    def __init__(self, at: str) -> None:
        self.at = at

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Coordinate) and self.at == other.at

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def validate(cls, value: Any) -> Coordinate:
        return value if isinstance(value, Coordinate) else cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": cls.validate},
            "serialization": {"type": "function-plain", "function": lambda it: it.at},
        }


class Journey(pydantic.BaseModel):
    stops: list[Coordinate]


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        (Journey, "Journey.stops"),
        (list[Journey], "Journey.stops"),
        (pydantic.create_model("Rule", pattern=(re.Pattern, ...)), "Rule.pattern"),
        (pydantic.create_model("Code", code=(Annotated[str, pydantic.Field(pattern=r"^\p{L}+$")], ...)), "Code.code"),
    ],
)
def test_what_cannot_be_derived_is_named(schema: Any, place: str):
    with pytest.raises(DefinitionError, match=rf"^{re.escape(place)} has .* no values can be derived") as caught:
        from_schema(schema)

    assert "register_strategy" in caught.value.help
    assert "events=" in caught.value.help


def test_what_cannot_be_derived_can_be_given():
    stops = st.just([Coordinate("59,10")])

    assert find(from_schema(Journey, stops=stops), lambda _: True, settings=QUICK).stops == [Coordinate("59,10")]


class NeverStruct(Struct):
    number: int

    def __post_init__(self) -> None:
        raise ValueError("no number is good enough")


class NeverModel(pydantic.BaseModel):
    number: int

    @pydantic.field_validator("number")
    @classmethod
    def never(cls, number: int) -> int:
        raise ValueError("no number is good enough")


@dataclass
class NeverDataclass:
    number: int

    def __post_init__(self) -> None:
        raise ValueError("no number is good enough")


@pytest.mark.parametrize("schema", [NeverStruct, NeverModel, NeverDataclass, list[NeverModel]])
def test_a_validator_that_refuses_nearly_all_is_quoted(schema: Any):
    class_name = "NeverModel" if schema == list[NeverModel] else schema.__name__

    @settings(database=None, suppress_health_check=list(HealthCheck))
    @given(from_schema(schema))
    def draw(value: Any):
        assert value == []

    with pytest.raises(DefinitionError, match=rf"^{class_name} refuses 40 of 40 .* no number is good enough") as caught:
        draw()

    assert f"from_schema({class_name}, field=...)" in caught.value.help


def test_a_given_strategy_whose_values_do_not_fit_is_told():
    with pytest.raises(DefinitionError, match=r"Order refuses 40 of 40 .* \$.sku is expected `str` of length >= 1"):
        find(from_schema(Order, sku=st.just("")), lambda _: True, settings=QUICK)


def test_a_secret_that_cannot_be_stored_is_told():
    schema = pydantic.create_model("Account", password=(pydantic.SecretStr, ...))

    with pytest.raises(DefinitionError, match=r"Account refuses .* give it a serializer"):
        find(from_schema(schema), lambda account: bool(account.password.get_secret_value()), settings=QUICK)


def test_a_type_that_is_no_schema_is_refused_as_always():
    with pytest.raises(DefinitionError, match="cannot be stored"):
        from_schema(Coordinate.__mro__[1])


def test_what_the_standard_library_has_is_derived():
    class Host(pydantic.BaseModel):
        four: ipaddress.IPv4Network
        six: ipaddress.IPv6Address

    assert find(from_schema(Host), lambda host: host.six.packed[0] > 0, settings=QUICK).six


def test_an_enumeration_may_be_large():
    numbers = enum.Enum("numbers", {f"n{index}": index for index in range(1000)})

    assert find(from_schema(numbers), lambda number: number.value > 500, settings=QUICK).value == 501
