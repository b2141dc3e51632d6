"""Whatever happens, every accepted event of a queue ends once, in order, and alone in its key."""

from __future__ import annotations

from collections import Counter

import pytest

from durable_primitives.primitives.queue import Queue, QueueExecuteContext
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Retry, Snooze
from durable_primitives.testing.simulation import SimulatedProcess
from tests.engine.chaos import World

STEPS = 60
INSTANCES = ("queue:q:0", "queue:q:1")


class Keys:
    """Watches how the events of each key start and end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: dict[str, SimulatedProcess] = {}
        self.starts: dict[str, list[int]] = {}
        self.overlaps: list[str] = []

    async def execute(self, ctx: QueueExecuteContext[int]) -> None:
        key = ctx.partition_key or ctx.event_id
        self.starts.setdefault(key, []).append(ctx.event)
        other = self._running.get(key)
        if other is not None and other.alive:
            self.overlaps.append(key)
        self._running[key] = SimulatedProcess.current()
        try:
            await self._world.misbehave(ValueError("no"), Snooze("1 second"), Retry("2 seconds"))
        finally:
            self._running.pop(key, None)


@pytest.mark.parametrize("seed", range(25))
def test_every_accepted_event_ends_once_and_in_order(seed: int) -> None:
    world = World(seed)
    draws, keys = world.draws, Keys(world)
    queue = Queue.make(
        "q",
        event_schema=int,
        execute=keys.execute,
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
    if not world.overlaps:
        assert keys.overlaps == [], world.faults
    if queue.ordering == "strict" and not world.overlaps:
        assert keys.starts == {key: sorted(numbers) for key, numbers in keys.starts.items()}, world.faults
    endings = Counter[str | None]()
    for instance in INSTANCES:
        snapshot = world.simulation.store.load(instance, accepted)
        endings.update(receipt.settlement for receipt in snapshot.receipts.values())
    assert endings.total() == len(accepted), world.faults
    assert set(endings) <= {"done", "cancelled"}, world.faults
    world.simulation.close()
