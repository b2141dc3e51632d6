"""Whatever happens, every accepted event of a queue ends once, in order, and alone in its key."""

from __future__ import annotations

from collections import Counter

import pytest

from durable_primitives.primitives.queue import Queue, QueueExecuteContext
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Retry, Snooze
from tests.engine.chaos import World

STEPS = 60
INSTANCES = ("queue:q:0", "queue:q:1")


@pytest.mark.parametrize("seed", range(25))
def test_every_accepted_event_ends_once_and_in_order(seed: int) -> None:
    world = World(seed)
    draws = world.draws

    async def execute(ctx: QueueExecuteContext[int]) -> None:
        await world.misbehave(ValueError("no"), Snooze("1 second"), Retry("2 seconds"))

    queue = Queue.make(
        "q",
        event_schema=int,
        execute=execute,
        concurrency=len(INSTANCES),
        per_instance=draws.choice((1, 2, 3)),
        ordering=draws.choice(("strict", "relaxed")),
        retry=RetryPolicy(max_attempts=50, backoff=Backoff.constant("1 second", jitter="none")),
    )
    world.open(queue)
    client = world.simulation.client.queue(queue)
    accepted: list[str] = []

    async def program() -> None:
        for n in range(STEPS):
            what = draws.random()
            if what < 0.7:
                key, delay = draws.choice((None, "a", "b", "c")), draws.choice((None, None, None, "1 second"))
                options = {"id": str(n), "partition_key": key, "delay": delay, "priority": draws.choice((0, 0, 5))}
                await world.told(lambda: client.enqueue(n, **options))  # noqa: B023
                accepted.append(str(n))
            elif what < 0.8 and accepted:
                victim = draws.choice(accepted)
                await world.told(lambda: client.cancel(victim))  # noqa: B023
            else:
                await world.told(draws.choice((client.pause, client.resume)))
            await world.pause()
        await world.told(client.resume)

    world.play(program())
    endings = Counter[str | None]()
    for instance in INSTANCES:
        snapshot = world.simulation.store.load(instance, accepted)
        endings.update(receipt.settlement for receipt in snapshot.receipts.values())
    assert endings.total() == len(accepted), world.faults
    assert set(endings) <= {"done", "cancelled"}, world.faults
    world.simulation.close()
