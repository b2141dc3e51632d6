"""Whoever sleeps wakes for what came nearer, whether the bell rings or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import pytest
from msgspec import Struct

from durable_primitives.errors import StorageError
from durable_primitives.spi import Bell, TimedBell, Watch
from durable_primitives.testing.simulation import SimulationLoop

Run = Callable[[Coroutine[Any, Any, object]], float]


@pytest.fixture
def loop():
    loop = SimulationLoop()
    yield loop
    loop.close()


@pytest.fixture
def seconds_of(loop: SimulationLoop) -> Run:
    def seconds_of(work: Coroutine[Any, Any, object]) -> float:
        began, task = loop.time(), loop.create_task(work)
        loop.run(task.done)
        task.result()
        return loop.time() - began

    return seconds_of


class Alarms:
    """A store that has one alarm after the other, and counts who looks."""

    def __init__(self, *alarms: int | None) -> None:
        self.alarms, self.looks = list(alarms), 0

    async def __call__(self) -> int | None:
        self.looks += 1
        return self.alarms.pop(0) if len(self.alarms) > 1 else self.alarms[0]


class Reply(Struct):
    nearest: int | None


async def replied(nearest: int | None) -> Reply:
    return Reply(nearest)


async def failed(outcome: Literal["not_applied", "unknown"]) -> Reply:
    raise StorageError("no answer", backend="test", outcome=outcome)


def test_ring_ends_all_waits_or_the_next_one(seconds_of: Run):
    bell = Bell()

    async def main() -> None:
        asyncio.get_running_loop().call_later(5, bell.ring)
        assert await asyncio.gather(bell.wait(60), bell.wait(60), bell.wait(2)) == [True, True, False]
        bell.ring()
        assert await bell.wait(0)
        assert not await bell.wait(0)

    assert seconds_of(main()) == 5


def test_timed_bell_rings_at_the_earliest_time(loop: SimulationLoop, seconds_of: Run):
    bell = TimedBell(loop.time)

    async def main() -> None:
        for due in (30_000, 20_000, 40_000):
            bell.tell(due)
        assert await bell.wait(60)
        assert loop.time() == 20
        assert not await bell.wait(60)
        bell.tell(1_000)
        assert await bell.wait(0)

    assert seconds_of(main()) == 80


@pytest.mark.parametrize(
    ("commit", "wakes_after"), [(lambda: replied(None), 60), (lambda: replied(7_000), 7), (lambda: replied(0), 0)]
)
def test_commit_rings_for_what_it_brought_nearer(
    loop: SimulationLoop, seconds_of: Run, commit: Callable[[], Coroutine[Any, Any, Reply]], wakes_after: float
):
    bell = TimedBell(loop.time)

    async def main() -> None:
        await bell.follow(commit())
        await bell.wait(60)

    assert seconds_of(main()) == wakes_after


@pytest.mark.parametrize(("outcome", "rings"), [("not_applied", False), ("unknown", True)])
def test_commit_that_failed_rings_unless_nothing_was_applied(
    loop: SimulationLoop, seconds_of: Run, outcome: Literal["not_applied", "unknown"], rings: bool
):
    bell = TimedBell(loop.time)

    async def main() -> None:
        with pytest.raises(StorageError):
            await bell.follow(failed(outcome))
        assert await bell.wait(1) is rings

    seconds_of(main())


@pytest.mark.parametrize(
    ("alarms", "ends_after", "looks"),
    [
        ((None, None), 60, 6),
        ((500, 500), 60, 6),
        ((500, 900), 60, 6),
        ((500, None), 60, 6),
        ((None, 900), 10, 2),
        ((500, 500, 400), 20, 3),
    ],
)
def test_sleeper_looks_for_itself_and_ends_only_for_an_earlier_alarm(
    seconds_of: Run, alarms: tuple[int | None, ...], ends_after: float, looks: int
):
    store = Alarms(*alarms)
    watch = Watch(Bell(), store)

    async def main() -> None:
        assert await watch.next_due() == alarms[0]
        await watch.wait(60, recheck_seconds=10)

    assert seconds_of(main()) == ends_after
    # Not at the end of the wait: then the caller looks.
    assert store.looks == looks


def test_watch_ends_with_its_bell(loop: SimulationLoop, seconds_of: Run):
    bell, store = Bell(), Alarms(None)
    watch = Watch(bell, store)

    async def main() -> None:
        loop.call_later(25, bell.ring)
        await watch.wait(60, recheck_seconds=10)

    assert seconds_of(main()) == 25
    assert store.looks == 2
