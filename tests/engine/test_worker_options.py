"""What a worker does that is told nothing: the defaults of its options."""

from __future__ import annotations

import asyncio

import pytest

from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.primitives.queue import Queue
from tests.conformance.hurried_loop import HurriedLoop
from tests.engine.fleet import SECOND, Fleet, Process
from tests.engine.gated import Gated


async def at_work() -> tuple[Fleet, Process]:
    """A worker without options whose handler does not end by itself."""
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler)
    await fleet.producer(queue).enqueue("e")
    process = fleet.process(queue)
    process.worker.start()
    await handler.until(lambda: handler.running == 1)
    return fleet, process


async def test_a_lease_lasts_thirty_seconds_and_the_heart_beats_every_ten() -> None:
    fleet, process = await at_work()
    assert (await fleet.record("queue:q:0")).lease_until == fleet.clock.ms + 30 * SECOND
    assert process.runtime.beats_every == 10.0
    fleet.pass_time(10 * SECOND)
    process.runtime.beat()
    assert (await fleet.record("queue:q:0")).lease_until == fleet.clock.ms + 30 * SECOND
    await process.worker.stop(grace_s=0.0)


def test_a_shutdown_waits_twenty_seconds_for_handlers() -> None:
    async def waited() -> float:
        _, process = await at_work()
        before = asyncio.get_running_loop().time()
        await process.worker.stop()
        return asyncio.get_running_loop().time() - before

    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        assert runner.run(waited()) == pytest.approx(20.0, abs=1.0)


def test_the_defaults_can_be_read_off_the_options() -> None:
    options = WorkerOptions()
    assert (options.lease, options.heartbeat, options.grace) == ("30 seconds", "10 seconds", "20 seconds")
    assert (options.max_instances, options.longest_wait) == (100, "1 minute")
