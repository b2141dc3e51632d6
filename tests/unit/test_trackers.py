"""Trackers can not hurt: whatever they do, `track` returns at once and what is lost is counted."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from durable_primitives.errors import DefinitionError
from durable_primitives.events import (
    BackgroundTracker,
    ErrorInfo,
    EventTracker,
    InlineTracker,
    InMemoryTracker,
    MultiTracker,
    NoopTracker,
    PrimitiveEvent,
    QueueCompleted,
    QueueDeadLettered,
    StructlogTracker,
    guard,
)

from .tracked import SAFETY_S, completed


@pytest.fixture(autouse=True)
def unconfigured_structlog() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def dead_lettered() -> QueueDeadLettered:
    return QueueDeadLettered(
        at_ms=1_893_456_000_000,
        namespace="default",
        kind="queue",
        name="deliveries",
        instance_id="queue:deliveries:3",
        event_id="evt-1",
        attempt=3,
        reason="max_attempts",
        error=ErrorInfo(type="ValueError", message="no such user"),
    )


class UserTracker:
    """What an application might write; each test breaks one part of it."""

    enabled = True
    dropped = 0

    def __init__(self) -> None:
        self.events: list[PrimitiveEvent] = []
        self.closed = False

    def track(self, event: PrimitiveEvent) -> None:
        self.events.append(event)

    async def close(self) -> None:
        self.closed = True


class RaisingTracker(UserTracker):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def track(self, event: PrimitiveEvent) -> None:
        raise self.error


class StuckTracker(UserTracker):
    """Sets `busy` when it is given its first event, and keeps each thread that gives it one until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = threading.Event()
        self.go = threading.Event()

    def track(self, event: PrimitiveEvent) -> None:
        go = self.go
        self.busy.set()
        go.wait(SAFETY_S)
        super().track(event)

    def get_stuck_again(self) -> threading.Event:
        """From now on by other means; returns what lets the earlier threads go."""
        earlier, self.busy, self.go = self.go, threading.Event(), threading.Event()
        return earlier


# --- noop, memory -----------------------------------------------------------------------------------------------------


async def test_noop_wants_nothing():
    tracker = NoopTracker()

    tracker.track(completed())
    await tracker.close()

    assert (tracker.enabled, tracker.dropped) == (False, 0)


def test_memory_keeps_events_in_order_and_finds_them_by_class():
    tracker = InMemoryTracker()

    tracker.track(completed(1))
    tracker.track(dead_lettered())
    tracker.track(completed(2))

    assert tracker.types == ["queue.completed", "queue.dead_lettered", "queue.completed"]
    assert [event.event_id for event in tracker.of_type(QueueCompleted)] == ["evt-1", "evt-2"]
    assert len(tracker.of_type(PrimitiveEvent)) == 3


def test_memory_keeps_the_newest_and_counts_the_others():
    tracker = InMemoryTracker(limit=3)

    for number in range(10):
        tracker.track(completed(number))

    assert [event.event_id for event in tracker.of_type(QueueCompleted)] == ["evt-7", "evt-8", "evt-9"]
    assert tracker.dropped == 7
    tracker.clear()
    assert (tracker.events, tracker.dropped) == ([], 7)


# --- structlog --------------------------------------------------------------------------------------------------------


def test_structlog_writes_the_type_and_the_fields():
    tracker = StructlogTracker()

    with structlog.testing.capture_logs() as lines:
        tracker.track(completed(1))
        tracker.track(dead_lettered())

    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("queue.completed", "debug"),
        ("queue.dead_lettered", "error"),
    ]
    assert lines[0]["event_id"] == "evt-1"
    assert "partition_key" not in lines[0]
    assert (lines[1]["error_type"], lines[1]["error_message"]) == ("ValueError", "no such user")


def test_structlog_takes_other_levels():
    tracker = StructlogTracker(levels={"queue.completed": "warning"})

    with structlog.testing.capture_logs() as lines:
        tracker.track(completed())

    assert [line["log_level"] for line in lines] == ["warning"]


