"""A user says how values of a type are made."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from hypothesis import find, settings
from hypothesis import strategies as st

from durable_primitives.errors import DefinitionError
from durable_primitives.testing import from_schema, register_strategy
from durable_primitives.testing.strategies import registry
from tests.testing.strategies.test_from_schema import Coordinate, Journey

QUICK = settings(max_examples=100, database=None)


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTERED", {})


class Sku(msgspec.Struct):
    code: str


class Line(msgspec.Struct):
    sku: Sku
    others: list[Sku]


class Email(pydantic.BaseModel):
    address: str


class Letter(pydantic.BaseModel):
    to: Email
    copies: dict[str, Email | None]


def first(schema: Any) -> Any:
    return find(from_schema(schema), lambda _: True, settings=QUICK)


def test_a_registered_type_is_used_wherever_it_stands():
    register_strategy(Sku, st.just(Sku("tea")))
    register_strategy(Email, st.just(Email(address="ada@example.com")))

    line = find(from_schema(Line), lambda line: bool(line.others), settings=QUICK)
    letter = find(from_schema(Letter), lambda letter: any(letter.copies.values()), settings=QUICK)

    assert line == Line(Sku("tea"), [Sku("tea")])
    assert letter.to.address == "ada@example.com"
    assert [copy.address for copy in letter.copies.values() if copy] == ["ada@example.com"]


def test_a_type_that_could_not_be_derived_can_be_registered():
    register_strategy(Coordinate, st.just(Coordinate("59,10")))

    journey = find(from_schema(Journey), lambda journey: len(journey.stops) > 1, settings=QUICK)

    assert journey.stops == [Coordinate("59,10")] * 2


def test_a_builtin_type_can_be_registered_and_constraints_still_hold():
    register_strategy(str, st.sampled_from(["tea", "honey"]))

    assert first(Sku) == Sku("tea")
    assert first(Annotated[str, msgspec.Meta(min_length=4)]) == "honey"
    assert first(Email).address == "tea"


def test_registering_again_replaces():
    register_strategy(Sku, st.just(Sku("tea")))
    register_strategy(Sku, st.just(Sku("honey")))

    assert first(Sku) == Sku("honey")


@pytest.mark.parametrize("what", ["Sku", list[int], Annotated[int, 3], 5])
def test_only_a_class_can_be_registered(what: Any):
    with pytest.raises(DefinitionError, match="takes a class"):
        register_strategy(what, st.none())


def test_only_a_strategy_is_one():
    with pytest.raises(DefinitionError, match="is no strategy"):
        register_strategy(Sku, lambda: Sku("tea"))  # type: ignore[arg-type]
