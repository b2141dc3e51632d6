"""How events gather in a buffer, through its client, on a clock that the test owns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import Struct

from durable_primitives.durations import to_datetime
from durable_primitives.errors import ReducerError, SerializationError, ValidationError
from durable_primitives.events import BufferDuplicate, BufferEventReceived
from durable_primitives.kernel.record import Snapshot
from durable_primitives.primitives.buffer import Buffer, BufferEventContext, BufferExecuteContext, Reduce
from tests.primitives.driver import EPOCH_MS, Driver

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


class Point(Struct):
    x: int
    y: int = 0


class Flushes:
    """A handler that notes what it was given."""

    def __init__(self) -> None:
        self.states: list[Any] = []

    async def __call__(self, ctx: BufferExecuteContext[Any]) -> None:
        self.states.append(ctx.state)


async def start(**options: Any) -> tuple[Driver, Any, Flushes]:
    flushes = Flushes()
    make: Any = Buffer.make
    definition = make("b", **({"event_schema": str, "execute": flushes} | options))
    driver = await Driver(definition).open()
    return driver, driver.client(definition), flushes


# Lists.


async def test_the_first_event_starts_the_timer_and_later_ones_leave_it_alone() -> None:
    driver, client, flushes = await start(flush_after="5 minutes")
    first = await client.add("a", "one")
    await driver.advance(4 * MINUTE)
    second = await client.add("a", "two")

    assert first.will_flush_at == second.will_flush_at == to_datetime(EPOCH_MS + 5 * MINUTE)
    assert (first.event_count, first.created, first.duplicate) == (1, True, False)
    assert (second.event_count, second.created, second.instance_id) == (2, False, "buffer:b:a")
    await driver.advance(MINUTE - 1)
    assert flushes.states == []
    await driver.advance(1)
    assert flushes.states == [["one", "two"]]


async def test_the_event_that_fills_a_batch_makes_it_due_at_once() -> None:
    driver, client, flushes = await start(flush_after="5 minutes", max_events=2)
    await client.add("a", "one")
    full = await client.add("a", "two")
    third = await client.add("a", "three")
    await driver.run_due()

    assert (full.event_count, full.will_flush_at) == (2, to_datetime(EPOCH_MS))
    assert (third.event_count, third.will_flush_at) == (1, to_datetime(EPOCH_MS + 5 * MINUTE))
    assert flushes.states == [["one", "two"]]
    assert await client.get_state("a") == ["three"]


async def test_without_a_timer_only_further_events_make_a_batch_due() -> None:
    driver, client, flushes = await start(max_events=2)
    result = await client.add("a", "one")
    await driver.advance(30 * DAY)

    assert result.will_flush_at is None
    assert flushes.states == []
    assert (await client.status("a")).will_flush_at is None
    await client.add("a", "two")
    await driver.run_due()
    assert flushes.states == [["one", "two"]]


async def test_add_many_answers_for_each_event_and_seals_every_batch_that_it_fills() -> None:
    driver, client, flushes = await start(flush_after="5 minutes", max_events=3)
    results = await client.add_many("a", [str(number) for number in range(7)])
    await driver.run_due()

    now, later = to_datetime(EPOCH_MS), to_datetime(EPOCH_MS + 5 * MINUTE)
    assert [result.event_count for result in results] == [1, 2, 3, 1, 2, 3, 1]
    assert [result.will_flush_at for result in results] == [now] * 6 + [later]
    assert [result.created for result in results] == [True] + [False] * 6
    assert flushes.states == [["0", "1", "2"], ["3", "4", "5"]]
    assert await client.add_many("a", []) == []


async def test_instances_are_apart() -> None:
    driver, client, flushes = await start(max_events=2)
    await client.add("a", "one")
    await client.add("b", "one")
    await driver.run_due()

    assert flushes.states == []
    assert [(await client.status(id)).event_count for id in "ab"] == [1, 1]


async def test_a_value_that_does_not_fit_the_schema_changes_nothing() -> None:
    driver, client, _ = await start(event_schema=Point, flush_after="5 minutes")
    for call in (
        lambda: client.add("a", {"x": "no"}),
        lambda: client.add_many("a", [Point(1), {"y": 2}]),
        lambda: client.add("", Point(1)),
        lambda: client.add("a", Point(1), event_id=""),
        lambda: client.add_many("a", [Point(1)], event_ids=["e1", "e2"]),
    ):
        with pytest.raises(ValidationError):
            await call()

    assert await driver.backend.scan("", "", 10) == []
    assert (await client.status("a")).status == "not_found"
    assert await client.get_state("a") is None


# Event ids.


async def test_a_duplicate_changes_neither_the_state_nor_the_timer() -> None:
    driver, client, flushes = await start(flush_after="5 minutes", max_events=2)
    await client.add("a", "one", event_id="e1")
    await driver.advance(MINUTE)
    again = await client.add("a", "other", event_id="e1")

    assert (again.duplicate, again.event_count, again.created) == (True, 1, False)
    assert again.will_flush_at == to_datetime(EPOCH_MS + 5 * MINUTE)
    await driver.advance(4 * MINUTE)
    assert flushes.states == [["one"]]


async def test_an_id_twice_in_one_call_is_accepted_once() -> None:
    driver, client, flushes = await start(flush_after="5 minutes")
    results = await client.add_many("a", ["one", "two", "one"], event_ids=["e1", "e2", "e1"])
    await driver.advance(5 * MINUTE)

    assert [result.duplicate for result in results] == [False, False, True]
    assert flushes.states == [["one", "two"]]


@pytest.mark.parametrize("on_event", [None, Reduce.latest()])
async def test_an_id_is_remembered_until_its_window_after_the_flush_has_passed(on_event: Any) -> None:
    driver, client, flushes = await start(flush_after="1 hour", dedupe_window="24 hours", on_event=on_event)
    await client.add("a", "one", event_id="e1")
    await driver.advance(HOUR)
    assert len(flushes.states) == 1

    await driver.advance(24 * HOUR - 1)
    await driver.backend.sweep(driver.now, 1000)
    assert (await client.add("a", "one", event_id="e1")).duplicate
    await driver.advance(1)
    assert not (await client.add("a", "one", event_id="e1")).duplicate
    assert (await client.add("a", "one", event_id="e1")).duplicate


async def test_an_id_is_remembered_for_as_long_as_its_batch_is_open() -> None:
    driver, client, _ = await start(max_events=5, dedupe_window="1 hour")
    await client.add("a", "one", event_id="e1")
    await driver.advance(30 * DAY)
    await driver.backend.sweep(driver.now, 1000)

    assert (await client.add("a", "one", event_id="e1")).duplicate


async def test_adding_tells_the_tracker() -> None:
    driver, client, _ = await start(flush_after="5 minutes", max_events=2)
    await client.add("a", "one", event_id="e1")
    await client.add("a", "one", event_id="e1")
    await client.add("a", "two")

    received = driver.tracker.of_type(BufferEventReceived)
    assert [(event.event_id, event.event_count, event.next_due_ms) for event in received] == [
        ("e1", 1, EPOCH_MS + 5 * MINUTE),
        (None, 2, EPOCH_MS),
    ]
    assert [event.event_id for event in driver.tracker.of_type(BufferDuplicate)] == ["e1"]
    assert {(event.kind, event.name, event.instance_id) for event in driver.events} == {("buffer", "b", "buffer:b:a")}


# Reducers.


def total(ctx: BufferEventContext[Point, int]) -> int:
    return (ctx.state or 0) + ctx.event.x


async def test_a_reducer_folds_each_event_into_the_state() -> None:
    driver, client, flushes = await start(event_schema=Point, state_schema=int, on_event=total, flush_after="1 minute")
    results = [await client.add("a", Point(x)) for x in (1, 2, 3)]

    assert [result.event_count for result in results] == [1, 2, 3]
    assert [result.created for result in results] == [True, False, False]
    assert {result.will_flush_at for result in results} == {to_datetime(EPOCH_MS + MINUTE)}
    assert await client.get_state("a") == 6
    await driver.advance(MINUTE)
    assert flushes.states == [6]
    assert await client.get_state("a") is None


async def test_a_reducer_starts_every_batch_from_none() -> None:
    contexts: list[BufferEventContext[str, str]] = []

    def join(ctx: BufferEventContext[str, str]) -> str:
        contexts.append(ctx)
        return (ctx.state or "") + ctx.event

    driver, client, flushes = await start(state_schema=str, on_event=join, max_events=2, flush_after="1 minute")
    await client.add("a", "x", event_id="e1")
    await driver.advance(10)
    results = await client.add_many("a", ["y", "z"])
    await driver.run_due()

    assert flushes.states == ["xy"]
    assert [(ctx.state, ctx.event_count, ctx.event_id, ctx.id) for ctx in contexts] == [
        (None, 1, "e1", "a"),
        ("x", 2, None, "a"),
        (None, 1, None, "a"),
    ]
    assert contexts[1].first_event_at == to_datetime(EPOCH_MS)
    assert [result.will_flush_at for result in results] == [
        to_datetime(driver.now),
        to_datetime(driver.now + MINUTE),
    ]


async def test_a_reducer_that_keeps_the_latest_event_is_ready_made() -> None:
    driver, client, flushes = await start(on_event=Reduce.latest(), flush_after="1 minute")
    await client.add_many("a", ["one", "two", "three"])
    await driver.advance(MINUTE)

    assert flushes.states == ["three"]


async def test_the_ready_made_append_is_the_default() -> None:
    driver, client, flushes = await start(on_event=Reduce.append(), flush_after="1 minute")
    await client.add_many("a", ["one", "two"])
    await driver.advance(MINUTE)

    assert flushes.states == [["one", "two"]]


async def test_without_a_state_schema_a_reducer_makes_a_list_of_events() -> None:
    def without_noise(ctx: BufferEventContext[str, list[str]]) -> list[str]:
        return (ctx.state or []) + [ctx.event] * (ctx.event != "noise")

    driver, client, flushes = await start(on_event=without_noise, flush_after="1 minute")
    await client.add_many("a", ["one", "noise", "two"])
    await driver.advance(MINUTE)

    assert flushes.states == [["one", "two"]]


@pytest.mark.parametrize("refuse", ["raise", "bad state"])
async def test_an_event_that_the_reducer_refuses_changes_nothing(refuse: str) -> None:
    def picky(ctx: BufferEventContext[int, int]) -> Any:
        if ctx.event < 0 and refuse == "raise":
            raise ValueError("negative")
        return "no int" if ctx.event < 0 else (ctx.state or 0) + ctx.event

    driver, client, _ = await start(event_schema=int, state_schema=int, on_event=picky, flush_after="1 minute")
    await client.add("a", 1)
    before = await driver.backend.load("buffer:b:a", ("e1",))
    with pytest.raises(ReducerError) as caught:
        await client.add("a", -1, event_id="e1")

    assert await driver.backend.load("buffer:b:a", ("e1",)) == before
    assert (caught.value.instance_id, caught.value.event_id) == ("buffer:b:a", "e1")
    assert isinstance(caught.value.__cause__, ValueError if refuse == "raise" else ValidationError)
    assert not (await client.add("a", 2, event_id="e1")).duplicate


async def test_a_duplicate_is_not_folded_again() -> None:
    driver, client, _ = await start(event_schema=Point, state_schema=int, on_event=total, flush_after="1 minute")
    await client.add("a", Point(5), event_id="e1")
    await driver.advance(1000)
    again = await client.add_many("a", [Point(5), Point(1)], event_ids=["e1", "e2"])

    assert [(one.duplicate, one.event_count) for one in again] == [(True, 1), (False, 2)]
    assert {one.will_flush_at for one in again} == {to_datetime(EPOCH_MS + MINUTE)}
    assert await client.get_state("a") == 6
    only = await client.add("a", Point(5), event_id="e1")
    assert (only.duplicate, only.event_count) == (True, 2)


async def test_a_state_changed_in_place_is_the_reducer_s_own_copy() -> None:
    def grow(ctx: BufferEventContext[str, list[str]]) -> list[str]:
        state = ctx.state if ctx.state is not None else []
        state.append(ctx.event)
        if ctx.event == "bad":
            raise ValueError
        return state

    _, client, _ = await start(on_event=grow, flush_after="1 minute")
    await client.add("a", "one")
    with pytest.raises(ReducerError):
        await client.add("a", "bad")

    assert await client.get_state("a") == ["one"]


async def test_reducers_of_many_callers_lose_no_update() -> None:
    driver, client, _ = await start(event_schema=int, state_schema=int, on_event=lambda ctx: (ctx.state or 0) + 1,
                                    flush_after="1 minute")  # fmt: skip
    load, others = driver.backend.load, 5

    async def load_and_be_overtaken(instance: str, receipts: Any = (), letters: Any = ()) -> Snapshot:
        nonlocal others
        snapshot = await load(instance, receipts, letters)
        if others:
            others -= 1
            # Another process: it does not take turns with this one.
            rival = Driver(*driver.definitions)
            rival.backend, rival.runtime = driver.backend, driver.runtime
            rival.restart()
            await rival.client(driver.definitions[0]).add("a", 1)
        return snapshot

    driver.backend.load = load_and_be_overtaken  # type: ignore[method-assign]
    await client.add("a", 1)

    assert await client.get_state("a") == 6


async def test_a_state_that_waits_for_events_is_not_purged() -> None:
    driver, client, _ = await start(on_event=Reduce.latest(), max_events=2, dedupe_window="1 hour")
    await client.add("a", "one")
    await driver.advance(30 * DAY)
    await driver.backend.sweep(driver.now, 1000)

    assert await client.get_state("a") == "one"


async def test_a_state_that_no_longer_decodes_refuses_events_and_is_kept() -> None:
    driver, client, _ = await start(state_schema=str, on_event=lambda ctx: ctx.event, flush_after="1 minute")
    await client.add("a", "one")
    later = Buffer.make(
        "b", event_schema=str, state_schema=int, on_event=len, flush_after="1 minute", execute=Flushes()
    )
    driver.restart(later)
    with pytest.raises(SerializationError):
        await driver.client(later).add("a", "two")

    driver.restart()
    assert await client.get_state("a") == "one"


# The open batch.


async def test_flush_makes_the_open_batch_due_now() -> None:
    driver, client, flushes = await start(flush_after="1 hour")
    await client.add_many("a", ["one", "two"])
    receipt = await client.flush("a")
    await driver.run_due()

    assert (receipt.flushed, receipt.event_count, receipt.instance_id) == (True, 2, "buffer:b:a")
    assert receipt.flush_id.startswith("buffer:b:a/")
    assert flushes.states == [["one", "two"]]
    again = await client.flush("a")
    assert (again.flushed, again.event_count, again.flush_id) == (False, 0, None)
    assert not (await client.flush("never seen")).flushed


async def test_clear_drops_the_open_batch_and_says_how_many_events_it_held() -> None:
    driver, client, flushes = await start(flush_after="1 hour")
    await client.add_many("a", ["one", "two"], event_ids=["e1", "e2"])
    result = await client.clear("a")

    assert (result.cleared, result.discarded_events, result.instance_id) == (True, 2, "buffer:b:a")
    assert (await client.status("a")).status == "idle"
    assert await driver.backend.next_due() is None
    assert (await client.add("a", "one", event_id="e1")).duplicate
    await driver.advance(DAY)
    assert flushes.states == []
    again = await client.clear("a")
    assert (again.cleared, again.discarded_events) == (False, 0)
    assert not (await client.clear("never seen")).cleared


async def test_clear_and_flush_reach_a_folded_state_too() -> None:
    driver, client, flushes = await start(state_schema=str, on_event=joined, flush_after="1 hour")
    await client.add_many("a", ["one", "two"])
    assert (await client.clear("a")).discarded_events == 2
    await client.add("a", "three")
    receipt = await client.flush("a")
    await driver.run_due()

    assert receipt.event_count == 1
    assert flushes.states == ["three"]


def joined(ctx: BufferEventContext[str, str]) -> str:
    return (ctx.state or "") + ctx.event


async def test_a_timer_starts_anew_after_a_clear() -> None:
    driver, client, flushes = await start(flush_after="1 hour")
    await client.add("a", "dropped")
    await driver.advance(59 * MINUTE)
    await client.clear("a")
    await client.add("a", "kept")
    await driver.advance(2 * MINUTE)

    assert flushes.states == []
    await driver.advance(58 * MINUTE)
    assert flushes.states == [["kept"]]


async def test_status_reads_the_open_batch() -> None:
    driver, client, _ = await start(flush_after="1 hour")
    assert (await client.status("a")).status == "not_found"
    await client.add("a", "one")
    await driver.advance(1000)
    await client.add("a", "two")
    status = await client.status("a")

    assert (status.status, status.event_count, status.flushing, status.attempt) == ("buffering", 2, False, 0)
    assert status.first_event_at == to_datetime(EPOCH_MS)
    assert status.will_flush_at == to_datetime(EPOCH_MS) + timedelta(hours=1)
    assert (status.retry_at, status.last_error) == (None, None)


async def test_list_pages_through_instances() -> None:
    driver, client, _ = await start(flush_after="1 hour")
    for id in ("eu-1", "eu-2", "eu-3", "us-1"):
        await client.add(id, "one")
    await client.flush("eu-2")
    await driver.run_due()

    first = await client.list(prefix="eu-", limit=2)
    rest = await client.list(prefix="eu-", limit=2, cursor=first.cursor)
    idle = await client.list(status="idle")
    assert [item.id for item in first.items] == ["eu-1", "eu-2"]
    assert [(item.id, item.instance_id) for item in rest.items] == [("eu-3", "buffer:b:eu-3")]
    assert rest.cursor is None
    assert [(item.id, item.status.status) for item in idle.items] == [("eu-2", "idle")]
    assert [item.id for item in (await client.list()).items] == ["eu-1", "eu-2", "eu-3", "us-1"]
