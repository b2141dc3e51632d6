"""How an event ends when its handler or the store misbehaves."""

from __future__ import annotations

import asyncio

import pytest

from durable_primitives.errors import StorageBusyError, StorageError
from durable_primitives.primitives.queue import Enqueue, Queue, QueueDeadLetterContext, QueueExecuteContext, stream
from durable_primitives.retry import Backoff, RetryPolicy
from tests.engine.fleet import LEASE, SECOND, Fleet, turns
from tests.engine.gated import Gated

Context = QueueExecuteContext[str]
POLICY = RetryPolicy(max_attempts=3, backoff=Backoff.constant("1 second", jitter="none"))


@pytest.mark.parametrize("per_instance", [1, 2])
async def test_a_handler_that_raises_a_cancellation_of_its_own_has_failed(per_instance: int) -> None:
    fleet, attempts = await Fleet().open(), list[int]()

    async def execute(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        helper = asyncio.create_task(asyncio.Event().wait())
        helper.cancel()
        await helper

    queue = Queue.make("q", event_schema=str, execute=execute, per_instance=per_instance, retry=POLICY)
    process = fleet.process(queue)
    await process.client(queue).enqueue("e", id="e")
    for _ in range(10):
        await process.run_due()
        fleet.pass_time(SECOND)
    assert attempts == [1, 2, 3]
    letter = await process.client(queue).dead_letters.get("e")
    assert letter is not None
    assert "CancelledError" in letter.error.type


async def test_a_hook_that_raises_a_cancellation_of_its_own_loses_no_event() -> None:
    fleet = await Fleet().open()

    async def execute(ctx: Context) -> None:
        raise ValueError("no")

    async def park(event: str, error: BaseException, ctx: QueueDeadLetterContext) -> None:
        raise asyncio.CancelledError

    queue = Queue.make("q", event_schema=str, execute=execute, on_dead_letter=park, retry=RetryPolicy(max_attempts=1))
    process = fleet.process(queue)
    await process.client(queue).enqueue("e", id="e")
    await process.run_due()
    assert await process.client(queue).dead_letters.get("e") is not None


async def test_outcomes_wait_for_a_busy_store_and_nothing_runs_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "RETRY_SECONDS", 0.0)
    fleet, handler = await Fleet().open(), Gated(is_open=True)
    queue = Queue.make("q", event_schema=str, execute=handler, per_instance=2)
    process = fleet.process(queue, immediate=False)
    await fleet.producer(queue).enqueue_many([Enqueue(f"e{n}", partition_key=f"k{n % 3}") for n in range(30)])
    claimed = await process.engine.commits.claim()
    assert claimed == 1
    process.wire.failures += [StorageBusyError("locked")] * 5
    await asyncio.wait(process.worker._runs)
    assert sorted(handler.ran) == sorted(f"e{n}" for n in range(30))
    for key in range(3):
        mine = [event for event in handler.ran if int(event[1:]) % 3 == key]
        assert mine == sorted(mine, key=lambda event: int(event[1:]))
    assert (await process.client(queue).status()).processed == 30


async def test_an_outcome_whose_fate_is_unknown_is_left_to_the_next_owner() -> None:
    fleet, handler = await Fleet().open(), Gated(is_open=True)
    queue = Queue.make("q", event_schema=str, execute=handler)
    process, heir = fleet.process(queue, immediate=False), fleet.process(queue)
    await fleet.producer(queue).enqueue_many(["a", "b"])
    await process.engine.commits.claim()
    process.wire.failures.append(StorageError("the reply was lost", outcome="unknown"))
    await asyncio.wait(process.worker._runs)
    assert (await fleet.record("queue:q:0")).owner is not None, "it must not be given back on a guess"
    fleet.pass_time(LEASE)
    await heir.run_due()
    assert handler.ran == ["a", "a", "b"]
    assert (await heir.client(queue).status()).processed == 2


async def test_a_slow_store_bounds_how_far_the_handlers_run_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_UNCOMMITTED", 10)
    fleet, handler = await Fleet().open(), Gated(is_open=True)
    queue = Queue.make("q", event_schema=str, execute=handler)
    process = fleet.process(queue, immediate=False)
    await fleet.producer(queue).enqueue_many([f"e{n}" for n in range(1000)])
    await process.run_due()
    ahead = [len(transition.remove) for batch, _ in process.wire.trips for transition in batch]
    assert sum(ahead) == 1000
    assert max(ahead) <= 2 * 10 + 1


@pytest.mark.parametrize("later", [None, "1 second"])
async def test_an_event_that_goes_back_holds_back_those_that_arrive_while_its_failure_is_on_its_way(
    later: str | None,
) -> None:
    fleet, starts = await Fleet().open(), list[tuple[str, int]]()
    fail, finish = asyncio.Event(), asyncio.Event()

    async def execute(ctx: Context) -> None:
        starts.append((ctx.event, ctx.attempt))
        if ctx.event == "other":
            await finish.wait()
        if ctx.event == "first" and ctx.attempt == 1:
            await fail.wait()
            raise ConnectionError("once")

    queue = Queue.make("q", event_schema=str, execute=execute, per_instance=2, retry=POLICY)
    producer = fleet.producer(queue)
    process = fleet.process(queue, immediate=False)
    await producer.enqueue("first", partition_key="k")
    await producer.enqueue("other")
    await process.engine.commits.claim()
    await turns()
    assert starts == [("first", 1), ("other", 1)]
    # A successor comes in, and its owner asks for it ...
    await producer.enqueue("second", partition_key="k", delay=later)
    fleet.pass_time(0 if later is None else SECOND)
    process.wire.gate.clear()
    process.wire.arrived.clear()
    finish.set()
    await process.wire.arrived.wait()
    # ... and before the answer is here, the event before it fails.
    fail.set()
    await turns()
    process.wire.gate.set()
    await asyncio.wait(process.worker._runs)
    fleet.pass_time(SECOND)
    await process.run_due()
    assert starts == [("first", 1), ("other", 1), ("first", 2), ("second", 1)]


async def test_an_event_that_is_cancelled_in_the_hands_of_its_worker_leaves_its_key_as_it_was() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler, per_instance=2)
    process = fleet.process(queue)
    client = process.client(queue)
    await client.enqueue_many([Enqueue(event, id=event, partition_key="k") for event in ("a", "b", "c", "d")])
    await turns()
    assert (await fleet.record("queue:q:0")).taken == (1, 2), "b is to be in hand behind a"
    assert (await client.cancel("b")).outcome == "running"
    await turns()
    assert (await client.cancel("b")).outcome == "cancelled"
    handler.gate.set()
    await process.run_due()
    assert handler.ran == ["a", "c", "d"]
    status = await client.status()
    assert (status.processed, status.pending, status.running) == (3, 0, 0)
