"""Whatever happens, every accepted event of a buffer is in one batch, and the state of a Continuous is never torn."""

from __future__ import annotations

from collections import Counter

import pytest

from durable_primitives.primitives.buffer import Buffer, BufferExecuteContext
from durable_primitives.primitives.continuous import Continuous, ContinuousContext
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Snooze
from tests.engine.chaos import World, until_told
from tests.engine.fleet import turns

STEPS = 60
RUNS = 40
IDS = ("x", "y")
ENDINGS = ("done", "cleared")
SOON = RetryPolicy(max_attempts=50, backoff=Backoff.constant("1 second", jitter="none"))


async def misbehave(world: World) -> None:
    """Take a while, and fail now and then."""
    await turns(world.draws.randrange(5))
    if world.draws.random() < 0.2:
        raise world.draws.choice((ValueError("no"), Snooze("1 second")))


@pytest.mark.parametrize("seed", range(12))
async def test_every_accepted_event_is_in_one_batch_that_never_changes(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(seed, monkeypatch)
    draws, tried = world.draws, dict[str, list[int]]()
    changed: list[str] = []

    async def execute(ctx: BufferExecuteContext[list[int]]) -> None:
        if tried.setdefault(ctx.flush_id, ctx.state) != ctx.state:
            changed.append(ctx.flush_id)
        await misbehave(world)

    buffer = Buffer.make("b", event_schema=int, max_events=4, flush_after="3 seconds", execute=execute, retry=SOON)
    await world.open(buffer)
    accepted: dict[str, list[int]] = {id: [] for id in IDS}
    for n in range(STEPS):
        what, client, id = draws.random(), world.client(buffer), draws.choice(IDS)
        if what < 0.6:
            await until_told(lambda: client.add(id, n, str(n)))  # noqa: B023
            accepted[id].append(n)
        elif what < 0.7:
            await until_told(lambda: draws.choice((client.flush, client.clear))(id))  # noqa: B023
        else:
            await world.disturb()
        await turns(draws.randrange(10))
    reader = world.processes[0].client(buffer)

    async def done() -> bool:
        return all([(await reader.status(id)).status in ("idle", "not_found") for id in accepted])

    await world.settle(done)
    assert changed == []
    for id, numbers in accepted.items():
        snapshot = await world.fleet.store.load(f"buffer:b:{id}", [str(n) for n in numbers])
        assert len(snapshot.receipts) == len(numbers)
        ended = {ending: [n for n in numbers if snapshot.receipts[str(n)].settlement == ending] for ending in ENDINGS}
        assert sorted(n for numbers in ended.values() for n in numbers) == numbers
        flushed = [n for flush_id, state in tried.items() if flush_id.startswith(f"buffer:b:{id}") for n in state]
        assert flushed == ended["done"], "batches go in order, and each event is in one"


class Runs:
    """Watches what each run sees of those before it: the state is the list of the runs that were committed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._running = Counter[str]()
        self._last: dict[str, list[int]] = {}
        self.violations: list[object] = []

    async def execute(self, ctx: ContinuousContext[list[int]]) -> None:
        before, seen = self._last.get(ctx.id, []), ctx.state
        in_order = seen[: len(before)] == before and (*seen, ctx.run_count) == tuple(sorted({*seen, ctx.run_count}))
        if not in_order or self._running[ctx.id]:
            self.violations.append((ctx.id, ctx.run_count, before, seen, self._running[ctx.id]))
        self._last[ctx.id] = seen
        self._running[ctx.id] += 1
        try:
            ctx.set_state([-1])
            await misbehave(self._world)
            ctx.set_state([*seen, ctx.run_count])
        finally:
            self._running[ctx.id] -= 1


@pytest.mark.parametrize("seed", range(12))
async def test_the_state_is_that_of_the_runs_that_were_committed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(seed, monkeypatch)
    draws, runs = world.draws, Runs(world)
    every = Continuous.every("4 seconds")
    job = Continuous.make("c", state_schema=list[int], schedule=every, execute=runs.execute, retry=SOON, max_runs=RUNS)
    await world.open(job)
    for id in IDS:
        await until_told(lambda: world.client(job).start(id, []))  # noqa: B023
    for _ in range(STEPS):
        what, client, id = draws.random(), world.client(job), draws.choice(IDS)
        if what < 0.5:
            await until_told(lambda: draws.choice((client.trigger, client.pause, client.resume))(id))  # noqa: B023
        else:
            await world.disturb()
        await turns(draws.randrange(10))
    for id in IDS:
        await until_told(lambda: world.client(job).resume(id))  # noqa: B023
    reader = world.processes[0].client(job)

    async def done() -> bool:
        return all([(await reader.status(id)).status == "stopped" for id in IDS])

    await world.settle(done)
    assert runs.violations == []
    for id in IDS:
        state = await reader.get_state(id)
        assert state == sorted(set(state))
        assert (state[-1], (await reader.status(id)).run_count) == (RUNS, RUNS)
