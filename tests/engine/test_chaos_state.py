"""Whatever happens, every accepted event of a buffer is in one batch, and the state of a Continuous is never torn."""

from __future__ import annotations

from contextlib import suppress

import pytest

from durable_primitives import InvalidStateError
from durable_primitives.primitives.buffer import Buffer, BufferExecuteContext
from durable_primitives.primitives.continuous import Continuous, ContinuousContext
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Snooze
from tests.engine.chaos import World

STEPS = 60
RUNS = 40
IDS = ("x", "y")
ENDINGS = ("done", "cleared")
SOON = RetryPolicy(max_attempts=50, backoff=Backoff.constant("1 second", jitter="none"))


@pytest.mark.parametrize("seed", range(25))
def test_every_accepted_event_is_in_one_batch_that_never_changes(seed: int) -> None:
    world = World(seed)
    draws = world.draws

    async def execute(ctx: BufferExecuteContext[list[int]]) -> None:
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
    for id, numbers in accepted.items():
        receipts = world.simulation.store.load(f"buffer:b:{id}", [str(n) for n in numbers]).receipts
        assert len(receipts) == len(numbers), world.faults
        ended = {ending: [n for n in numbers if receipts[str(n)].settlement == ending] for ending in ENDINGS}
        assert sorted(n for numbers in ended.values() for n in numbers) == numbers, world.faults
    world.simulation.close()


@pytest.mark.parametrize("seed", range(25))
def test_the_state_is_that_of_the_runs_that_were_committed(seed: int) -> None:
    world = World(seed)
    draws = world.draws

    async def execute(ctx: ContinuousContext[list[int]]) -> None:
        seen = ctx.state
        ctx.set_state([-1])
        await world.misbehave(ValueError("no"), Snooze("1 second"))
        ctx.set_state([*seen, ctx.run_count])

    every = Continuous.every("4 seconds")
    job = Continuous.make("c", state_schema=list[int], schedule=every, execute=execute, retry=SOON, max_runs=RUNS)
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
    for id in IDS:
        state = world.simulation.run(client.get_state(id))
        assert state is not None
        assert state == sorted(set(state)), world.faults
        assert (state[-1], world.simulation.run(client.status(id)).run_count) == (RUNS, RUNS), world.faults
    world.simulation.close()
