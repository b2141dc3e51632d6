"""The end of a worker: nothing further starts, what runs may finish, leases come back at once."""

from __future__ import annotations

import asyncio

import pytest

from durable_primitives.engine import worker as worker_module
from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.errors import StorageBusyError
from durable_primitives.primitives.queue import Queue, QueueExecuteContext, stream
from durable_primitives.retry import RetryPolicy
from durable_primitives.services import ownership
from tests.engine.fleet import LEASE, Fleet, Process, turns
from tests.engine.gated import Gated

Context = QueueExecuteContext[str]


async def running_worker(handler: Gated, per_instance: int = 1, events: int = 5) -> tuple[Fleet, Process, Process]:
    """A worker that has begun with a queue of events, and another one that waits."""
    fleet = await Fleet().open()
    queue = Queue.make("q", event_schema=str, execute=handler, per_instance=per_instance)
    await fleet.producer(queue).enqueue_many([f"e{n}" for n in range(events)])
    process, other = fleet.process(queue), fleet.process(queue)
    process.worker.start()
    await handler.until(lambda: handler.running == per_instance)
    return fleet, process, other


@pytest.mark.parametrize("per_instance", [1, 3])
async def test_stopping_finishes_what_runs_starts_nothing_and_hands_over_at_once(per_instance: int) -> None:
    handler = Gated()
    _, process, other = await running_worker(handler, per_instance)
    stopping = asyncio.create_task(process.worker.stop())
    await turns()
    assert not stopping.done()
    assert [ctx.cancelled for ctx in handler.contexts] == [True] * per_instance
    handler.gate.set()
    await stopping
    assert len(handler.ran) == per_instance
    # No time has passed: the other worker takes over at once, in order, and runs nothing twice.
    await other.run_due()
    assert handler.ran == [f"e{n}" for n in range(5)]
    assert {ctx.delivery for ctx in handler.contexts} == {1}


async def test_a_fast_handler_stops_between_two_events() -> None:
    """Also with events in hand: those go back unstarted."""
    fleet, ran = await Fleet().open(), list[str]()

    async def execute(ctx: Context) -> None:
        ran.append(ctx.event)
        if len(ran) == 30:
            process.engine.drain()

    queue = Queue.make("q", event_schema=str, execute=execute)
    process, other = fleet.process(queue, options=WorkerOptions(max_instances=1)), fleet.process(queue)
    await fleet.producer(queue).enqueue_many([f"e{n}" for n in range(100)])
    process.worker._stopping = False
    claimed = await process.engine.commits.claim()
    process.worker._stopping = True
    assert claimed == 1
    await asyncio.wait(process.worker._runs)
    assert len(ran) == 30
    await other.run_due()
    assert ran == [f"e{n}" for n in range(100)]


@pytest.mark.parametrize("per_instance", [1, 3])
async def test_what_outlives_the_grace_is_cancelled_and_goes_back_without_losing_an_attempt(per_instance: int) -> None:
    handler = Gated()
    _, process, other = await running_worker(handler, per_instance)
    await process.worker.stop(grace_s=0.0)
    assert (handler.ran, handler.running) == ([], 0)
    handler.gate.set()
    await other.run_due()
    assert handler.ran == [f"e{n}" for n in range(5)]
    assert {(ctx.attempt, ctx.delivery) for ctx in handler.contexts} == {(1, 1)}


async def test_outcomes_that_were_reached_before_the_grace_ended_are_kept() -> None:
    fleet, ran = await Fleet().open(), list[str]()
    stuck = asyncio.Event()

    async def execute(ctx: Context) -> None:
        ran.append(ctx.event)
        if ctx.event == "stuck" and len(ran) < 10:
            stuck.set()
            await asyncio.Event().wait()

    queue = Queue.make("q", event_schema=str, execute=execute, per_instance=2)
    process = fleet.process(queue, immediate=False)
    await fleet.producer(queue).enqueue_many(["a", "b", "stuck"])
    process.worker.start()
    await stuck.wait()
    await process.worker.stop(grace_s=0.0)
    ran += ["-"] * 10
    await fleet.process(queue).run_due()
    assert [event for event in ran if event != "-"] == ["a", "b", "stuck", "stuck"]


async def test_a_handler_that_ignores_its_cancellation_does_not_hold_the_process_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "CANCEL_SECONDS", 0.0)
    fleet, begun, release = await Fleet().open(), asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    async def execute(ctx: Context) -> None:
        ran.append(ctx.event)
        begun.set()
        while len(ran) == 1 and not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    queue = Queue.make("q", event_schema=str, execute=execute)
    await fleet.producer(queue).enqueue("stubborn")
    process, other = fleet.process(queue), fleet.process(queue)
    process.worker.start()
    await begun.wait()
    stubborn = list(process.worker._runs)
    await process.worker.stop(grace_s=0.0)
    # It may still be at work, so its lease is not given away before its time.
    assert await other.run_due() == 0
    fleet.pass_time(LEASE)
    await other.run_due()
    assert ran == ["stubborn", "stubborn"]
    release.set()
    await asyncio.wait(stubborn)
    assert (await other.client(queue).status()).processed == 1


async def test_a_claim_that_is_on_its_way_while_the_worker_stops_is_given_back() -> None:
    fleet, handler = await Fleet().open(), Gated(is_open=True)
    queue = Queue.make("q", event_schema=str, execute=handler)
    await fleet.producer(queue).enqueue_many(["a", "b"])
    process, other = fleet.process(queue, immediate=False), fleet.process(queue)
    process.wire.gate.clear()
    process.worker.start()
    await process.wire.arrived.wait()
    stopping = asyncio.create_task(process.worker.stop())
    await turns()
    assert not stopping.done(), "it left a claim behind that nobody serves"
    process.wire.gate.set()
    await stopping
    assert handler.started == []
    assert process.engine.owned == {}
    await other.run_due()
    assert handler.ran == ["a", "b"]


async def test_a_worker_stops_while_its_store_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (stream, ownership):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler, retry=RetryPolicy(max_attempts=1))
    await fleet.producer(queue).enqueue_many(["a", "b"])
    process, other = fleet.process(queue, immediate=False), fleet.process(queue)
    process.worker.start()
    await handler.until(lambda: handler.running == 1)
    process.wire.failures += [StorageBusyError("locked")] * 3
    handler.gate.set()
    await process.worker.stop(grace_s=0.0)
    fleet.pass_time(LEASE)
    await other.run_due()
    assert sorted(set(handler.ran)) == ["a", "b"]
    assert (await other.client(queue).status()).processed == 2


async def test_stopping_twice_is_stopping_once() -> None:
    handler = Gated(is_open=True)
    fleet = await Fleet().open()
    process = fleet.process(Queue.make("q", event_schema=str, execute=handler))
    process.worker.start()
    await process.worker.stop()
    await process.worker.stop()
    # One that was never started has nothing to stop either.
    await fleet.process().worker.stop()
