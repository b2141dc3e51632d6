"""A schema is read by the one library that enforces every rule in it, or is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Generic, Required, TypeVar

import annotated_types
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
import typing_extensions
from typing_extensions import TypeAliasType

from durable_primitives.errors import DefinitionError, ValidationError
from durable_primitives.schema import codec_for
from durable_primitives.schema.parts import parts

T = TypeVar("T")

Positive = Annotated[int, annotated_types.Gt(0)]
Amount = TypeAliasType("Amount", Positive)
Json = TypeAliasType("Json", dict[str, "Json"] | list["Json"] | str | None)


class Model(pydantic.BaseModel):
    x: int


class Struct(msgspec.Struct):
    x: int


@dataclass
class Dataclass:
    x: int


@dataclass
class Other:
    y: int


@pydantic.dataclasses.dataclass
class PydanticDataclass:
    x: Annotated[int, pydantic.Field(gt=3)]


@dataclass
class FieldDefault:
    x: int = pydantic.Field(default=5, gt=3)


@dataclass
class Holder:
    inner: list[Dataclass]
    unrelated: ClassVar[type[Model]] = Model


@dataclass
class Tree:
    children: list[Tree] = field(default_factory=list)
    leaf: Positive = 1


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


class Configured(typing_extensions.TypedDict):
    __pydantic_config__ = pydantic.ConfigDict(strict=True)  # type: ignore[misc]
    x: int


class Declared(typing_extensions.TypedDict, total=False):
    x: Required[Positive]


class SpeaksPydantic:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler(str)


PYDANTIC = [
    Model,
    list[Model],
    dict[str, Model | None],
    PydanticDataclass,
    FieldDefault,
    Configured,
    Positive,
    Amount,
    Annotated[int, pydantic.Field(gt=3)],
    Annotated[str, pydantic.StringConstraints(min_length=1)],
    Annotated[int, pydantic.AfterValidator(abs)],
    pydantic.PositiveInt,
    pydantic.AnyUrl,
    Annotated[str, annotated_types.Len(1, 3)],
    Tree,
    Declared,
    Dataclass | Other,
    list[Dataclass | Other | None],
    SpeaksPydantic,
]
MSGSPEC = [
    Struct,
    Page[int],
    Dataclass,
    Holder,
    Dataclass | None,
    list[Struct | None],
    Annotated[int, msgspec.Meta(gt=3)],
    int | None,
    dict[str, Any],
]


@pytest.mark.parametrize("schema", PYDANTIC, ids=str)
def test_the_rules_of_pydantic_go_to_pydantic(schema: Any):
    assert codec_for(schema).format == "json"


@pytest.mark.parametrize("schema", MSGSPEC, ids=str)
def test_everything_else_goes_to_msgspec(schema: Any):
    assert codec_for(schema).format == "msgpack"


@pytest.mark.parametrize(
    ("schema", "value", "path"),
    [
        (Annotated[int, pydantic.Field(gt=3)], 2, "$"),
        (Annotated[int, msgspec.Meta(gt=3)], 2, "$"),
        (Positive, 0, "$"),
        (Amount, 0, "$"),
        (PydanticDataclass, {"x": 2}, "$.x"),
        (FieldDefault, FieldDefault(x=2), "$.x"),
        (Tree, Tree([Tree(leaf=0)]), "$.children[0].leaf"),
        (Declared, {"x": 0}, "$.x"),
    ],
    ids=str,
)
def test_no_constraint_is_ignored_in_silence(schema: Any, value: Any, path: str):
    with pytest.raises(ValidationError) as caught:
        codec_for(schema).encode(value)

    assert [issue.path for issue in caught.value.issues] == [path]


class StructWithModel(msgspec.Struct):
    model: Model


class StructWithRule(msgspec.Struct):
    amount: Positive


class ModelWithMeta(pydantic.BaseModel):
    amount: Annotated[int, msgspec.Meta(gt=3)]


@dataclass
class DataclassWithBoth:
    one: Annotated[int, pydantic.Field(gt=3)]
    other: Annotated[int, msgspec.Meta(gt=3)]


class StructWithUnion(msgspec.Struct):
    either: Dataclass | Other


@pytest.mark.parametrize(
    ("schema", "places"),
    [
        (StructWithModel, ["StructWithModel.model uses the pydantic type Model", "the msgspec type StructWithModel"]),
        (StructWithRule, ["StructWithRule.amount uses annotated_types.Gt", "the msgspec type StructWithRule"]),
        (ModelWithMeta, ["the pydantic type ModelWithMeta", "ModelWithMeta.amount uses msgspec.Meta"]),
        (
            DataclassWithBoth,
            ["DataclassWithBoth.one uses pydantic.FieldInfo", "DataclassWithBoth.other uses msgspec.Meta"],
        ),
        (StructWithUnion, ["StructWithUnion.either uses a union of dataclasses", "the msgspec type StructWithUnion"]),
        (Model | Struct, ["the pydantic type Model", "the msgspec type Struct"]),
        (Page[Model], ["the pydantic type Model", "the msgspec type Page"]),
    ],
    ids=str,
)
def test_the_rules_of_both_in_one_schema_are_refused_with_the_two_places(schema: Any, places: list[str]):
    with pytest.raises(DefinitionError) as caught:
        codec_for(schema)

    for place in places:
        assert place in caught.value.message


def test_a_schema_that_needs_pydantic_says_so_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    monkeypatch.delitem(sys.modules, "durable_primitives.schema.pydantic_body", raising=False)

    with pytest.raises(DefinitionError) as caught:
        codec_for(Tree)

    assert "Tree.leaf uses annotated_types.Gt, which needs pydantic" in caught.value.message
    assert caught.value.help == "install durable-primitives[pydantic]"


def test_a_pydantic_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pydantic, "VERSION", "2.10.6")
    monkeypatch.delitem(sys.modules, "durable_primitives.schema.pydantic_body", raising=False)

    with pytest.raises(DefinitionError, match=r"needs pydantic 2\.11 or newer \(pydantic 2\.10\.6 is too old\)"):
        codec_for(Model)


@pytest.mark.skipif(find_spec("attrs") is None, reason="attrs classes are tried where attrs is installed")
def test_attrs_classes_go_to_msgspec_unless_it_would_leave_a_field_out():
    attrs = import_module("attrs")
    public = attrs.make_class("Public", {"x": attrs.field(type=int)})
    private = attrs.make_class("Private", {"_x": attrs.field(type=int)})
    codec = codec_for(public)

    assert codec.decode(codec.encode(public(1))) == public(1)
    with pytest.raises(DefinitionError, match=r"Private\._x would not be stored"):
        codec_for(private)


def test_pydantic_is_imported_only_for_a_schema_that_needs_it():
    program = (
        "import sys; from durable_primitives.schema import codec_for; "
        "codec_for(dict[str, list[int] | None]).encode({}); "
        "sys.exit('pydantic' in sys.modules)"
    )

    run = subprocess.run([sys.executable, "-c", program], check=False, env={"PYTHONPATH": os.pathsep.join(sys.path)})

    assert run.returncode == 0


def test_every_part_of_a_recursive_schema_is_seen_once():
    assert sum(part.form is Tree for part in parts(Tree)) == 2  # itself, and the list inside it
    assert str in {part.form for part in parts(Json)}
