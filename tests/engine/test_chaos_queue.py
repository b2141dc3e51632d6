"""Whatever happens, every accepted event of a queue ends once, in order, and alone in its key."""

from __future__ import annotations

from collections import Counter

import pytest

from durable_primitives.primitives.queue import Queue, QueueExecuteContext
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Retry, Snooze
from tests.engine.chaos import World, until_told
from tests.engine.fleet import turns

STEPS = 60
INSTANCES = ("queue:q:0", "queue:q:1")


class Keys:
    """Watches how the events of each key start and end."""

    def __init__(self, world: World) -> None:
        self._draws = world.draws
        self._running = Counter[str]()
        self.starts: dict[str, list[int]] = {}
        self.overlaps: list[str] = []

    async def execute(self, ctx: QueueExecuteContext[int]) -> None:
        key = ctx.partition_key or ctx.event_id
        self.starts.setdefault(key, []).append(ctx.event)
        if self._running[key]:
            self.overlaps.append(key)
        self._running[key] += 1
        try:
            await turns(self._draws.randrange(5))
            if self._draws.random() < 0.2:
                raise self._draws.choice((ValueError("no"), Snooze("1 second"), Retry("2 seconds")))
        finally:
            self._running[key] -= 1


@pytest.mark.parametrize("seed", range(12))
async def test_every_accepted_event_ends_once_and_in_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(seed, monkeypatch)
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
    await world.open(queue)
    accepted: list[str] = []
    for n in range(STEPS):
        what, client = draws.random(), world.client(queue)
        if what < 0.55:
            key, delay = draws.choice((None, "a", "b", "c")), draws.choice((None, None, None, "1 second", "3 seconds"))
            options = {"id": str(n), "partition_key": key, "delay": delay, "priority": draws.choice((0, 0, 5))}
            await until_told(lambda: client.enqueue(n, **options))  # noqa: B023
            accepted.append(str(n))
        elif what < 0.65 and accepted:
            victim = draws.choice(accepted)
            await until_told(lambda: client.cancel(victim))  # noqa: B023
        elif what < 0.75:
            await until_told(draws.choice((client.pause, client.resume)))
        else:
            await world.disturb()
        await turns(draws.randrange(10))
    await until_told(world.client(queue).resume)
    reader = world.processes[0].client(queue)

    async def done() -> bool:
        status = await reader.status()
        return not status.pending + status.delayed + status.running + status.retrying

    await world.settle(done)
    assert keys.overlaps == []
    if queue.ordering == "strict":
        assert keys.starts == {key: sorted(numbers) for key, numbers in keys.starts.items()}
    endings = Counter[str | None]()
    for instance in INSTANCES:
        snapshot = await world.fleet.store.load(instance, accepted)
        endings.update(receipt.settlement for receipt in snapshot.receipts.values())
    assert endings.total() == len(accepted)
    assert set(endings) <= {"done", "cancelled"}
