"""Clocks that are set: nothing is lost, nothing starts early, and what starts twice counts once."""

from __future__ import annotations

import time

import pytest

from durable_primitives import Queue, create_durable_primitives
from durable_primitives.backends.memory import MemoryBackend
from tests.engine.fleet import HOUR, LEASE, SECOND, Fleet, turns
from tests.engine.gated import Gated

# The clock of the machine, which all its processes share.


@pytest.mark.parametrize("by", [-HOUR, -LEASE, 2 * LEASE, HOUR])
async def test_a_worker_whose_clock_is_set_loses_nothing_and_starts_nothing_twice_or_early(by: int) -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler, concurrency=2)
    process = fleet.process(queue)
    client = process.client(queue)
    due = fleet.clock.ms + 2 * HOUR
    await client.enqueue("later", id="later", delay="2 hours")
    await client.enqueue("first", id="first", partition_key="k")
    process.worker.start()
    await handler.until(lambda: handler.running == 1)
    fleet.set_clock(by)
    fleet.wake()
    await client.enqueue("second", id="second", partition_key="k")
    await turns()
    process.runtime.beat()
    await turns()
    assert handler.started == ["first"], "what it runs is still its own"
    handler.gate.set()
    await handler.until(lambda: len(handler.ran) == 2)
    fleet.pass_time(due - fleet.clock.ms - 1)
    fleet.wake()
    await turns()
    assert handler.started == ["first", "second"]
    fleet.pass_time(1)
    fleet.wake()
    await handler.until(lambda: len(handler.ran) == 3)
    await process.worker.stop()
    assert handler.started == ["first", "second", "later"]
    assert (await client.status()).processed == 3


async def test_a_clock_that_is_set_back_takes_no_lease_away() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler)
    await fleet.producer(queue).enqueue("e")
    owner, other = fleet.process(queue), fleet.process(queue)
    owner.worker.start()
    await handler.until(lambda: handler.running == 1)
    fleet.set_clock(-HOUR)
    assert await other.run_due() == 0
    for _ in range(5):
        owner.runtime.beat()
        fleet.pass_time(LEASE - SECOND)
        assert await other.run_due() == 0
    await owner.crash()
    handler.gate.set()
    fleet.pass_time(SECOND)
    assert await other.run_due() == 1, "a lease that was renewed since then ends by the clock as it is now"
    assert handler.started == ["e", "e"]


async def test_a_clock_that_is_set_forward_lets_another_begin_but_one_outcome_counts() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler)
    producer = fleet.producer(queue)
    await producer.enqueue_many(["e", "next"])
    owner, other = fleet.process(queue), fleet.process(queue)
    owner.worker.start()
    await handler.until(lambda: handler.running == 1)
    fleet.set_clock(LEASE)
    other.worker.start()
    await handler.until(lambda: handler.running == 2)
    handler.gate.set()
    await handler.until(lambda: len(handler.ran) == 3)
    for process in (owner, other):
        await process.worker.stop()
    assert handler.started == ["e", "e", "next"]
    status = await producer.status()
    assert (status.processed, status.dead, status.pending, status.running) == (2, 0, 0, 0)


# The clock of the store, where it has one.


class Authority(MemoryBackend):
    """A store with a clock of its own."""

    seconds = 0.0

    def time(self) -> float:
        return self.seconds

    def set(self, seconds: float) -> None:
        self.seconds = seconds
        self._bell.ring()


@pytest.mark.parametrize("apart", [-3600, 3600])
async def test_a_worker_goes_by_the_clock_of_the_store(apart: int) -> None:
    store, handler = Authority(), Gated(is_open=True)
    noon = float(int(time.time()) + apart)
    store.set(noon)
    queue = Queue.make("q", event_schema=str, execute=handler)
    async with create_durable_primitives(queue).open(store) as running:
        client = running.client.queue(queue)
        await client.enqueue("later", delay="1 minute")
        await client.enqueue("now")
        await handler.until(lambda: handler.ran == ["now"])
        store.set(noon + 59.9)
        await turns()
        assert handler.started == ["now"]
        store.set(noon + 60.0)
        await handler.until(lambda: handler.ran == ["now", "later"])
