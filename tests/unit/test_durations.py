"""Durations: what users write is whole milliseconds or a clear refusal.  Instants: aware, or refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_primitives.durations import MAX_MS, format_ms, instant_ms, parse, parse_ms, to_datetime
from durable_primitives.errors import DefinitionError

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

ACCEPTED = [
    (timedelta(minutes=30), 30 * MINUTE),
    (timedelta(days=2, milliseconds=5), 2 * DAY + 5),
    ("30 minutes", 30 * MINUTE),
    ("1 minute", MINUTE),
    ("1h30m", HOUR + 30 * MINUTE),
    ("1h 30m", HOUR + 30 * MINUTE),
    ("1 hour 30 minutes", HOUR + 30 * MINUTE),
    ("2 days 4 hours", 2 * DAY + 4 * HOUR),
    ("1w2d3h4m5s6ms", 9 * DAY + 3 * HOUR + 4 * MINUTE + 5 * SECOND + 6),
    ("500ms", 500),
    ("500 millis", 500),
    ("500 milliseconds", 500),
    ("90 secs", 90 * SECOND),
    ("90 s", 90 * SECOND),
    ("5 mins", 5 * MINUTE),
    ("2 hrs", 2 * HOUR),
    ("1 week", 7 * DAY),
    ("1.5 hours", 90 * MINUTE),
    ("0.1s", 100),
    ("  7 days  ", 7 * DAY),
    ("007s", 7 * SECOND),
    ("90m", 90 * MINUTE),
    ("PT30M", 30 * MINUTE),
    ("PT1H30M", HOUR + 30 * MINUTE),
    ("P1DT2H", DAY + 2 * HOUR),
    ("P2W", 14 * DAY),
    ("PT0.5S", 500),
    ("PT1.5H", 90 * MINUTE),
    ("36525 days", MAX_MS),
]

# Finer than 1 ms: never shorter than what was asked for.
ROUNDED_UP = [
    (timedelta(microseconds=1), 1),
    (timedelta(milliseconds=2, microseconds=1), 3),
    ("10 micros", 1),
    ("1001us", 2),
    ("1 µs", 1),
    ("1 μs", 1),
    ("5 nanos", 1),
    ("5ns", 1),
    ("1.5ms", 2),
    ("1s1ns", 1_001),
    ("0.3333333333333333s", 334),
    ("PT0.0001S", 1),
]

NO_UNIT = "a number alone has no unit"
NOT_A_DURATION = "that is not a duration"
NOT_FIXED = "months and years have no fixed length"
NEGATIVE = "a duration cannot be negative"
ZERO = "it must be longer than zero"
TOO_LONG = "it is longer than 100 years"

REFUSED = [
    (30, NO_UNIT),
    (0, NO_UNIT),
    (1.5, NO_UNIT),
    (True, NO_UNIT),
    (float("nan"), NO_UNIT),
    ("30", NO_UNIT),
    ("1.5", NO_UNIT),
    ("1 month", NOT_FIXED),
    ("2 years", NOT_FIXED),
    ("1y", NOT_FIXED),
    ("1mo", NOT_FIXED),
    ("P1M", NOT_FIXED),
    ("P1Y2D", NOT_FIXED),
    ("-5 minutes", NEGATIVE),
    ("-PT5M", NEGATIVE),
    (timedelta(microseconds=-1), NEGATIVE),
    (timedelta.min, NEGATIVE),
    (timedelta(), ZERO),
    ("0s", ZERO),
    ("PT0S", ZERO),
    (timedelta.max, TOO_LONG),
    ("36525 days 1ms", TOO_LONG),
    ("9999999999 weeks", TOO_LONG),
    ("9" * 200 + "s", "it is longer than 100 characters"),
    ("", NOT_A_DURATION),
    ("   ", NOT_A_DURATION),
    ("soon", NOT_A_DURATION),
    ("minutes", NOT_A_DURATION),
    ("5 parsecs", NOT_A_DURATION),
    ("5 Minutes", NOT_A_DURATION),
    ("5M", NOT_A_DURATION),
    ("30m1h", NOT_A_DURATION),
    ("1h1h", NOT_A_DURATION),
    ("1h 30", NOT_A_DURATION),
    ("1h, 30m", NOT_A_DURATION),
    ("1.5.5h", NOT_A_DURATION),
    ("1e3s", NOT_A_DURATION),
    (".5h", NOT_A_DURATION),
    ("+5s", NOT_A_DURATION),
    ("٣s", NOT_A_DURATION),
    ("1:30:00", NOT_A_DURATION),
    ("P", NOT_A_DURATION),
    ("PT", NOT_A_DURATION),
    ("P1H", NOT_A_DURATION),
    ("P1DT", NOT_A_DURATION),
    ("pt30m", NOT_A_DURATION),
    ("Infinity", NOT_A_DURATION),
    (None, NOT_A_DURATION),
    (["1h"], NOT_A_DURATION),
    (b"1h", NOT_A_DURATION),
]


@pytest.mark.parametrize(("value", "ms"), ACCEPTED + ROUNDED_UP)
def test_accepted_forms_are_whole_milliseconds(value: timedelta | str, ms: int):
    assert parse_ms(value, what="flush_after") == ms
    assert parse(value) == timedelta(milliseconds=ms)


@pytest.mark.parametrize(("value", "why"), REFUSED)
def test_anything_else_is_refused_with_the_reason_and_the_accepted_forms(value: object, why: str):
    with pytest.raises(DefinitionError) as caught:
        parse_ms(value, what="flush_after")

    assert caught.value.message.startswith("flush_after is ")
    assert caught.value.message.endswith(f", and {why}")
    for form in ("timedelta(minutes=30)", '"30 minutes"', '"1h30m"', '"500ms"', '"PT30M"'):
        assert form in caught.value.help


@pytest.mark.parametrize("value", [timedelta(), "0s", "0 minutes", "PT0S"])
def test_zero_is_accepted_where_it_is_allowed(value: timedelta | str):
    assert parse_ms(value, what="delay", allow_zero=True) == 0


def test_a_refusal_shows_what_was_given_but_not_all_of_it():
    with pytest.raises(DefinitionError, match=r"^delay is 30, and"):
        parse_ms(30, what="delay")  # pyright: ignore[reportArgumentType]
    with pytest.raises(DefinitionError) as caught:
        parse_ms("x" * 10_000, what="delay")

    assert len(str(caught.value)) < 300


@given(st.integers(0, MAX_MS))
def test_formatted_durations_read_back_as_the_same(ms: int):
    assert parse_ms(format_ms(ms), what="delay", allow_zero=True) == ms


@given(st.integers(1, MAX_MS * 1_000))
def test_a_timedelta_is_rounded_up_by_less_than_a_millisecond(us: int):
    ms = parse_ms(timedelta(microseconds=us), what="delay")

    assert 0 <= ms * 1_000 - us < 1_000


@given(st.text(alphabet="0123456789.hmsdwPT µ-+e", max_size=12))
def test_any_text_is_a_duration_or_a_definition_error(text: str):
    try:
        ms = parse_ms(text, what="delay")
    except DefinitionError:
        return
    assert 0 < ms <= MAX_MS


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0ms"), (1, "1ms"), (90 * MINUTE, "1h30m"), (DAY + 1, "1d1ms"), (14 * DAY, "14d")]
)
def test_a_duration_is_formatted_in_the_largest_units(ms: int, text: str):
    assert format_ms(ms) == text


def test_a_negative_duration_has_no_format():
    with pytest.raises(ValueError, match="cannot be negative"):
        format_ms(-1)


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_instants_survive_the_way_through_datetime(ms: int):
    assert instant_ms(to_datetime(ms), what="at") == ms


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
        (datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC), 1),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 0),
    ],
)
def test_an_instant_is_rounded_up_to_the_millisecond(value: datetime, ms: int):
    assert instant_ms(value, what="at") == ms


def test_an_instant_is_given_back_in_utc():
    assert to_datetime(0).tzinfo is UTC


def test_a_naive_datetime_is_refused():
    with pytest.raises(DefinitionError, match=r"^at is a naive datetime"):
        instant_ms(datetime(2030, 1, 1), what="at")


@pytest.mark.parametrize("value", [None, 0, 1.5, "2030-01-01T00:00:00Z", datetime(2030, 1, 1, tzinfo=UTC).date()])
def test_what_is_no_datetime_is_no_instant(value: object):
    with pytest.raises(DefinitionError, match=r"^at must be an aware datetime"):
        instant_ms(value, what="at")  # pyright: ignore[reportArgumentType]
