"""Bodies that pydantic reads and writes, as JSON.  Imported only for a schema that needs pydantic.

JSON cannot hold everything that a model can, and some of it would be lost without a word.  So:

===============================================  ======================================================================
NaN and infinities would become null             refused when encoded, unless the model's config keeps them
a `SecretStr` would become ``**********``        refused when encoded, unless a serializer reveals it
bytes written in one encoding, read in another   refused when encoded
one member of a union is read back as another    refused when encoded
an alias that only reading or writing knows      never used: fields are stored by name
===============================================  ======================================================================
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

import pydantic
from pydantic_core import PydanticSerializationError, core_schema

from durable_primitives.errors import DefinitionError, Issue
from durable_primitives.schema.envelope import Format
from durable_primitives.schema.parts import name_of, parts, union_members

if tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 11):
    # 2.11 brought `by_name`, without which a model with aliases cannot read what it wrote.
    raise ImportError(f"pydantic {pydantic.VERSION} is too old")

T = TypeVar("T")

_ENCODED: tuple[type[Any], ...] = (bytes, pydantic.SecretStr, pydantic.SecretBytes, pydantic.Secret)
"""JSON holds a text that stands for them, and whether it can be turned back depends on the model's config."""

_STANDARD = frozenset(get_args(core_schema.ErrorType))
_REDACTED = {
    "union_tag_invalid": "an unknown tag",
    "uuid_parsing": "input should be a valid UUID",
}
_BY_VALIDATOR = {"value_error", "assertion_error"}


class _Lossy(Exception):
    """The value can be written, but would be read back as another one."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        super().__init__()
        self.issues = issues


class PydanticBody(Generic[T]):
    """Serializer, validator and the meaning of their errors."""

    format: Format = "json"
    errors: tuple[type[Exception], ...] = (ValueError, PydanticSerializationError, RecursionError, _Lossy)
    """What pydantic itself raises; anything else comes from the user's validators and serializers."""

    def __init__(self, schema: Any) -> None:
        try:
            adapter: pydantic.TypeAdapter[T] = pydantic.TypeAdapter(schema)
            adapter.rebuild()
        except Exception as error:
            raise DefinitionError(
                f"pydantic cannot use {name_of(schema)} as a schema: {error}", help="correct the type that it names"
            ) from error
        self._adapter = adapter
        self._watched = _watched(schema)
        self._to_json = partial(adapter.serializer.to_json, by_alias=False, round_trip=True, warnings=False)
        self._to_tree = partial(
            adapter.serializer.to_python, mode="json", by_alias=False, round_trip=True, warnings=False
        )
        self.load = partial(adapter.validator.validate_json, by_alias=False, by_name=True)

    def dump(self, value: T) -> bytes:
        """JSON that reads back as `value`, or an exception for `issues`."""
        body = self._to_json(value)
        lost: list[Issue] = []
        if b"null" in body:
            lost += _lost_numbers(self._to_tree(value), json.loads(body), "$")
        if self._watched:
            lost += _changes(value, self.load(body), self._watched, "$")
        if lost:
            raise _Lossy(tuple(lost))
        return body

    def issues(self, error: Exception) -> tuple[Issue, ...]:
        """What an exception of `dump` or `load` says, without the value."""
        if isinstance(error, _Lossy):
            return error.issues
        if isinstance(error, pydantic.ValidationError):
            return tuple(map(_issue, error.errors(include_url=False, include_context=False, include_input=False)))
        if isinstance(error, self.errors):
            return (Issue("$", "cannot be written as JSON (see the issue's detail)", "unserializable", str(error)),)
        return (Issue("$", f"refused by a validator with {type(error).__name__}", "validator", str(error)),)

    def json_schema(self) -> dict[str, Any]:
        """The schema as JSON Schema."""
        return self._adapter.json_schema(by_alias=False)


def _watched(schema: object) -> frozenset[type]:
    """The classes in the schema that JSON may turn into something else: members of unions, bytes and secrets."""
    watched: set[Any] = set()
    for part in parts(schema):
        alternatives = union_members(part.form)
        if len(alternatives) > 1:
            watched.update(map(_bare, alternatives))
        watched.update(kind for kind in _ENCODED if kind == part.form)
    return frozenset(watched)


def _bare(form: Any) -> Any:
    """Without `Annotated` and without type arguments."""
    origin = get_origin(form)
    return _bare(get_args(form)[0]) if origin is Annotated else origin or form


def _lost_numbers(given: Any, stored: Any, path: str) -> Iterator[Issue]:
    """Where JSON has null instead of a number that it cannot hold."""
    if isinstance(given, float) and stored is None:
        yield Issue(path, "JSON has no NaN and no infinity (set ser_json_inf_nan in the model's config)", "not_finite")
    for (step, one), (_, other) in zip(_children(given), _children(stored), strict=False):
        yield from _lost_numbers(one, other, path + step)


def _changes(value: object, decoded: object, watched: frozenset[type], path: str) -> Iterator[Issue]:
    """Where a value is read back as another one."""
    given, kept = type(value), type(decoded)
    if given in watched and kept in watched and given is not kept:
        wrong = f"a {name_of(given)} would be read back as a {name_of(kept)}; give the union a discriminator"
        yield Issue(path, wrong, "ambiguous_union")
    elif given in _ENCODED and value != decoded:
        wrong = f"a {name_of(given)} would be read back changed; give it a serializer that its validator reverses"
        yield Issue(path, wrong, "not_reversible")
    elif given is kept:
        for (step, one), (_, other) in zip(_children(value), _children(decoded), strict=False):
            yield from _changes(one, other, watched, path + step)


def _children(value: Any) -> list[tuple[str, Any]]:
    """What a value holds, each with the step of a path that leads there."""
    kind = _class_of(value)
    if issubclass(kind, dict):
        return [(_step(key), item) for key, item in value.items()]
    if issubclass(kind, (list, tuple)):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    if issubclass(kind, pydantic.BaseModel):
        return [(f".{name}", getattr(value, name)) for name in kind.model_fields]
    if dataclasses.is_dataclass(kind):
        return [(f".{field.name}", getattr(value, field.name)) for field in dataclasses.fields(kind)]
    return []


def _class_of(value: object) -> type[Any]:
    return type(value)


def _issue(error: Any) -> Issue:
    path = "$" + "".join(map(_step, error["loc"]))
    code, text = error["type"], error["msg"]
    if code in _STANDARD and code not in _REDACTED and code not in _BY_VALIDATOR:
        return Issue(path, text[0].lower() + text[1:], code)
    return Issue(path, _REDACTED.get(code, "refused by a validator (see the issue's detail)"), code, text)


def _step(key: Any) -> str:
    """One step of a path.  A key that cannot be a field name is data and stays out."""
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if isinstance(key, str) and key.isidentifier() else "[...]"
