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
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

import pydantic
from pydantic_core import PydanticSerializationError, core_schema, to_json

from durable_primitives.errors import DefinitionError, Issue
from durable_primitives.schema.envelope import Format
from durable_primitives.schema.parts import class_of, name_of, parts, union_members

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


class _Changed(Exception):
    """The value can be written and read, but would be read back as another one."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        super().__init__()
        self.issues = issues


class PydanticBody(Generic[T]):
    """Serializer, validator and the meaning of their errors."""

    format: Format = "json"
    errors: tuple[type[Exception], ...] = (ValueError, PydanticSerializationError, RecursionError, _Changed)
    """What pydantic itself raises; anything else comes from the user's validators and serializers."""

    def __init__(self, schema: Any) -> None:
        try:
            adapter: pydantic.TypeAdapter[T] = pydantic.TypeAdapter(schema)
            adapter.rebuild()
        except Exception as error:
            raise DefinitionError(
                f"pydantic cannot use {name_of(schema)} as a schema: {str(error).splitlines()[0]}",
                help="correct the type that it names",
            ) from error
        self._adapter = adapter
        self._watched = _watched(schema)
        self._to_python = partial(adapter.serializer.to_python, by_alias=False, round_trip=True, warnings=False)
        self.dump = partial(adapter.serializer.to_json, by_alias=False, round_trip=True, warnings=False)
        self.load = partial(adapter.validator.validate_json, by_alias=False, by_name=True)

    def check(self, value: T, body: bytes, decoded: T) -> None:
        """Raise if JSON changed the value on the way.  Each search for the place is made only on a suspicion."""
        changed: list[Issue] = []
        if b"null" in body:
            given = self._to_python(value)
            if _may_hold_lost_numbers(given):
                changed += _lost_numbers(given, json.loads(body), "$")
        if self._watched and not _equal(value, decoded):
            changed += _changes(value, decoded, self._watched, "$")
        if changed:
            raise _Changed(tuple(changed))

    def issues(self, error: Exception) -> tuple[Issue, ...]:
        """What an exception of `dump` or `load` says, without the value."""
        if isinstance(error, _Changed):
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


def _may_hold_lost_numbers(given: Any) -> bool:
    """Never wrongly False.  Written with names for such numbers, which text may hold as well."""
    try:
        written = to_json(given, inf_nan_mode="constants", bytes_mode="base64", serialize_unknown=True)
    except Exception:  # a key or a value that only its own serializer can write
        return True
    return b"NaN" in written or b"Infinity" in written


def _equal(value: object, decoded: object) -> bool:
    try:
        return bool(value == decoded)
    except Exception:  # a comparison of the user's: then every part has to be looked at
        return False


def _lost_numbers(given: Any, stored: Any, path: str) -> Iterator[Issue]:
    """Where JSON has null instead of a number that it cannot hold."""
    if isinstance(given, float):
        lost = stored is None and not math.isfinite(given)
    else:
        # The order of a set is not that of its JSON, so its nulls are counted.
        sets = isinstance(given, set | frozenset) and class_of(stored) is list
        lost = sets and stored.count(None) > (None in given)
    if lost:
        yield Issue(path, "JSON has no NaN and no infinity (set ser_json_inf_nan in the model's config)", "not_finite")
    elif isinstance(given, Mapping) == isinstance(stored, dict):
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
    kind = class_of(value)
    if issubclass(kind, Mapping):
        return [(_step(key), item) for key, item in value.items()]
    if issubclass(kind, Sequence) and not issubclass(kind, str | bytes):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    if issubclass(kind, pydantic.BaseModel):
        return [(f".{name}", getattr(value, name)) for name in kind.model_fields]
    if dataclasses.is_dataclass(kind):
        return [(f".{field.name}", getattr(value, field.name)) for field in dataclasses.fields(kind)]
    return []


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
