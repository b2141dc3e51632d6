"""Whatever a user writes as a duration or a URL means something, or is a `DefinitionError` that shows what would."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from durable_primitives.durations import MAX_MS, format_ms, instant_ms, parse_ms
from durable_primitives.errors import DefinitionError
from durable_primitives.spi.loading import open_backend
from tests.fuzz.damage import refusal

UNITS = ["ms", "s", "m", "h", "d", "w", "us", "ns", "minutes", "hours", "months", "M", "µs", "E", "second"]

near_durations = st.lists(
    st.tuples(
        st.sampled_from(["", "-", "+", "P", "PT", "T", " ", "1", "0", "1.5", "1e9", "٣", "9" * 40, ".", "1."]),
        st.sampled_from(["", " ", "\n", "\u00a0"]),
        st.sampled_from([*UNITS, "H", "S", "W", "D", ""]),
    ).map("".join),
    max_size=6,
).map("".join)

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(),
    st.timedeltas(),
    st.text(st.characters()),
    st.lists(st.text()),
    near_durations,
)


@example("1" * 5000 + "s")
@example("\ud800")
@example(dt.timedelta.max)
@example(dt.timedelta(microseconds=-1))
@given(anything)
def test_a_duration_is_read_or_refused(value: Any):
    error = refusal(DefinitionError, lambda: parse_ms(value, what="timeout", allow_zero=True))
    if error is not None:
        assert "timedelta(minutes=30)" in str(error)
        return
    ms = parse_ms(value, what="timeout", allow_zero=True)

    assert 0 <= ms <= MAX_MS
    assert parse_ms(format_ms(ms), what="timeout", allow_zero=True) == ms


@given(st.one_of(anything, st.datetimes(), st.datetimes(timezones=st.timezones()), st.dates()))
@example(dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=23))))
@example(dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=23))))
def test_an_instant_is_read_or_refused(value: Any):
    error = refusal(DefinitionError, lambda: instant_ms(value, what="at"))

    assert error is not None or isinstance(value, dt.datetime)


near_urls = st.lists(
    st.sampled_from(
        [
            *("memory", "sqlite", "redis", "rediss", "redis+cluster", "redis+sentinel", "http", "file", ""),
            *(":", "://", "/", "//", "?", "&", "=", "#", "@", "[", "]", "%", "%00", "%zz", "..", "\x00", "\ud800", " "),
            *(
                "localhost",
                "app.db",
                "6379",
                "99999999",
                "-1",
                "0",
                "name",
                "durability",
                "full",
                "partitions",
                ",",
                "é",
            ),
            *(":memory:", "timeout", "prefix", "nan", "inf", "::1", "password", "db"),
        ]
    ),
    max_size=12,
).map("".join)


@example("")
@example("http://[")
@example("sqlite:///")
@example("sqlite:///a?durability=half")
@example("redis://localhost:port")
@example("redis://[::1")
@example("redis:?\ud800")
@given(
    st.one_of(
        st.text(st.characters()), near_urls, near_urls.map("redis://".__add__), near_urls.map("sqlite:///".__add__)
    )
)
def test_a_url_names_a_backend_or_is_refused(url: str):
    error = refusal(DefinitionError, lambda: open_backend(url).url)

    assert error is None or error.help
