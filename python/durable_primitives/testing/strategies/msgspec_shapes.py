"""Strategies of what msgspec reads: Structs, dataclasses, attrs classes, TypedDicts, NamedTuples and builtin types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import msgspec
from hypothesis import strategies as st
from msgspec import NODEFAULT, inspect

from durable_primitives.schema.parts import name_of
from durable_primitives.testing.strategies import leaves
from durable_primitives.testing.strategies.leaves import underivable
from durable_primitives.testing.strategies.registry import registered
from durable_primitives.testing.strategies.shapes import SIMPLE_FACTORIES, Attempt, Shapes, Strategy

_RECORDS = (inspect.StructType, inspect.DataclassType, inspect.NamedTupleType, inspect.TypedDictType)

_PYTHON: Mapping[str, type] = {
    "IntType": int,
    "FloatType": float,
    "BoolType": bool,
    "StrType": str,
    "BytesType": bytes,
}
"""The builtin types for which a strategy may be registered, too."""

_LEAVES: Mapping[type, Callable[[Any], Strategy]] = {
    inspect.AnyType: lambda _: leaves.simple_values(),
    inspect.NoneType: lambda _: st.none(),
    inspect.BoolType: lambda _: st.booleans(),
    inspect.IntType: lambda it: leaves.integers(gt=it.gt, ge=it.ge, lt=it.lt, le=it.le, multiple_of=it.multiple_of),
    inspect.FloatType: lambda it: leaves.floats(gt=it.gt, ge=it.ge, lt=it.lt, le=it.le, multiple_of=it.multiple_of),
    inspect.BytesType: lambda it: leaves.binary(min_length=it.min_length, max_length=it.max_length),
    inspect.ByteArrayType: lambda it: leaves.binary(min_length=it.min_length, max_length=it.max_length).map(bytearray),
    inspect.MemoryViewType: lambda it: leaves.binary(min_length=it.min_length, max_length=it.max_length).map(
        memoryview
    ),
    inspect.DateTimeType: lambda it: leaves.datetimes(tz=it.tz),
    inspect.TimeType: lambda it: leaves.times(tz=it.tz),
    inspect.DateType: lambda _: st.dates(),
    inspect.TimeDeltaType: lambda _: st.timedeltas(),
    inspect.UUIDType: lambda _: st.uuids(),
    inspect.DecimalType: lambda _: leaves.decimals(),
    inspect.ExtType: lambda _: st.builds(msgspec.msgpack.Ext, st.integers(0, 127), st.binary()),
    inspect.RawType: lambda _: leaves.simple_values().map(lambda value: msgspec.Raw(msgspec.msgpack.encode(value))),
    inspect.EnumType: lambda it: st.sampled_from(list(it.cls)),
    inspect.LiteralType: lambda it: st.sampled_from(it.values),
}

_COLLECTIONS: Mapping[type, Callable[[Any], Any]] = {
    inspect.ListType: list,
    inspect.VarTupleType: tuple,
    inspect.SetType: set,
    inspect.FrozenSetType: frozenset,
}


class MsgspecShapes(Shapes):
    """Derives from what `msgspec.inspect` says about a schema."""

    def derive(self, it: inspect.Type, place: str) -> Strategy:
        """The strategy of one type.

        Raises:
            DefinitionError: There is none.
        """
        if isinstance(it, inspect.Metadata):
            return self.derive(it.type, place)
        cls = getattr(it, "cls", None) or _PYTHON.get(type(it).__name__)
        own = registered(cls)
        if own is not None:
            return own
        if isinstance(it, _RECORDS):
            return self.record(it.cls, partial(self._fields, it))
        if isinstance(it, inspect.StrType):
            return leaves.text(place=place, min_length=it.min_length, max_length=it.max_length, pattern=it.pattern)
        if type(it) in _LEAVES:
            return _LEAVES[type(it)](it)
        return self._container(it, place)

    def _container(self, it: inspect.Type, place: str) -> Strategy:
        if isinstance(it, inspect.UnionType):
            return st.one_of([self.derive(one, place) for one in it.types])
        if isinstance(it, inspect.TupleType):
            return st.tuples(*(self.derive(one, place) for one in it.item_types))
        if isinstance(it, inspect.CollectionType):
            items = self.derive(it.item_type, place)
            unique = isinstance(it, inspect.SetType | inspect.FrozenSetType)
            return self.many(items, it.min_length, it.max_length, unique=unique).map(_COLLECTIONS[type(it)])
        if isinstance(it, inspect.DictType):
            keys, values = self.derive(it.key_type, place), self.derive(it.value_type, place)
            return self.pairs(keys, values, it.min_length, it.max_length)
        cls = getattr(it, "cls", None)
        raise underivable(place, f"the type {name_of(cls) if cls else type(it).__name__}")

    def _fields(self, it: Any) -> Strategy:
        owner = name_of(it.cls)
        declared = {
            field.name: (_may_be_absent(field), partial(self.derive, field.type, f"{owner}.{field.name}"))
            for field in it.fields
            if _is_argument(it.cls, field.name)
        }
        fields = self.fields(it.cls, declared)
        if isinstance(it, inspect.TypedDictType):
            return fields
        build = cast("Callable[..., Any]", it.cls)
        return Attempt.each(owner, fields, lambda values: build(**values))


def _may_be_absent(field: inspect.Field) -> bool:
    if field.required:
        return False
    return field.default_factory is NODEFAULT or field.default_factory in SIMPLE_FACTORIES


def _is_argument(cls: Any, name: str) -> bool:
    """Whether a field is one of the constructor: those of dataclasses and attrs classes need not be."""
    fields = getattr(cls, "__dataclass_fields__", None)
    if fields is not None:
        return bool(fields[name].init)
    return all(field.init for field in getattr(cls, "__attrs_attrs__", ()) if field.name == name)
