"""Whatever happens, every accepted event of a buffer is in one batch, and the state of a Continuous is never torn."""

from __future__ import annotations

from contextlib import suppress

import pytest

from durable_primitives import InvalidStateError
from durable_primitives.primitives.buffer import Buffer, BufferExecuteContext
from durable_primitives.primitives.continuous import Continuous, ContinuousContext
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Snooze
from durable_primitives.testing.simulation import SimulatedProcess
from tests.engine.chaos import World

STEPS = 60
RUNS = 40
IDS = ("x", "y")
ENDINGS = ("done", "cleared")
SOON = RetryPolicy(max_attempts=50, backoff=Backoff.constant("1 second", jitter="none"))


@pytest.mark.parametrize("seed", range(25))
def test_every_accepted_event_is_in_one_batch_that_never_changes(seed: int) -> None:
    world = World(seed)
    draws, tried, changed = world.draws, dict[str, list[int]](), list[str]()

    async def execute(ctx: BufferExecuteContext[list[int]]) -> None:
        if tried.setdefault(ctx.flush_id, ctx.state) != ctx.state:
            changed.append(ctx.flush_id)
        await world.misbehave(ValueError("no"), Snooze("1 second"))

    buffer = Buffer.make("b", event_schema=int, max_events=4, flush_after="3 seconds", execute=execute, retry=SOON)
    world.open(buffer)
    client = world.simulation.client.buffer(buffer)
    accepted: dict[str, list[int]] = {id: [] for id in IDS}

    async def program() -> None:
        for n in range(STEPS):
            id = draws.choice(IDS)
            if draws.random() < 0.8:
                await world.told(lambda: client.add(id, n, event_id=str(n)))  # noqa: B023
                accepted[id].append(n)
            else:
                await world.told(lambda: draws.choice((client.flush, client.clear))(id))  # noqa: B023
            await world.pause()

    world.play(program())
    assert changed == [], world.faults
    for id, numbers in accepted.items():
        receipts = world.simulation.store.load(f"buffer:b:{id}", [str(n) for n in numbers]).receipts
        assert len(receipts) == len(numbers), world.faults
        ended = {ending: [n for n in numbers if receipts[str(n)].settlement == ending] for ending in ENDINGS}
        assert sorted(n for numbers in ended.values() for n in numbers) == numbers, world.faults
        flushed = [n for flush_id, state in tried.items() if flush_id.startswith(f"buffer:b:{id}") for n in state]
        assert flushed == ended["done"], f"batches go in order, and each event is in one: {world.faults}"
    world.simulation.close()


class Runs:
    """Watches what each run sees of those before it: the state is the list of the runs that were committed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: dict[str, SimulatedProcess] = {}
        self._last: dict[str, list[int]] = {}
        self.violations: list[object] = []

    async def execute(self, ctx: ContinuousContext[list[int]]) -> None:
        before, seen = self._last.get(ctx.id, []), ctx.state
        in_order = seen[: len(before)] == before and (*seen, ctx.run_count) == tuple(sorted({*seen, ctx.run_count}))
        other = self._running.get(ctx.id)
        if not in_order or (other is not None and other.alive):
            self.violations.append((ctx.id, ctx.run_count, before, seen))
        self._last[ctx.id] = seen
        self._running[ctx.id] = SimulatedProcess.current()
        try:
            ctx.set_state([-1])
            await self._world.misbehave(ValueError("no"), Snooze("1 second"))
            ctx.set_state([*seen, ctx.run_count])
        finally:
            self._running.pop(ctx.id, None)


@pytest.mark.parametrize("seed", range(25))
def test_the_state_is_that_of_the_runs_that_were_committed(seed: int) -> None:
    world = World(seed)
    draws, runs = world.draws, Runs(world)
    every = Continuous.every("4 seconds")
    job = Continuous.make("c", state_schema=list[int], schedule=every, execute=runs.execute, retry=SOON, max_runs=RUNS)
    world.open(job)
    client = world.simulation.client.continuous(job)

    async def program() -> None:
        for id in IDS:
            await world.told(lambda: client.start(id, []))  # noqa: B023
        for _ in range(STEPS):
            id = draws.choice(IDS)
            with suppress(InvalidStateError):  # its last run is over
                await world.told(lambda: draws.choice((client.trigger, client.pause, client.resume))(id))  # noqa: B023
            await world.pause()
        for id in IDS:
            with suppress(InvalidStateError):
                await world.told(lambda: client.resume(id))  # noqa: B023

    world.play(program())
    assert runs.violations == [] or world.overlaps, world.faults
    for id in IDS:
        state = world.simulation.run(client.get_state(id))
        assert state is not None
        assert state == sorted(set(state)), world.faults
        assert (state[-1], world.simulation.run(client.status(id)).run_count) == (RUNS, RUNS), world.faults
    world.simulation.close()
