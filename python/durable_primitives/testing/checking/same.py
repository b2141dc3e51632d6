"""Whether a value is what came back: equal, and of the same shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec


def is_a(value: Any, kind: Any) -> bool:
    """`isinstance`, for values of which nothing is known before or after."""
    return isinstance(value, kind)


def same(value: Any, other: Any) -> bool:
    """Like ``==``, but a list is no tuple, and records are compared field by field, whether they can be or not.

    >>> same([1, 2.0], [1.0, 2]), same((1, 2), [1, 2]), same({1: "a"}, {"1": "a"})
    (True, False, False)
    """
    names = record_fields(other)
    if names is not None:
        if is_a(value, Mapping) or record_fields(value) is None:
            return True  # a mapping may stand for a record
        return all(same(getattr(value, name, None), getattr(other, name, None)) for name in names)
    if is_a(value, Mapping) and is_a(other, Mapping):
        return value.keys() == other.keys() and all(same(value[key], other[key]) for key in value)
    if is_a(value, AbstractSet) or is_a(other, AbstractSet):
        return is_a(value, AbstractSet) and is_a(other, AbstractSet) and value == other
    if _is_sequence(value) or _is_sequence(other):
        return (
            _is_sequence(value)
            and _is_sequence(other)
            and is_a(value, tuple) == is_a(other, tuple)
            and len(value) == len(other)
            and all(map(same, value, other))
        )
    return bool(value == other) or (value != value and other != other)


def _is_sequence(value: Any) -> bool:
    return is_a(value, Sequence) and not is_a(value, (str, bytes, bytearray))


def record_fields(value: Any) -> list[str] | None:
    """The names of the fields of a record; None for what is none."""
    kind: Any = None if is_a(value, type) else getattr(value, "__class__", None)
    names: Any = None
    if is_a(value, msgspec.Struct):
        names = kind.__struct_fields__
    elif is_dataclass(kind):
        names = [field.name for field in fields(kind)]
    elif is_a(getattr(kind, "model_fields", None), dict):
        names = kind.model_fields
    return None if names is None else [str(name) for name in names]
