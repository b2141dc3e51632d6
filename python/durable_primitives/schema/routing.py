"""Which library reads a schema: the one whose rules are in it.

msgspec and pydantic each ignore the other's constraints in silence, and msgspec those of annotated_types too:
``Annotated[int, pydantic.Field(gt=3)]`` accepts 2 under msgspec, ``Annotated[int, msgspec.Meta(gt=3)]`` under pydantic.
So a schema is read once, when it is defined, and everything in it that only one library understands is a claim:

=============================================================  =========
a pydantic model, dataclass, type or `Field`                   pydantic
a constraint of annotated_types                                pydantic
a union of dataclasses or TypedDicts, which msgspec refuses    pydantic
a msgspec Struct, type or `Meta`; an attrs class               msgspec
no claim                                                       msgspec
=============================================================  =========

Claims for both are a `DefinitionError` that names the two places.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from durable_primitives.errors import DefinitionError
from durable_primitives.schema.parts import Part, class_of, name_of, parts, union_members

Library = Literal["msgspec", "pydantic"]

_OWNERS: dict[str, Library] = {
    "msgspec": "msgspec",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic",
    "pydantic_extra_types": "pydantic",
    "annotated_types": "pydantic",
}
"""By the top-level package of a class."""

_HOOKS: dict[str, Library] = {
    "__pydantic_fields__": "pydantic",
    "__pydantic_config__": "pydantic",
    "__get_pydantic_core_schema__": "pydantic",
    "__attrs_attrs__": "msgspec",
}
"""By an attribute that makes a class of somebody else one that only this library understands."""


class Claim(NamedTuple):
    """Something in a schema that only one library understands."""

    library: Library
    place: str
    what: str


def route(schema: object) -> Claim | None:
    """The first claim in the schema, or None if there is none and msgspec reads it.

    Raises:
        DefinitionError: Both libraries have a claim.
    """
    first: dict[Library, Claim] = {}
    for part in parts(schema):
        for claim in _claims(part):
            first.setdefault(claim.library, claim)
    if len(first) > 1:
        one, other = first["pydantic"], first["msgspec"]
        raise DefinitionError(
            f"{name_of(schema)} mixes two libraries: {one.place} uses {one.what}, {other.place} uses {other.what}",
            help="write the whole schema for one of them; each would silently ignore the rules of the other",
        )
    return next(iter(first.values()), None)


def _claims(part: Part) -> Iterator[Claim]:
    for kind in map(class_of, part.metadata):
        library = _owner(kind)
        if library:
            yield Claim(library, part.place, f"{_package(kind)}.{kind.__name__}")
    if isinstance(part.form, type):
        library = _owner(part.form)
        if library:
            yield Claim(library, part.place, f"the {library} type {name_of(part.form)}")
    if sum(map(_is_plain_record, union_members(part.form))) > 1:
        yield Claim("pydantic", part.place, "a union of dataclasses or TypedDicts")


def _owner(cls: Any) -> Library | None:
    for base in cls.__mro__:
        if _package(base) in _OWNERS:
            return _OWNERS[_package(base)]
    return next((library for hook, library in _HOOKS.items() if hasattr(cls, hook)), None)


def _package(cls: type[Any]) -> str:
    return cls.__module__.partition(".")[0]


def _is_plain_record(form: Any) -> bool:
    return dataclasses.is_dataclass(form) or hasattr(form, "__required_keys__")
