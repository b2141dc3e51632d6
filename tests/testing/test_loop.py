"""The simulation's event loop: everything of asyncio that needs no real world, on time that costs nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from durable_primitives.testing import EscapedSimulationError, SimulationError
from durable_primitives.testing.simulation import SimulationLoop
from durable_primitives.testing.simulation import loop as module

T = TypeVar("T")


@pytest.fixture
def loop():
    loop = SimulationLoop()
    yield loop
    loop.close()


def run(loop: SimulationLoop, work: Coroutine[Any, Any, T]) -> T:
    task = loop.create_task(work)
    loop.run(task.done)
    return task.result()


async def test_time_jumps_while_another_loop_runs(loop: SimulationLoop):
    async def sleeper() -> str:
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(3600)
        return "awake"

    started, outer, task = time.perf_counter(), asyncio.get_running_loop(), asyncio.current_task()
    assert run(loop, sleeper()) == "awake"
    assert loop.time() == 3600
    assert time.perf_counter() - started < 1
    assert asyncio.get_running_loop() is outer
    assert asyncio.current_task() is task
    await asyncio.sleep(0)


def test_sleepers_wake_in_order_of_time_and_then_of_their_beginning(loop: SimulationLoop):
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append(name)

    async def main() -> None:
        await asyncio.gather(sleeper("c", 2), sleeper("a", 1), sleeper("b", 1))

    run(loop, main())
    assert woken == ["a", "b", "c"]


def test_the_shortest_wait_moves_time(loop: SimulationLoop):
    async def main() -> None:
        await asyncio.sleep(11.442)
        end = asyncio.get_running_loop().time() + 60.0
        assert end > 71.442, "by the error of a float"
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(end - asyncio.get_running_loop().time())

    run(loop, main())


def test_timeouts(loop: SimulationLoop):
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(10)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 5)
        return asyncio.get_running_loop().time()

    assert run(loop, main()) == 10


def test_task_groups_queues_and_locks(loop: SimulationLoop):
    async def main() -> list[int]:
        queue, lock, got = asyncio.Queue[int](1), asyncio.Lock(), list[int]()

        async def produce() -> None:
            for n in range(3):
                await queue.put(n)

        async def consume() -> None:
            for _ in range(3):
                async with lock:
                    got.append(await queue.get())

        async with asyncio.TaskGroup() as group:
            group.create_task(consume())
            group.create_task(produce())
        return got

    assert run(loop, main()) == [0, 1, 2]


def test_a_task_group_cancels_in_order_of_creation(loop: SimulationLoop):
    """The order of a set of tasks does not depend on their addresses."""
    cancelled: list[int] = []

    async def wait_for_ever(n: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(n)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(50):
                group.create_task(wait_for_ever(n))
            await asyncio.sleep(0)
            raise ValueError

    with pytest.raises(ExceptionGroup):
        run(loop, main())
    assert cancelled == list(range(50))


def test_threads_run_inline_and_are_heard_of_later(loop: SimulationLoop):
    told: list[str] = []

    async def thread() -> None:
        told.append(await asyncio.to_thread(lambda: told.append("thread") or "after"))

    async def main() -> None:
        await asyncio.gather(thread(), other())

    async def other() -> None:
        told.append("other")

    run(loop, main())
    assert told == ["thread", "other", "after"]


def test_a_thread_that_raises(loop: SimulationLoop):
    async def main() -> None:
        await asyncio.to_thread(lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        run(loop, main())


def test_the_order_of_what_is_ready_can_be_picked(loop: SimulationLoop):
    told: list[str] = []

    async def tell(name: str) -> None:
        told.append(name)

    async def main() -> None:
        await asyncio.gather(tell("a"), tell("b"), tell("c"))

    loop.pick = lambda ready: ready - 1
    run(loop, main())
    assert told == ["c", "b", "a"]


async def test_the_network_is_refused_by_name(loop: SimulationLoop):
    with pytest.raises(EscapedSimulationError, match=r"loop\.\w+ was called at test_loop\.py:\d+ in .*: there is neit"):
        run(loop, asyncio.open_connection("127.0.0.1", 1))


def test_subprocesses_are_refused_by_name(loop: SimulationLoop):
    with pytest.raises(EscapedSimulationError, match="subprocess_exec"):
        run(loop, asyncio.create_subprocess_exec("true"))


def test_a_loop_that_never_waits_is_found(loop: SimulationLoop, monkeypatch: pytest.MonkeyPatch):
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    monkeypatch.setattr(module, "SPIN_LIMIT", 1000)
    with pytest.raises(SimulationError, match="1000 callbacks have run and time has not moved"):
        run(loop, spin())


def test_it_is_not_driven_from_inside(loop: SimulationLoop):
    async def main() -> None:
        loop.run()

    with pytest.raises(SimulationError, match="driven from inside itself"):
        run(loop, main())


def test_what_is_abandoned_ends_in_order_at_the_end():
    ended: list[int] = []

    async def wait_for_ever(n: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(n)

    async def main() -> None:
        for n in range(5):
            asyncio.get_running_loop().create_task(wait_for_ever(n))
        await asyncio.sleep(0)

    loop = SimulationLoop()
    run(loop, main())
    assert ended == []
    loop.close()
    assert ended == [0, 1, 2, 3, 4]
