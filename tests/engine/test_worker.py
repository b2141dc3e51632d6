"""The worker: how much it owns, what it does when the store fails it, in whose favour it steps aside."""

from __future__ import annotations

import asyncio
import threading
from itertools import groupby
from typing import Any

import pytest

from durable_primitives.engine import worker as worker_module
from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.errors import DefinitionError, StorageBusyError
from durable_primitives.kernel.transition import Burial, Create, Transition
from durable_primitives.primitives.queue import Queue, QueueExecuteContext
from durable_primitives.spi.runtime import SystemRuntime
from tests.engine.fleet import HOUR, MINUTE, SECOND, Fleet, turns
from tests.engine.gated import Gated

Context = QueueExecuteContext[str]


async def spread(fleet: Fleet, queue: Any, instances: int) -> None:
    """One event in each of so many instances."""
    producer = fleet.producer(queue)
    homes = {(await producer.enqueue(f"e{n}")).instance_index for n in range(instances)}
    assert len(homes) == instances


# How much it owns.


async def test_a_worker_owns_at_most_max_instances_and_takes_more_as_room_frees() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler, concurrency=5)
    await spread(fleet, queue, 5)
    process = fleet.process(queue, options=WorkerOptions(max_instances=2))
    process.worker.start()
    await handler.until(lambda: handler.running == 2)
    await turns()
    assert (handler.running, len(process.engine.owned)) == (2, 2)
    handler.gate.set()
    await handler.until(lambda: len(handler.ran) == 5)
    await process.worker.stop()
    assert handler.most == 2
    assert process.engine.owned == {}


async def test_what_was_due_while_nobody_ran_starts_without_any_call() -> None:
    fleet, handler = await Fleet().open(), Gated(is_open=True)
    queue = Queue.make("q", event_schema=str, execute=handler)
    await fleet.producer(queue).enqueue("waiting", delay="1 hour")
    fleet.pass_time(HOUR)
    process = fleet.process(queue)
    process.worker.start()
    await handler.until(lambda: handler.ran == ["waiting"])
    await process.worker.stop()


async def test_a_sleeping_worker_is_woken_by_an_enqueue() -> None:
    fleet, handler = await Fleet().open(), Gated(is_open=True)
    queue = Queue.make("q", event_schema=str, execute=handler)
    process = fleet.process(queue)
    process.worker.start()
    await turns()
    assert process.wire.calls[-1] == "wait"
    producer = fleet.producer(queue)
    for n in range(3):
        await producer.enqueue(f"e{n}")
        await handler.until(lambda n=n: len(handler.ran) == n + 1)
    await process.worker.stop()


async def test_a_free_slot_learns_of_events_from_other_processes_with_the_next_heartbeat() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler, per_instance=2)
    elsewhere = fleet.producer(queue)
    await elsewhere.enqueue("long")
    process = fleet.process(queue)
    process.worker.start()
    await handler.until(lambda: handler.running == 1)
    await turns()
    await elsewhere.enqueue("another")
    process.runtime.beat()
    await handler.until(lambda: handler.running == 2)
    handler.gate.set()
    await process.worker.stop()


@pytest.mark.parametrize("options", [{"lease": "5 seconds"}, {"heartbeat": "30 seconds"}, {"heartbeat": "0s"}])
def test_a_lease_that_no_heartbeat_can_keep_is_refused(options: Any) -> None:
    with pytest.raises(DefinitionError, match="heartbeat"):
        WorkerOptions(**options)


# Fairness.


def slow_queue(fleet: Fleet, ran: list[tuple[int, int]], concurrency: int) -> Any:
    """Each event takes a second of the fleet's clock."""

    async def execute(ctx: QueueExecuteContext[int]) -> None:
        ran.append((ctx.instance_index, ctx.event))
        fleet.pass_time(SECOND)
        await asyncio.sleep(0)

    return Queue.make("q", event_schema=int, execute=execute, concurrency=concurrency)


async def test_an_instance_with_much_to_do_lets_others_have_its_place() -> None:
    fleet, ran = await Fleet().open(), list[tuple[int, int]]()
    queue = slow_queue(fleet, ran, concurrency=2)
    await fleet.producer(queue).enqueue_many(range(40))
    process = fleet.process(queue, options=WorkerOptions(max_instances=1))
    await process.run_due()
    longest = max(len(list(turn)) for _, turn in groupby(index for index, _ in ran))
    assert longest <= 7, f"one instance kept the only place for {longest} events of a second each"
    for index in (0, 1):
        mine = [n for home, n in ran if home == index]
        assert (len(mine), mine) == (20, sorted(mine))


async def test_an_instance_keeps_its_place_while_nobody_waits_for_it() -> None:
    fleet, ran = await Fleet().open(), list[tuple[int, int]]()
    queue = slow_queue(fleet, ran, concurrency=1)
    await fleet.producer(queue).enqueue_many(range(25))
    process = fleet.process(queue)
    assert await process.run_due() == 1
    assert ran == [(0, n) for n in range(25)]


# A store that fails.


@pytest.mark.parametrize("failure", [StorageBusyError("locked"), RuntimeError("a bug in a backend")])
async def test_a_worker_outlives_a_failing_store(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "LOOK_AGAIN_SECONDS", 0.0)
    fleet, handler = await Fleet().open(), Gated(is_open=True)
    queue = Queue.make("q", event_schema=str, execute=handler)
    await fleet.producer(queue).enqueue("e")
    process = fleet.process(queue)
    process.wire.failures += [failure, failure, failure]
    process.worker.start()
    await handler.until(lambda: handler.ran == ["e"])
    await process.worker.stop()


