"""Every type that a schema is made of, and where it stands: what the rules about schemas are checked against."""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from durable_primitives.errors import DefinitionError

_MODULES = re.compile(r"(?:[\w<>]+\.)+(?=[A-Za-z_])")
_UNIONS = (Union, UnionType)
_RECORD_MARKS = (
    "__struct_fields__",  # msgspec Struct
    "__pydantic_fields__",  # pydantic model or dataclass
    "__dataclass_fields__",
    "__attrs_attrs__",
    "__required_keys__",  # TypedDict
    "_field_defaults",  # NamedTuple
)


class Part(NamedTuple):
    """One type inside a schema.

    Attributes:
        place: For people: ``Order.items``.
        form: A class, a generic alias or a special form.
        metadata: What `Annotated` or a field definition adds to it.
    """

    place: str
    form: Any
    metadata: tuple[Any, ...] = ()


def parts(schema: object) -> Iterator[Part]:
    """The schema itself and everything below it, the nearest first; each class and alias is opened once."""
    pending = deque([Part(name_of(schema), schema)])
    opened: set[Any] = set()
    while pending:
        part = pending.popleft()
        yield part
        if isinstance(part.form, type) or _is_alias(part.form):
            if part.form in opened:
                continue
            opened.add(part.form)
        pending.extend(_inside(part))


def name_of(schema: object) -> str:
    """The name of a class; the text of any other form, for example ``int | None``."""
    if isinstance(schema, type) and get_origin(schema) is None:
        return schema.__qualname__.rpartition("<locals>.")[2]
    return _MODULES.sub("", repr(schema))


def class_of(value: object) -> type[Any]:
    """`type`, for a value of which nothing is known."""
    return type(value)


def union_members(form: object) -> tuple[Any, ...]:
    """The alternatives of a union besides None; nothing for any other form."""
    if get_origin(form) not in _UNIONS:
        return ()
    return tuple(member for member in get_args(form) if member is not NoneType)


def is_record(form: object) -> bool:
    """Whether it is a class with declared fields."""
    return isinstance(form, type) and any(hasattr(form, mark) for mark in _RECORD_MARKS)


def _inside(part: Part) -> Iterator[Part]:
    place, form, metadata = part
    origin = get_origin(form)
    if origin is Annotated:
        inner, *added = get_args(form)
        yield Part(place, inner, (*metadata, *added))
    elif origin is not None:
        yield from _arguments(part, origin)
    elif isinstance(form, TypeVar):
        yield from (Part(place, bound, metadata) for bound in (form.__bound__, *form.__constraints__) if bound)
    elif hasattr(form, "__supertype__"):  # NewType
        yield Part(place, form.__supertype__, metadata)
    elif _is_alias(form):
        yield Part(place, form.__value__, metadata)
    elif is_record(form):
        yield from _fields(form)


def _arguments(part: Part, origin: Any) -> Iterator[Part]:
    if origin in (Literal, ClassVar):
        return
    if origin not in _UNIONS:
        yield Part(part.place, origin, part.metadata)
    for argument in get_args(part.form):
        yield Part(part.place, argument, part.metadata)


def _is_alias(form: object) -> bool:
    # By name: the class is in `typing` or in `typing_extensions`, depending on the Python version.
    return type(form).__name__ == "TypeAliasType"


def _fields(record: Any) -> Iterator[Part]:
    owner = name_of(record)
    if "__pydantic_fields__" in vars(record):
        if not getattr(record, "__pydantic_complete__", True) and hasattr(record, "model_rebuild"):
            record.model_rebuild(raise_errors=False)
        for name, info in record.__pydantic_fields__.items():
            yield Part(f"{owner}.{name}", info.annotation, (*info.metadata,))
        return
    defaults = {field.name: field.default for field in _dataclass_fields(record)}
    for name, form in _hints(record).items():
        # Only pydantic gives a plain dataclass a default that has rules: `amount: int = pydantic.Field(gt=0)`.
        yield Part(f"{owner}.{name}", form, (defaults[name],) if name in defaults else ())


def _hints(record: Any) -> dict[str, Any]:
    """The resolved annotations of its fields; a dataclass or a Struct may annotate more than its fields."""
    try:
        hints = get_type_hints(record, include_extras=True)
    except Exception as error:
        raise DefinitionError(
            f"the annotations of {name_of(record)} cannot be resolved ({error})",
            help="import the types it names at run time, at the top of its module",
        ) from error
    fields = getattr(record, "__struct_fields__", None) or [field.name for field in _dataclass_fields(record)]
    return {name: form for name, form in hints.items() if not fields or name in fields}


def _dataclass_fields(record: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(record) if dataclasses.is_dataclass(record) else ()
