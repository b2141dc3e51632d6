"""Whether a value is what came back: equal, and of the same shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec


def same(value: Any, other: Any) -> bool:
    """Like ``==``, but a list is no tuple, and records are compared field by field, whether they can be or not.

    >>> same([1, 2.0], [1.0, 2]), same((1, 2), [1, 2]), same({1: "a"}, {"1": "a"})
    (True, False, False)
    """
    names = record_fields(other)
    if names is not None:
        if isinstance(value, Mapping) or record_fields(value) is None:
            return True  # a mapping may stand for a record
        return all(same(getattr(value, name, None), getattr(other, name, None)) for name in names)
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return value.keys() == other.keys() and all(same(value[key], other[key]) for key in value)
    if isinstance(value, AbstractSet) or isinstance(other, AbstractSet):
        return isinstance(value, AbstractSet) and isinstance(other, AbstractSet) and value == other
    if _is_sequence(value) or _is_sequence(other):
        return (
            _is_sequence(value)
            and _is_sequence(other)
            and isinstance(value, tuple) == isinstance(other, tuple)
            and len(value) == len(other)
            and all(map(same, value, other))
        )
    return bool(value == other) or (value != value and other != other)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def record_fields(value: Any) -> list[str] | None:
    """The names of the fields of a record; None for what is none."""
    if isinstance(value, type):
        return None
    if isinstance(value, msgspec.Struct):
        return list(type(value).__struct_fields__)
    if is_dataclass(value):
        return [field.name for field in fields(value)]
    model_fields = getattr(type(value), "model_fields", None)
    return list(model_fields) if isinstance(model_fields, dict) else None
