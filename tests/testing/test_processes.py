"""Simulated processes: they start, are lost, held up, and have clocks of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_primitives import Queue, QueueExecuteContext
from durable_primitives.kernel.record import Item
from durable_primitives.kernel.transition import Removal, Transition
from durable_primitives.testing import ProcessCrashedError, SimulationError
from durable_primitives.testing.simulation import Simulation
from durable_primitives.testing.simulation import simulation as module
from tests.testing.worlds import INSTANCE, QueueWorld


def test_a_paused_worker_is_overtaken_and_its_late_commit_is_fenced():
    """The zombie, by hand."""
    with QueueWorld(workers=2, takes=1) as world:
        simulation = world.simulation
        world.begin()
        owner = next(process for process in simulation.workers if process.owns)
        owner.pause()
        simulation.advance("1 minute")
        assert world.ended == ["a"], "the other one did it"
        record = simulation.store.record(INSTANCE)
        owner.resume()
        simulation.advance("1 minute")
        assert world.ended == ["a", "a"], "the zombie went on to its end"
        commits = [entry.detail for entry in world.entries("commit", actor=owner.name)]
        assert commits == ["fenced, remove 1, lease 1"]
        assert simulation.store.record(INSTANCE) == record, "and changed nothing"


def test_a_crashed_process_does_nothing_more():
    with QueueWorld(takes=1, restarts=False) as world:
        world.begin()
        world.simulation.processes["worker 1"].crash()
        world.simulation.advance("1 day")
        assert (world.begun, world.ended) == (["a"], [])
        world.simulation.start("worker 1")
        world.simulation.advance("1 minute")
        assert (world.begun, world.ended) == (["a", "a"], ["a"])


def test_the_client_can_crash_too():
    with QueueWorld(f"crash during commit 1 of {INSTANCE} by client") as world:
        with pytest.raises(ProcessCrashedError, match="'client' has crashed"):
            world.enqueue("a")
        world.simulation.settle()
        assert world.ended == ["a"], "it was accepted all the same"
        assert world.simulation.run(world.client.enqueue("a", id="a")).duplicate


def test_finally_blocks_of_a_crashed_process_run_when_all_is_over():
    begun, told = asyncio.Event(), list[bool]()

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        begun.set()
        try:
            await asyncio.sleep(1)
        finally:
            told.append(simulation.over)

    queue = Queue.make("q", event_schema=str, execute=execute)
    with Simulation(queue, restarts=False) as simulation:
        simulation.run(simulation.client.queue(queue).enqueue("a"))
        simulation.run_until(begun.is_set)
        simulation.processes["worker 1"].crash()
        simulation.advance("1 day")
        assert told == []
    assert told == [True]


def test_a_transition_that_makes_no_sense_is_a_defect_of_its_sender():
    with QueueWorld() as world:
        nobody_has_it = Item(seq=7, id="x", payload=b"", at=0)
        gone = Transition(instance=INSTANCE, at=0, remove=(Removal(nobody_has_it, "done", 0),))
        world.enqueue("a")
        ((outcome,), _) = world.simulation.store.commit("worker 1", [gone], None)
        assert outcome.verdict == "conflict"
        assert len(world.simulation.store.defects) == 1
        assert world.simulation.store.defects[0].startswith("worker 1: ")


def test_clocks_differ():
    clocks = {"worker 1": timedelta(minutes=-5), "worker 2": timedelta(hours=1)}
    with QueueWorld(workers=2, clocks=clocks) as world:
        simulation = world.simulation
        now = {name: process.runtime.now() - simulation.clock_ms for name, process in simulation.processes.items()}
        assert now == {"client": 0, "worker 1": -300_000, "worker 2": 3_600_000}
        simulation.run(world.client.enqueue("a", delay="2 hours"))
        simulation.advance("3 hours")
        assert world.seconds("claim") == [3600], "by the clock that is an hour ahead"
        assert [entry.actor for entry in world.entries("claim")] == ["worker 2"]


def test_a_clock_keeps_its_skew_when_its_process_is_started_again():
    with QueueWorld(clocks={"worker 1": timedelta(hours=1)}) as world:
        world.simulation.processes["worker 1"].shift_clock(1000)
        world.simulation.processes["worker 1"].crash()
        world.simulation.advance("2 seconds")
        assert world.simulation.processes["worker 1"].boot == 2
        assert world.simulation.processes["worker 1"].runtime.skew_ms == 3_601_000


def test_resources_are_entered_once_per_life_of_a_worker():
    told: list[str] = []

    @asynccontextmanager
    async def resources() -> AsyncGenerator[str]:
        told.append("entered")
        await asyncio.sleep(1)
        yield "pool"
        told.append("left")

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        told.append(ctx.resources)

    queue = Queue.make("q", event_schema=str, execute=execute)
    with Simulation(queue, resources=resources) as simulation:
        simulation.run(simulation.client.queue(queue).enqueue("a"))
        simulation.processes["worker 1"].crash()
        simulation.settle()
        simulation.stop()
    assert told == ["entered", "entered", "pool", "left"]


def test_resources_that_fail_are_told():
    @asynccontextmanager
    async def resources() -> AsyncGenerator[Any]:
        raise ConnectionError("no pool")
        yield

    with pytest.raises(ConnectionError, match="no pool"):
        Simulation(resources=resources).open()


def test_what_never_happens_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_WAIT_MS", 86_400_000)
    with (
        Simulation() as simulation,
        pytest.raises(SimulationError, match=r"Event\.wait waits for something that has not happened in 1d"),
    ):
        simulation.run(asyncio.Event().wait())


def test_time_begins_when_it_was_told_to():
    start = datetime(1999, 12, 31, 23, tzinfo=UTC)
    with Simulation(start=start) as simulation:
        simulation.advance("2 hours")
        assert simulation.now == datetime(2000, 1, 1, 1, tzinfo=UTC)


def test_ids_sort_by_time_and_differ():
    with Simulation(workers=3) as simulation:
        runtimes = [process.runtime for process in simulation.processes.values()]
        ids = []
        for _ in range(3):
            ids += [runtime.new_id() for runtime in runtimes for _ in range(2)]
            simulation.advance("1 second")
        assert len(set(ids)) == len(ids) == 24
        assert sorted(ids)[:8] == sorted(ids[:8])
