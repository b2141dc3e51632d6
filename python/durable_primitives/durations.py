"""Durations and instants, from what users write to whole milliseconds and back.

A duration is a `timedelta` or text with units; a bare number is neither, because half of its readers take it for
seconds and the other half for milliseconds.  The resolution is 1 ms, and what is finer is rounded **up**: a wait is
never shorter than what was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from durable_primitives.errors import DefinitionError

Duration = timedelta | str
"""``timedelta(minutes=30)``, ``"30 minutes"``, ``"1h30m"``, ``"500ms"`` or ``"PT30M"``."""

MAX_MS = 36_525 * 86_400_000
"""100 years: a due time that far ahead is still a valid `datetime`."""

ACCEPTED = 'write timedelta(minutes=30), "30 minutes", "1h30m", "500ms" or "PT30M"'

_NS_PER_MS = 1_000_000
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TEXT = 100

_SPELLINGS = {
    1: "ns nano nanos nanosecond nanoseconds",
    1_000: "us µs μs micro micros microsecond microseconds",
    _NS_PER_MS: "ms milli millis millisecond milliseconds",
    1_000 * _NS_PER_MS: "s sec secs second seconds",
    60_000 * _NS_PER_MS: "m min mins minute minutes",
    3_600_000 * _NS_PER_MS: "h hr hrs hour hours",
    86_400_000 * _NS_PER_MS: "d day days",
    604_800_000 * _NS_PER_MS: "w week weeks",
}
_UNITS = {name: size for size, names in _SPELLINGS.items() for name in names.split()}
_ISO_UNITS = ("w", "d", "h", "m", "s")
_FORMAT_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))

_TERM = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([^\W\d_]+)\s*")
_ISO_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_ISO = re.compile(
    r"P(?=[0-9T])(?:{n}W)?(?:{n}D)?(?:T(?=[0-9])(?:{n}H)?(?:{n}M)?(?:{n}S)?)?".replace("{n}", _ISO_NUMBER)
)
_NUMBER = re.compile(r"[0-9]*\.?[0-9]+")
_CALENDAR = re.compile(r"P[^T]*[YM].*|.*[0-9]\s*(?:mo|months?|y|yrs?|years?)\b.*")


def parse_ms(value: Duration, *, what: str, allow_zero: bool = False) -> int:
    """The whole milliseconds of `value`, rounded up.

    Text is one or more terms, larger units first, with or without spaces (``"1h30m"``, ``"1.5 hours"``,
    ``"2 days 4 hours"``), in lower case, or an ISO 8601 duration of weeks, days, hours, minutes and seconds.
    Milliseconds, microseconds and nanoseconds have units too.

    Raises:
        DefinitionError: It names `what`, says why, and shows the accepted forms.  Refused are bare numbers, months
            and years (their length varies), negative durations, zero unless `allow_zero`, and more than 100 years.

    Example:
        >>> parse_ms("1h30m", what="flush_after")
        5400000
        >>> parse_ms(timedelta(microseconds=1), what="flush_after")
        1
    """
    ms = _rounded_ms(value, what)
    if ms == 0 and not allow_zero:
        raise _refusal(what, value, "it must be longer than zero")
    if ms > MAX_MS:
        raise _refusal(what, value, "it is longer than 100 years")
    return ms


def parse(value: Duration, *, what: str = "duration", allow_zero: bool = False) -> timedelta:
    """`parse_ms` as a `timedelta`.

    Example:
        >>> parse("PT30M") == timedelta(minutes=30)
        True
    """
    return timedelta(milliseconds=parse_ms(value, what=what, allow_zero=allow_zero))


def format_ms(ms: int) -> str:
    """The shortest text that `parse_ms` reads as `ms`.

    Example:
        >>> format_ms(5_400_000), format_ms(0)
        ('1h30m', '0ms')
    """
    if ms < 0:
        raise ValueError(f"a duration cannot be negative, got {ms} ms")
    text = ""
    for unit, size in _FORMAT_UNITS:
        count, ms = divmod(ms, size)
        if count:
            text += f"{count}{unit}"
    return text or "0ms"


def instant_ms(value: datetime, *, what: str) -> int:
    """Milliseconds since the Unix epoch, rounded up.

    Raises:
        DefinitionError: It is not a `datetime`, or a naive one, which means another instant on another machine.

    Example:
        >>> instant_ms(datetime(2030, 1, 1, tzinfo=UTC), what="at")
        1893456000000
    """
    if not isinstance(value, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DefinitionError(
            f"{what} must be an aware datetime, got {type(value).__name__}",
            help="write datetime.now(UTC) + timedelta(hours=1)",
        )
    if value.utcoffset() is None:
        raise DefinitionError(
            f"{what} is a naive datetime, which is no instant until it has a time zone",
            help="write datetime(2030, 1, 1, tzinfo=UTC), or give it the zone it was meant in",
        )
    return -((_EPOCH - value) // _MILLISECOND)


def to_datetime(ms: int) -> datetime:
    """The aware UTC time that is `ms` milliseconds after the Unix epoch.

    Example:
        >>> to_datetime(1_893_456_000_000).isoformat()
        '2030-01-01T00:00:00+00:00'
    """
    return _EPOCH + timedelta(milliseconds=ms)


def _rounded_ms(value: object, what: str) -> int:
    """Milliseconds, zero or more; the range is for the caller to judge."""
    if isinstance(value, timedelta):
        if value < timedelta():
            raise _refusal(what, value, "a duration cannot be negative")
        return value.days * 86_400_000 + value.seconds * 1_000 - (-value.microseconds // 1_000)
    if isinstance(value, str):
        return -(-_text_ns(value.strip(), what) // _NS_PER_MS)
    raise _refusal(what, value, _why_not_a_duration(value))


def _text_ns(text: str, what: str) -> int:
    """The nanoseconds of `text`, or a refusal."""
    if len(text) > _MAX_TEXT:
        raise _refusal(what, text, f"it is longer than {_MAX_TEXT} characters")
    terms = list(_iso_terms(text) if text.startswith("P") else _unit_terms(text))
    sizes = [size for _, size in terms]
    if not terms or sizes != sorted(set(sizes), reverse=True):
        raise _refusal(what, text, _why_not_readable(text))
    return sum(_times(number, size) for number, size in terms)


def _unit_terms(text: str) -> Iterator[tuple[str, int]]:
    """Number and unit size of each term of ``1 hour 30m``; nothing if any part of it is not a term."""
    terms = _TERM.findall(text)
    if _TERM.sub("", text) == "" and all(unit in _UNITS for _, unit in terms):
        yield from ((number, _UNITS[unit]) for number, unit in terms)


def _iso_terms(text: str) -> Iterator[tuple[str, int]]:
    match = _ISO.fullmatch(text)
    if match is not None:
        yield from ((number, _UNITS[unit]) for number, unit in zip(match.groups(), _ISO_UNITS, strict=True) if number)


def _times(number: str, size: int) -> int:
    """``number * size`` rounded up, exact where a float would not be."""
    whole, _, fraction = number.partition(".")
    scale: int = 10 ** len(fraction)
    return int(whole) * size - (-int(fraction or "0") * size // scale)


def _refusal(what: str, value: object, why: str) -> DefinitionError:
    shown = repr(value) if isinstance(value, str | int | float | timedelta) else f"a {type(value).__name__}"
    if len(shown) > _MAX_TEXT:
        shown = f"{shown[:_MAX_TEXT]}…"
    return DefinitionError(f"{what} is {shown}, and {why}", help=ACCEPTED)


def _why_not_a_duration(value: object) -> str:
    if isinstance(value, int | float):
        return "a number alone has no unit"
    return "that is not a duration"


def _why_not_readable(text: str) -> str:
    if text.startswith("-"):
        return "a duration cannot be negative"
    if _NUMBER.fullmatch(text):
        return "a number alone has no unit"
    if _CALENDAR.fullmatch(text):
        return "months and years have no fixed length"
    return "that is not a duration"
