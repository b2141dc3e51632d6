"""Values without parts: numbers, text, bytes and moments.

What a type allows and hardly a handler expects is left out, so that a test fails for what matters: integers beyond 64
bits, NaN and infinities, datetimes without a time zone where either is allowed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from durable_primitives.errors import DefinitionError

_INT64 = (-(2**63), 2**63 - 1)
_UNICODE = st.characters(codec="utf-8")


def integers(
    *,
    gt: int | None = None,
    ge: int | None = None,
    lt: int | None = None,
    le: int | None = None,
    multiple_of: Any = None,
) -> SearchStrategy[int]:
    """Whole numbers of 64 bits, unless a bound lies outside."""
    step = multiple_of or 1
    lower = [bound for bound in (None if gt is None else gt + 1, ge) if bound is not None]
    upper = [bound for bound in (None if lt is None else lt - 1, le) if bound is not None]
    least = max(lower, default=min(_INT64[0], *upper) if upper else _INT64[0])
    most = min(upper, default=max(_INT64[1], least))
    first, last = -(-least // step), most // step
    if first > last:
        return st.nothing()
    return (
        st.integers(int(first), int(last)).map(lambda number: number * step) if step != 1 else st.integers(first, last)
    )


def floats(
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    multiple_of: float | None = None,
) -> SearchStrategy[float]:
    """Finite numbers."""
    least = max((float(bound) for bound in (gt, ge) if bound is not None), default=None)
    most = min((float(bound) for bound in (lt, le) if bound is not None), default=None)
    if multiple_of is not None:
        step = float(multiple_of)
        first = None if least is None else int(least // step)
        last = None if most is None else int(most // step) + 1
        bounded = st.integers(-(2**40) if first is None else first, max(2**40, first or 0) if last is None else last)
        return bounded.map(lambda count: count * step).filter(lambda number: _within(number, gt, ge, lt, le))
    return st.floats(
        least,
        most,
        exclude_min=least is not None and gt is not None and least == gt,
        exclude_max=most is not None and lt is not None and most == lt,
        allow_nan=False,
        allow_infinity=False,
    )


def decimals(
    *,
    gt: Any = None,
    ge: Any = None,
    lt: Any = None,
    le: Any = None,
    max_digits: int | None = None,
    decimal_places: int | None = None,
) -> SearchStrategy[Decimal]:
    """Finite decimal numbers.  A multiple, and an excluded bound, are left to the schema to insist on."""
    least = max((bound for bound in (gt, ge) if bound is not None), default=None)
    most = min((bound for bound in (lt, le) if bound is not None), default=None)
    if max_digits is not None:
        limit = Decimal(10) ** (max_digits - (decimal_places or 0)) - 1
        least = -limit if least is None else least
        most = limit if most is None else most
        decimal_places = decimal_places or 0
    made = st.decimals(least, most, places=decimal_places, allow_nan=False, allow_infinity=False)
    return made.filter(lambda number: _within(number, gt, ge, lt, le))


def text(
    *, place: str, min_length: int | None = None, max_length: int | None = None, pattern: str | None = None
) -> SearchStrategy[str]:
    """Text that can be written as UTF-8.

    Raises:
        DefinitionError: Python cannot read the pattern.
    """
    if pattern is None:
        return st.text(_UNICODE, min_size=min_length or 0, max_size=max_length)
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise underivable(place, f"the pattern {pattern!r}, which Python cannot read ({error})") from error
    found = st.from_regex(compiled, alphabet=_UNICODE)
    if min_length is None and max_length is None:
        return found
    return found.filter(
        lambda value: (min_length or 0) <= len(value) <= (len(value) if max_length is None else max_length)
    )


def binary(*, min_length: int | None = None, max_length: int | None = None) -> SearchStrategy[bytes]:
    """Any bytes."""
    return st.binary(min_size=min_length or 0, max_size=max_length)


def datetimes(
    *, tz: bool | None = None, gt: Any = None, ge: Any = None, lt: Any = None, le: Any = None
) -> SearchStrategy[dt.datetime]:
    """Moments in UTC, or without a time zone where that is asked for."""
    least = max((_bare(bound) for bound in (gt, ge) if bound is not None), default=dt.datetime.min)
    most = min((_bare(bound) for bound in (lt, le) if bound is not None), default=dt.datetime.max)
    zones = st.none() if tz is False else st.just(dt.UTC)
    return st.datetimes(least, most, timezones=zones)


def times(*, tz: bool | None = None) -> SearchStrategy[dt.time]:
    """Times of day, without a time zone unless that is asked for."""
    return st.times(timezones=st.just(dt.UTC)) if tz else st.times()


def simple_values() -> SearchStrategy[Any]:
    """What a field of any type holds: None, booleans, numbers, text, and lists and dicts of these."""
    scalars = st.none() | st.booleans() | integers() | floats() | st.text(_UNICODE)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(_UNICODE), inner, max_size=3),
        max_leaves=8,
    )


def inside(make: Callable[..., SearchStrategy[Any]], least: Any, most: Any) -> SearchStrategy[Any]:
    """A strategy between two bounds, of which either may be None."""
    return make(**{name: bound for name, bound in (("min_value", least), ("max_value", most)) if bound is not None})


def underivable(place: str, what: str) -> DefinitionError:
    """The error for a field whose values only its author knows how to make."""
    return DefinitionError(
        f"{place} has {what}, for which no values can be derived",
        help="register_strategy(its type, ...), give the field a strategy (from_schema(Schema, field=...)), "
        "or pass events= to check",
    )


def _within(value: Any, gt: Any, ge: Any, lt: Any, le: Any) -> bool:
    return (
        (gt is None or value > gt)
        and (ge is None or value >= ge)
        and (lt is None or value < lt)
        and (le is None or value <= le)
    )


def _bare(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo is None else moment.astimezone(dt.UTC).replace(tzinfo=None)
