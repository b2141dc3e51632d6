"""Ticks, missed ticks and jitter: the arithmetic under every cadence."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_primitives.durations import to_datetime
from durable_primitives.errors import DefinitionError
from durable_primitives.services.schedule import (
    MAX_COUNTED,
    MAX_LATE_MS,
    Custom,
    Every,
    Misfire,
    Plan,
    Schedule,
    Slot,
    Spaced,
    phase_ms,
)

START = 1_700_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
ID = "continuous:poll:user-42"

intervals = st.integers(min_value=1, max_value=10 * HOUR)
gaps = st.integers(min_value=0, max_value=1000 * HOUR)


def hourly(previous: datetime | None, now: datetime) -> datetime:
    return (previous or now) + timedelta(hours=1)


@given(intervals, st.integers(min_value=1, max_value=10_000))
def test_cadence_does_not_drift(interval: int, runs: int) -> None:
    schedule = Every(interval)
    tick = schedule.first(START, ID)
    late = interval // 3
    for _ in range(min(runs, 50)):
        following = schedule.reached(tick, tick + late, ID, 1).following
        assert following is not None
        tick = following

    assert (tick - START) % interval == 0


@given(intervals, gaps, st.sampled_from(["run_once", "skip", "run_all"]), st.integers(min_value=1, max_value=5))
def test_every_tick_of_a_gap_is_run_or_counted_as_missed(interval: int, gap: int, misfire: Misfire, limit: int) -> None:
    """Fired + coalesced + skipped = ticks elapsed."""
    plan = Plan(Every(interval), misfire, limit)
    first = START + interval
    now = first + gap
    elapsed = gap // interval + 1

    tick, fired, missed = first, 0, 0
    while tick is not None and tick <= now:
        slot = plan.settle(tick, now, ID)
        fired += slot.at is not None
        missed += slot.missed
        tick = slot.following

    assert fired + missed == elapsed
    assert tick is not None
    assert tick - interval <= now < tick
    assert fired <= (limit if misfire == "run_all" else 1)


def test_run_once_stands_for_the_latest_tick() -> None:
    assert Plan(Every(10)).settle(10, 45, ID) == Slot(40, 3, 50)


def test_run_all_begins_with_the_oldest_that_the_limit_allows() -> None:
    plan = Plan(Every(10), "run_all", catchup_limit=2)
    assert plan.settle(10, 45, ID) == Slot(30, 2, 40)
    assert plan.settle(40, 45, ID) == Slot(40, 0, 50)


def test_skip_runs_a_tick_only_if_it_is_hardly_late() -> None:
    plan = Plan(Every(HOUR), "skip")
    assert plan.settle(HOUR, HOUR + MAX_LATE_MS, ID) == Slot(HOUR, 0, 2 * HOUR)
    assert plan.settle(HOUR, HOUR + MAX_LATE_MS + 1, ID) == Slot(None, 1, 2 * HOUR)
    assert Plan(Every(MINUTE), "skip").settle(MINUTE, MINUTE + MINUTE // 10 + 1, ID).at is None


def test_spaced_ticks_follow_the_end_of_the_run() -> None:
    plan = Plan(Spaced(10))
    assert plan.after_run(10, 17, ID) == 27
    assert plan.settle(10, 99, ID) == Slot(10, 0, 109)


def test_no_tick_is_later_than_until() -> None:
    plan = Plan(Every(10), until_ms=35)
    assert plan.settle(10, 1000, ID) == Slot(30, 2, None)
    assert plan.settle(30, 30, ID) == Slot(30, 0, None)
    assert Plan(Every(10), until_ms=5).first(0, ID) is None
    assert Plan(Spaced(10), until_ms=35).after_run(30, 31, ID) is None


def test_what_took_the_place_of_a_tick_replaces_all_before_it() -> None:
    plan = Plan(Every(30))
    assert plan.after(30, 25, ID) == 60
    assert plan.after(30, 45, ID) == 60
    assert plan.after(30, 100, ID) == 120
    assert plan.after(None, 100, ID) is None


# --- functions --------------------------------------------------------------------------------------------------------


def test_function_gives_the_ticks() -> None:
    plan = Plan(Custom(hourly))
    assert plan.first(START, ID) == START + HOUR
    assert plan.settle(START + HOUR, START + 3 * HOUR, ID) == Slot(START + 3 * HOUR, 2, START + 4 * HOUR)


def test_function_that_looks_at_now_only_has_no_missed_ticks() -> None:
    plan = Plan(Custom(lambda previous, now: now + timedelta(hours=1)))
    assert plan.settle(START, START + 9 * HOUR, ID) == Slot(START, 0, START + 10 * HOUR)


def test_function_ends_the_schedule_with_none() -> None:
    assert Plan(Custom(lambda previous, now: None)).first(START, ID) is None
    assert Plan(Custom(lambda previous, now: None)).settle(START, START + HOUR, ID) == Slot(START, 0, None)


def test_function_is_asked_a_bounded_number_of_times() -> None:
    calls = 0

    def each_millisecond(previous: datetime | None, now: datetime) -> datetime:
        nonlocal calls
        calls += 1
        return (previous or now) + timedelta(milliseconds=1)

    slot = Plan(Custom(each_millisecond)).settle(START, START + 1000 * HOUR, ID)

    assert slot.missed == MAX_COUNTED - 1
    assert slot.following == START + 1000 * HOUR + 1
    assert calls <= MAX_COUNTED + 1


def fails(previous: datetime | None, now: datetime) -> datetime:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (fails, "the schedule function raised ZeroDivisionError"),
        (lambda previous, now: datetime(2030, 1, 1), "naive datetime"),
        (lambda previous, now: 5, "must be an aware datetime, got int"),
        (lambda previous, now: previous, "not after the tick before it"),
    ],
)
def test_function_that_gives_no_usable_answer_is_refused(function: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        Custom(function).reached(START, START, ID, 1)


# --- jitter -----------------------------------------------------------------------------------------------------------


def test_phase_of_an_id_is_persisted_behaviour() -> None:
    assert [phase_ms(f"continuous:poll:user-{n}", HOUR) for n in range(3)] == [3465887, 2355915, 622608]
    assert phase_ms(ID, 0) == 0


@pytest.mark.parametrize("kind", [Every, Spaced])
def test_jitter_moves_every_tick_of_an_id_by_the_same_share(kind: type[Every] | type[Spaced]) -> None:
    schedule: Schedule = kind(HOUR, jitter_ms=MINUTE)
    phase = phase_ms(ID, MINUTE)
    assert 0 <= phase < MINUTE
    assert schedule.first(START, ID) == START + HOUR + phase


def test_jitter_spreads_ids_evenly() -> None:
    phases = [phase_ms(f"continuous:poll:{n}", 100) for n in range(10_000)]
    counts = [phases.count(phase) for phase in range(100)]
    assert min(counts) > 50
    assert max(counts) < 150


def test_times_given_to_the_function_are_aware() -> None:
    seen: list[tuple[datetime | None, datetime]] = []

    def watching(previous: datetime | None, now: datetime) -> datetime:
        seen.append((previous, now))
        return now + timedelta(hours=1)

    Custom(watching).first(START, ID)
    Custom(watching).reached(START, START + 1, ID, 1)

    assert seen == [(None, to_datetime(START)), (to_datetime(START), to_datetime(START + 1))]