def test_structlog_counts_the_lines_that_the_application_failed_to_write():
    def broken(*_: object) -> Any:
        raise OSError("disk full")

    tracker = StructlogTracker()
    structlog.configure(processors=[broken])

    tracker.track(completed())

    assert tracker.dropped == 1


# --- guard ------------------------------------------------------------------------------------------------------------


def test_no_tracker_becomes_one_that_wants_nothing():
    assert guard(None).enabled is False


@pytest.mark.parametrize(
    "tracker", [NoopTracker(), InMemoryTracker(), StructlogTracker(), MultiTracker(), InlineTracker(UserTracker())]
)
def test_trackers_of_the_package_are_used_as_they_are(tracker: EventTracker):
    assert guard(tracker) is tracker


def test_any_other_tracker_is_moved_to_the_background():
    class Louder(InMemoryTracker):
        pass

    assert isinstance(guard(UserTracker()), BackgroundTracker)
    assert isinstance(guard(Louder()), BackgroundTracker)


def test_without_threads_any_other_tracker_is_called_in_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "emscripten")

    assert isinstance(guard(UserTracker()), InlineTracker)


# --- inline -----------------------------------------------------------------------------------------------------------


def test_inline_passes_events_on_at_once():
    inner = UserTracker()

    InlineTracker(inner).track(completed(1))

    assert inner.events == [completed(1)]


def test_inline_counts_what_its_tracker_raises_and_says_so_once(caplog: pytest.LogCaptureFixture):
    tracker = InlineTracker(RaisingTracker(ValueError("broken")))

    for _ in range(5):
        tracker.track(completed())

    assert tracker.dropped == 5
    assert caplog.messages == ["tracker raised"]


def test_inline_survives_a_tracker_that_is_no_tracker():
    tracker = InlineTracker(object())  # type: ignore[arg-type]

    tracker.track(completed())

    assert (tracker.enabled, tracker.dropped) == (False, 1)


def test_inline_adds_what_its_tracker_says_it_lost():
    inner = InMemoryTracker(limit=1)
    tracker = InlineTracker(inner)

    tracker.track(completed(1))
    tracker.track(completed(2))

    assert tracker.dropped == 1


async def test_inline_close_survives_a_tracker_that_raises():
    class Raising(UserTracker):
        async def close(self) -> None:
            raise OSError("gone")

    await InlineTracker(Raising()).close()


async def test_inline_close_does_not_wait_for_a_tracker_that_never_ends():
    class Endless(UserTracker):
        async def close(self) -> None:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if self.closed:
                        raise
                    self.closed = True  # swallows its first cancellation

    inner = Endless()

    async with asyncio.timeout(SAFETY_S):
        await InlineTracker(inner, close_timeout="20ms").close()


# --- background -------------------------------------------------------------------------------------------------------


async def test_background_passes_events_on_in_order():
    inner = UserTracker()
    tracker = BackgroundTracker(inner)

    for number in range(1000):
        tracker.track(completed(number))
    await tracker.close()

    assert inner.events == [completed(number) for number in range(1000)]
    assert inner.closed
    assert (tracker.delivered, tracker.dropped, tracker.pending) == (1000, 0, 0)


async def test_background_does_not_wait_for_a_slow_tracker():
    inner = StuckTracker()
    tracker = BackgroundTracker(inner, max_queue=100)

    tracker.track(completed(0))
    assert inner.busy.wait(SAFETY_S)
    for number in range(1, 10_000):
        tracker.track(completed(number))

    assert (tracker.delivered, tracker.dropped, tracker.pending) == (0, 9_899, 101)
    inner.go.set()
    await tracker.close()
    assert inner.events == [completed(number) for number in range(101)]
    assert (tracker.delivered, tracker.dropped, tracker.pending) == (101, 9_899, 0)


async def test_background_close_leaves_a_stuck_tracker_behind():
    threads = set(threading.enumerate())
    inner = StuckTracker()
    tracker = BackgroundTracker(inner, close_timeout="20ms")
    for number in range(10):
        tracker.track(completed(number))
    assert inner.busy.wait(SAFETY_S)
    (stuck,) = set(threading.enumerate()) - threads

    async with asyncio.timeout(SAFETY_S):
        await tracker.close()
    lost = (tracker.delivered, tracker.dropped, tracker.pending)
    inner.go.set()
    stuck.join(SAFETY_S)

    assert lost == (0, 10, 0)
    assert not stuck.is_alive()
    assert (tracker.delivered, tracker.dropped, tracker.pending) == lost
    assert inner.events == [completed(0)], "the thread that was left behind took no more than it had in hand"


