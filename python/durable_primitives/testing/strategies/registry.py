"""Strategies that users gave for types of their own."""

from __future__ import annotations

from typing import Any, TypeVar, get_origin

from hypothesis.strategies import SearchStrategy

from durable_primitives.errors import DefinitionError

T = TypeVar("T")

_REGISTERED: dict[Any, SearchStrategy[Any]] = {}


def register_strategy(type: type[T], strategy: SearchStrategy[T]) -> None:
    """Say how values of a type are made, wherever it stands in a schema.

    For a type of which nothing can be derived, or more to the point than what is derived.  It holds for the whole
    process and for what is derived from then on, so a ``conftest.py`` is the place for it; registered again, the type
    has the new strategy.  A constraint of a field still holds: values that break it are left out.

    Args:
        type: A class.
        strategy: Makes instances of it.

    Raises:
        DefinitionError: It is not a class, or not a strategy.

    Example:
        >>> import msgspec
        >>> from hypothesis import find, strategies as st
        >>> from durable_primitives.testing import from_schema
        >>> class Sku(msgspec.Struct):
        ...     code: str
        >>> register_strategy(Sku, st.sampled_from([Sku("tea"), Sku("honey")]))
        >>> find(from_schema(list[Sku]), bool)
        [Sku(code='tea')]
    """
    if not isinstance(type, _CLASS) or get_origin(type) is not None:
        raise DefinitionError(
            f"register_strategy takes a class, and got {type!r}",
            help="register the class that fields are declared with",
        )
    if not isinstance(strategy, SearchStrategy):
        raise DefinitionError(
            f"register_strategy({type.__qualname__}) got {strategy!r}, which is no strategy",
            help="give it one of hypothesis.strategies, for example st.builds(...)",
        )
    _REGISTERED[type] = strategy


def registered(type: object) -> SearchStrategy[Any] | None:
    """What the user gave for a class, or for the class of which it is a generic form."""
    return _REGISTERED.get(type, _REGISTERED.get(get_origin(type)))


def registered_types() -> dict[Any, SearchStrategy[Any]]:
    """Everything that was registered."""
    return dict(_REGISTERED)


_CLASS = type