async def test_a_renewal_that_fails_is_no_lost_lease() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler)
    await fleet.producer(queue).enqueue("e")
    process = fleet.process(queue)
    process.worker.start()
    await handler.until(lambda: handler.running == 1)
    (ownership,) = process.engine.owned.values()
    renew = process.wire.renew

    def broken(*_: object) -> None:
        raise OSError("the network")

    process.wire.renew = broken  # type: ignore[method-assign, assignment]
    fleet.pass_time(20 * SECOND)
    process.runtime.beat()
    await turns()
    assert not ownership.lost
    process.wire.renew = renew  # type: ignore[method-assign]
    process.runtime.beat()
    assert (await fleet.record("queue:q:0")).lease_until == fleet.clock.ms + 30 * SECOND
    handler.gate.set()
    await process.worker.stop()
    assert handler.ran == ["e"]


# Housekeeping.


async def test_a_worker_sweeps_what_outlived_its_retention() -> None:
    fleet, handler = await Fleet().open(), Gated(is_open=True)
    queue = Queue.make("q", event_schema=str, execute=handler, dedupe_window="1 hour")
    process = fleet.process(queue)
    await process.client(queue).enqueue("e", id="known")
    await process.run_due()
    assert (await process.client(queue).enqueue("e", id="known")).duplicate
    fleet.pass_time(2 * HOUR)
    process.worker.start()
    await turns()
    await process.worker.stop()
    assert await fleet.store.scan("", "", 10) == []


async def test_a_worker_that_always_finds_work_sweeps_too() -> None:
    fleet, handler = await Fleet().open(), Gated(is_open=True)
    queue = Queue.make("q", event_schema=str, execute=handler, concurrency=4)
    process = fleet.process(queue, options=WorkerOptions(max_instances=1))
    await spread(fleet, queue, 4)
    fleet.pass_time(HOUR)
    process.worker.start()
    await handler.until(lambda: len(handler.ran) == 4)
    await process.worker.stop()
    calls = process.wire.calls
    assert calls.index("sweep") < calls.index("commit"), "it sweeps only once it has nothing else to do"


async def test_a_sweep_that_came_back_full_is_followed_by_another_at_once() -> None:
    fleet = await Fleet().open()
    process = fleet.process()
    letters = tuple(Burial(f"flush-{n}", None, b"", 1, "", 1, fleet.clock.ms + 1) for n in range(12_000))
    old = Transition(instance="buffer:b:a", at=fleet.clock.ms, create=Create(status="open"), bury=letters)
    await fleet.store.commit([old])
    fleet.pass_time(MINUTE)
    process.worker.start()
    await turns()
    left = await fleet.store.letters("buffer:b:a", "", 10)
    assert (list(left), process.wire.calls.count("sweep")) == ([], 3), "5,000 rows at a time"
    fleet.pass_time(MINUTE - 1)
    fleet.wake()
    await turns()
    assert process.wire.calls.count("sweep") == 3
    fleet.pass_time(1)
    fleet.wake()
    await turns()
    await process.worker.stop()
    assert process.wire.calls.count("sweep") == 4


# The heartbeat of a real process.


async def test_a_handler_that_blocks_the_event_loop_keeps_its_lease() -> None:
    fleet, renewed = await Fleet().open(), threading.Event()

    async def execute(ctx: Context) -> None:
        # Nothing else runs on the loop until this returns.
        assert renewed.wait(30)

    queue = Queue.make("q", event_schema=str, execute=execute)
    await fleet.producer(queue).enqueue("e")
    process = fleet.process(queue, options=WorkerOptions(heartbeat="1ms"))
    process.engine.runtime = SystemRuntime()
    renew = process.wire.renew

    def seen(*arguments: Any) -> Any:
        answers = renew(*arguments)
        renewed.set()
        return answers

    process.wire.renew = seen  # type: ignore[method-assign]
    process.worker.start()
    await process.client(queue).drain()
    await process.worker.stop()


# Pauses.


async def test_nothing_starts_once_a_pause_of_this_process_is_acknowledged() -> None:
    fleet, ran = await Fleet().open(), list[str]()

    async def note(ctx: Context) -> None:
        ran.append(ctx.event)

    queue = Queue.make("q", event_schema=str, execute=note)
    process = fleet.process(queue, immediate=False)
    client = process.client(queue)
    events = [f"e{n}" for n in range(1000)]
    await fleet.producer(queue).enqueue_many(events)
    work = asyncio.create_task(process.run_due())
    while len(ran) < 200:
        await asyncio.sleep(0)
    await client.pause()
    begun = len(ran)
    assert begun < 1000
    await client.enqueue("last")
    await work
    assert len(ran) == begun
    await client.resume()
    await process.run_due()
    assert ran == [*events, "last"]


# What trackers hear.


async def test_the_end_of_an_event_is_told_when_it_is_durable() -> None:
    fleet = await Fleet().open()

    async def close_the_gate(ctx: Context) -> None:
        process.wire.gate.clear()

    queue = Queue.make("q", event_schema=str, execute=close_the_gate)
    process = fleet.process(queue, immediate=False)
    await fleet.producer(queue).enqueue("a")
    work = asyncio.create_task(process.run_due())
    await turns()
    assert [event.type for event in process.tracker.events] == ["queue.started"]
    process.wire.gate.set()
    await work
    assert [event.type for event in process.tracker.events] == ["queue.started", "queue.completed"]