async def test_a_thread_that_was_left_behind_takes_nothing_from_the_one_that_followed():
    threads = set(threading.enumerate())
    inner = StuckTracker()
    tracker = BackgroundTracker(inner, close_timeout="20ms")
    tracker.track(completed(0))
    assert inner.busy.wait(SAFETY_S)
    (first,) = set(threading.enumerate()) - threads
    await tracker.close()

    release_first = inner.get_stuck_again()
    tracker.track(completed(1))
    tracker.track(completed(2))
    assert inner.busy.wait(SAFETY_S)
    release_first.set()
    first.join(SAFETY_S)

    assert not first.is_alive()
    assert inner.events == [completed(0)]
    assert (tracker.delivered, tracker.dropped, tracker.pending) == (0, 1, 2)
    inner.go.set()
    await tracker.close()


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_background_counts_what_its_tracker_raises(error: BaseException):
    tracker = BackgroundTracker(RaisingTracker(error))

    for _ in range(5):
        tracker.track(completed())
    await tracker.close()

    assert (tracker.delivered, tracker.dropped, tracker.pending) == (0, 5, 0)


async def test_background_starts_again_after_close():
    inner = UserTracker()
    tracker = BackgroundTracker(inner)

    for number in range(3):
        tracker.track(completed(number))
        await tracker.close()
        await tracker.close()

    assert inner.events == [completed(0), completed(1), completed(2)]


async def test_background_can_be_closed_by_several_at_once():
    inner = UserTracker()
    tracker = BackgroundTracker(inner)
    tracker.track(completed())

    async with asyncio.timeout(SAFETY_S):
        await asyncio.gather(*(tracker.close() for _ in range(5)))

    assert inner.events == [completed()]


async def test_background_counts_events_of_many_threads():
    inner = UserTracker()
    tracker = BackgroundTracker(inner, max_queue=50)
    start = threading.Barrier(8)

    def produce() -> None:
        start.wait(SAFETY_S)
        for number in range(2_000):
            tracker.track(completed(number))

    producers = [threading.Thread(target=produce) for _ in range(8)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join(SAFETY_S)
    await tracker.close()

    assert tracker.delivered == len(inner.events)
    assert tracker.delivered + tracker.dropped == 8 * 2_000


async def test_background_drops_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch):
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    tracker = BackgroundTracker(UserTracker())

    tracker.track(completed())
    await tracker.close()

    assert (tracker.delivered, tracker.dropped, tracker.pending) == (0, 1, 0)


async def test_nothing_is_started_before_the_first_event():
    threads = set(threading.enumerate())
    tracker = BackgroundTracker(UserTracker())

    await tracker.close()

    assert tracker.enabled
    assert not set(threading.enumerate()) - threads


def test_background_needs_room_for_an_event():
    with pytest.raises(DefinitionError, match="max_queue"):
        BackgroundTracker(UserTracker(), max_queue=0)


# --- several ----------------------------------------------------------------------------------------------------------


async def test_several_trackers_each_get_every_event():
    first, second, off = InMemoryTracker(), InMemoryTracker(limit=1), NoopTracker()
    tracker = MultiTracker(first, second, off)

    tracker.track(completed(1))
    tracker.track(completed(2))
    await tracker.close()

    assert tracker.enabled
    assert (len(first.events), len(second.events), tracker.dropped) == (2, 1, 1)


async def test_one_of_several_trackers_can_not_harm_another():
    memory = InMemoryTracker()
    tracker = MultiTracker(RaisingTracker(ValueError("broken")), memory)

    tracker.track(completed())
    await tracker.close()

    assert (memory.events, tracker.dropped) == ([completed()], 1)


def test_several_trackers_that_want_nothing_want_nothing():
    assert not MultiTracker(NoopTracker(), NoopTracker()).enabled
