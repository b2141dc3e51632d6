"""The options of `make`: unknown ones are refused with the nearest valid name, known ones are checked at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from durable_primitives.errors import DefinitionError, unknown_option

_T = TypeVar("_T")


def refuse_unknown(given: Mapping[str, object], make: Callable[..., Any], where: str) -> None:
    """Raise for the first option in `given` (what `make` did not recognise)."""
    for name in given:
        parameters = inspect.signature(make).parameters.values()
        raise unknown_option(name, [p.name for p in parameters if p.kind is p.KEYWORD_ONLY], where)


def refuse_not_yet(where: str, **options: object) -> None:
    """Raise if an option that this release only knows by name was given: it must not be ignored in silence."""
    for name, value in options.items():
        if value is not None:
            raise DefinitionError(
                f"{where}: {name} is not available in this release",
                help="leave it out; the changelog says when it arrives",
            )


def choice(value: _T, allowed: tuple[_T, ...], what: str) -> _T:
    """`value`, if it is one of `allowed`."""
    if value not in allowed:
        listed = ", ".join(repr(one) for one in allowed)
        raise DefinitionError(f"{what} must be one of {listed}; got {value!r}")
    return value


def whole_number(value: object, what: str, *, at_least: int = 1) -> int:
    """`value`, if it is an int (and not a bool) of at least so much."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise DefinitionError(f"{what} must be a whole number of at least {at_least}, got {value!r}")
    return value


MAX_PAGE = 10_000
"""Rows of one page, whatever limit was asked for: its cursor goes on."""


def page_limit(value: object) -> int:
    """How many rows a page may have, from the `limit` of a caller."""
    return min(whole_number(value, "limit"), MAX_PAGE)


def text_or_none(value: object, what: str) -> str | None:
    """`value`, if it is None or text that a store can keep."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise DefinitionError(f"{what} must be text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DefinitionError(f"{what} must be valid Unicode text, got a lone surrogate") from None
    return value


def not_a_cursor(cursor: str) -> DefinitionError:
    """The error for a cursor that no page came with."""
    return DefinitionError(f"{cursor!r} is no cursor of this listing", help="pass the cursor of the page before")
