"""Strategies of what pydantic reads, from its core schemas.  Imported only for a schema that needs pydantic.

Every model is made by pydantic itself from values that fit the types of its fields, so all of its validators have
their say.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import pathlib
from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

import pydantic
from hypothesis import strategies as st
from pydantic_core import to_json

from durable_primitives.schema.parts import class_of, name_of
from durable_primitives.testing.strategies import leaves
from durable_primitives.testing.strategies.leaves import inside, underivable
from durable_primitives.testing.strategies.registry import registered, registered_types
from durable_primitives.testing.strategies.shapes import SIMPLE_FACTORIES, Attempt, Shapes, Strategy

_NUMBER = ("gt", "ge", "lt", "le", "multiple_of")
_ORDER = _NUMBER[:4]
_PAST, _FUTURE = dt.datetime(2000, 1, 1), dt.datetime(3000, 1, 1)

_INSTANCES: Mapping[type, Callable[[], Strategy]] = {
    ipaddress.IPv4Address: lambda: st.ip_addresses(v=4),
    ipaddress.IPv6Address: lambda: st.ip_addresses(v=6),
    ipaddress.IPv4Network: lambda: st.ip_addresses(v=4).map(ipaddress.IPv4Network),
    ipaddress.IPv6Network: lambda: st.ip_addresses(v=6).map(ipaddress.IPv6Network),
    pathlib.Path: lambda: st.lists(st.from_regex(r"\A[a-z0-9_.]{1,8}\Z"), min_size=1).map(lambda it: pathlib.Path(*it)),
    pathlib.PurePath: lambda: st.just(pathlib.PurePath("a")),
}

_COLLECTIONS: Mapping[str, Callable[[Any], Any]] = {
    "list": list,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
}

_INNER = {
    "function-before": "schema",
    "function-after": "schema",
    "function-wrap": "schema",
    "default": "schema",
    "custom-error": "schema",
    "json-or-python": "python_schema",
    "lax-or-strict": "strict_schema",
}
"""Schemas around another one: values are made for that, and pydantic decides about them."""


class PydanticShapes(Shapes):
    """Derives from the core schema that pydantic makes of a schema."""

    def __init__(self, name: str, root: Any, given: Mapping[str, Strategy]) -> None:
        super().__init__(name, root, given)
        self._adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(root)
        self._adapter.rebuild()
        self._definitions: dict[str, Any] = {}
        self._registered = _cores(registered_types())

    def strategy(self) -> Strategy:
        """The strategy of the schema.

        Raises:
            DefinitionError: There is none.
        """
        inputs = self.derive(self._adapter.core_schema, self._name)
        return Attempt.each(self._name, inputs, _validating(self._adapter))

    def derive(self, it: Any, place: str) -> Strategy:
        """The strategy of one core schema."""
        for own in (registered(it.get("cls")), *(own for core, own in self._registered if core == _plain(it))):
            if own is not None:
                return own
        kind = it["type"]
        if kind == "definitions":
            self._definitions |= {one["ref"]: one for one in it["definitions"]}
            return self.derive(it["schema"], place)
        if kind == "definition-ref":
            return self.derive(self._definitions[it["schema_ref"]], place)
        if kind in _INNER:
            return self.derive(it[_INNER[kind]], place)
        if kind in _LEAVES:
            return _LEAVES[kind](it, place)
        return self._record(it, place) if kind in _RECORDS else self._container(it, place)

    def _container(self, it: Any, place: str) -> Strategy:
        kind, least, most = it["type"], it.get("min_length"), it.get("max_length")
        inner = partial(self._item, it, place)
        if kind in _COLLECTIONS:
            unique = kind in ("set", "frozenset")
            return self.many(inner("items_schema"), least, most, unique=unique).map(_COLLECTIONS[kind])
        if kind == "dict":
            return self.pairs(inner("keys_schema"), inner("values_schema"), least, most)
        if kind == "counter":
            return self.pairs(inner("keys_schema"), st.integers(0, 100), least, most).map(Counter[Any])
        if kind == "tuple":
            return self._tuple(it, place)
        if kind == "nullable":
            return st.none() | inner("schema")
        if kind == "json":
            return inner("schema").map(lambda value: to_json(value).decode())
        if kind == "chain":
            return self.derive(next(step for step in it["steps"] if step["type"] != "is-instance"), place)
        if kind in ("union", "tagged-union"):
            return self._union(it, place)
        raise underivable(place, f"a type with the core schema {kind!r}")

    def _item(self, it: Any, place: str, name: str) -> Strategy:
        return self.derive(it.get(name) or {"type": "any"}, place)

    def _tuple(self, it: Any, place: str) -> Strategy:
        items = [self.derive(one, place) for one in it["items_schema"]]
        variadic = it.get("variadic_item_index")
        if variadic is None:
            return st.tuples(*items)
        fixed = len(items) - 1
        least, most = (
            None if size is None else max(0, size - fixed) for size in (it.get("min_length"), it.get("max_length"))
        )
        parts = [
            self.many(item, least, most) if index == variadic else st.tuples(item) for index, item in enumerate(items)
        ]
        return st.tuples(*parts).map(lambda found: tuple(value for part in found for value in part))

    def _union(self, it: Any, place: str) -> Strategy:
        options: list[Any] = list(it["choices"].values()) if it["type"] == "tagged-union" else it["choices"]
        # A validator that takes instances as they are is another way in, not another value.
        bare = [one[0] if class_of(one) is tuple else one for one in options]
        made = [one for one in bare if one["type"] != "is-instance"] or bare
        return st.one_of([self.derive(one, place) for one in made])

    def _record(self, it: Any, place: str) -> Strategy:
        if it["type"] == "typed-dict":
            owner = name_of(it["cls"]) if "cls" in it else place
            key = it.get("cls", it.get("ref", place))
            return self.record(key, lambda: self._fields(key, owner, it["fields"], total=it.get("total", True)))
        cls = it["cls"]
        return self.record(cls, partial(self._model, cls, it["schema"]))

    def _model(self, cls: Any, it: Any) -> Strategy:
        owner = name_of(cls)
        while it["type"] in _INNER:
            it = it[_INNER[it["type"]]]
        if it["type"] == "model-fields":
            values = self._fields(cls, owner, it["fields"])
        elif it["type"] == "dataclass-args":
            given = {field["name"]: field for field in it["fields"] if field.get("init", True)}
            values = self._fields(cls, owner, given)
        else:
            values = self.derive(it, owner)  # the one field of a root model
        return Attempt.each(owner, values, _validating(pydantic.TypeAdapter(cls)))

    def _fields(self, key: Hashable, owner: str, fields: Mapping[str, Any], *, total: bool = True) -> Strategy:
        declared = {
            name: (_may_be_absent(field, total), partial(self.derive, field["schema"], f"{owner}.{name}"))
            for name, field in fields.items()
        }
        return self.fields(key, declared)


_RECORDS = ("model", "dataclass", "typed-dict")


def _may_be_absent(field: Any, total: bool) -> bool:
    if field["type"] == "typed-dict-field":
        return not field.get("required", total)
    inner = field["schema"]
    if inner["type"] != "default":
        return False
    factory = inner.get("default_factory")
    return factory is None or factory in SIMPLE_FACTORIES


def _pick(it: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: it[name] for name in names if it.get(name) is not None}


def _bounds(it: Any) -> tuple[Any, Any]:
    """Both bounds of a schema; an excluded one is left to pydantic to insist on."""
    least = max((it[name] for name in ("gt", "ge") if it.get(name) is not None), default=None)
    most = min((it[name] for name in ("lt", "le") if it.get(name) is not None), default=None)
    return least, most


def _datetimes(it: Any) -> Strategy:
    zone = it.get("tz_constraint")
    naive = [it[name].tzinfo is None for name in _ORDER if it.get(name) is not None]
    tz = not (zone == "naive" or any(naive))
    bounds = _pick(it, _ORDER)
    if it.get("now_op") == "past":
        bounds["le"] = _PAST
    if it.get("now_op") == "future":
        bounds["ge"] = _FUTURE
    return leaves.datetimes(tz=tz, **bounds)


def _dates(it: Any) -> Strategy:
    least, most = _bounds(it)
    if it.get("now_op") == "past":
        most = _PAST.date()
    if it.get("now_op") == "future":
        least = _FUTURE.date()
    return inside(st.dates, least, most)


def _urls(it: Any) -> Strategy:
    schemes = it.get("allowed_schemes") or ["https"]
    return st.builds(
        "{}://{}/{}".format,
        st.sampled_from(schemes),
        st.from_regex(r"\A[a-z]{1,12}\.example\Z"),
        st.from_regex(r"\A[a-z0-9]{0,12}\Z"),
    )


def _instances(it: Any, place: str) -> Strategy:
    make = _INSTANCES.get(it["cls"])
    if make is None:
        raise underivable(place, f"the type {name_of(it['cls'])}")
    return make()


def _utf8(it: Any) -> Strategy:
    """Bytes as a model without an encoding of its own for them can write them."""
    sizes = _pick(it, ("min_length", "max_length"))
    kept = leaves.text(place="", **sizes).map(str.encode)
    most = it.get("max_length")
    return kept if most is None else kept.filter(lambda value: len(value) <= most)


_LEAVES: Mapping[str, Callable[[Any, str], Strategy]] = {
    "any": lambda it, place: leaves.simple_values(),
    "none": lambda it, place: st.none(),
    "bool": lambda it, place: st.booleans(),
    "int": lambda it, place: leaves.integers(**_pick(it, _NUMBER)),
    "float": lambda it, place: leaves.floats(**_pick(it, _NUMBER)),
    "decimal": lambda it, place: leaves.decimals(**_pick(it, (*_ORDER, "max_digits", "decimal_places"))),
    "str": lambda it, place: leaves.text(place=place, **_text(it)),
    "bytes": lambda it, place: _utf8(it),
    "date": lambda it, place: _dates(it),
    "time": lambda it, place: leaves.times(tz=it.get("tz_constraint") == "aware"),
    "datetime": lambda it, place: _datetimes(it),
    "timedelta": lambda it, place: inside(st.timedeltas, *_bounds(it)),
    "uuid": lambda it, place: st.uuids(version=it.get("version")),
    "url": lambda it, place: _urls(it),
    "multi-host-url": lambda it, place: _urls(it),
    "literal": lambda it, place: st.sampled_from(it["expected"]),
    "enum": lambda it, place: st.sampled_from(it["members"]),
    "is-instance": _instances,
}


def _text(it: Any) -> dict[str, Any]:
    found = _pick(it, ("min_length", "max_length", "pattern"))
    pattern = found.get("pattern")
    return found if pattern is None else {**found, "pattern": getattr(pattern, "pattern", pattern)}


def _validating(adapter: pydantic.TypeAdapter[Any]) -> Callable[[Any], Any]:
    """What the adapter makes of a value; it raises with one short reason."""

    def validate(value: Any) -> Any:
        try:
            return adapter.validate_python(value, by_name=True, by_alias=False)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(map(str, ("$", *first["loc"])))
            raise ValueError(f"{path}: {first['msg']}") from error

    return validate


def _cores(types: Mapping[Any, Strategy]) -> list[tuple[Any, Strategy]]:
    """The core schemas of registered types, those that pydantic can read: not every core schema names its class."""
    found: list[tuple[Any, Strategy]] = []
    for cls, own in types.items():
        try:
            found.append((_plain(pydantic.TypeAdapter(cls).core_schema), own))
        except (pydantic.PydanticUserError, TypeError):
            continue
    return found


def _plain(it: Any) -> Any:
    """What tells a type from others."""
    return {name: value for name, value in it.items() if name not in ("metadata", "ref", "serialization")}
