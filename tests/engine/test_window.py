"""How much of a queue its owner has in hand: what a kill delivers again, and what a pause comes too late for."""

from __future__ import annotations

import pytest

from durable_primitives.primitives.queue import Queue, QueueExecuteContext
from tests.engine.fleet import Fleet


async def most_in_hand(fleet: Fleet, ms: int, **options: int) -> int:
    """The most events in hand, ever, while a thousand that take so many milliseconds each are worked off."""
    most = 0

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        nonlocal most
        fleet.pass_time(ms)
        most = max(most, len((await fleet.record("queue:q:0")).taken))

    queue = Queue.make("q", event_schema=str, execute=execute, **options)
    process = fleet.process(queue)
    await fleet.producer(queue).enqueue_many([f"e{n}" for n in range(1000)])
    await process.run_due()
    assert (await process.client(queue).status()).processed == 1000
    return most


@pytest.mark.parametrize(("ms", "events"), [(0, 250), (1, 20), (4, 5), (100, 1)])
async def test_an_owner_has_twenty_milliseconds_of_work_in_hand_and_at_most_250_events(ms: int, events: int) -> None:
    """Twenty milliseconds by a clock that counts whole ones: one event more or less does not matter."""
    most = await most_in_hand(await Fleet().open(), ms)
    assert max(events - 1, 1) <= most <= events


@pytest.mark.parametrize(("ms", "per_instance", "events"), [(0, 300, 300), (100, 7, 7)])
async def test_it_has_what_it_runs_in_hand_if_that_is_more(ms: int, per_instance: int, events: int) -> None:
    assert await most_in_hand(await Fleet().open(), ms, per_instance=per_instance) == events
