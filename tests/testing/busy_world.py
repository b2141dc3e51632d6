"""One of each primitive under random faults: run as a program, it prints the digest of each seed's trace."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from durable_primitives import (
    Backoff,
    Buffer,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    Queue,
    QueueExecuteContext,
    RetryPolicy,
    StorageError,
)
from durable_primitives.kernel.transition import Claim, Outcome, Transition
from durable_primitives.testing import Deviation
from durable_primitives.testing.simulation import Simulation, Swarm

T = TypeVar("T")

SOON = RetryPolicy(max_attempts=50, backoff=Backoff.constant("1 second"))
EVENTS = ("0", "1", "2", "3")
RUNS = 4


class Owners:
    """Watches the store: what only an owner may change is changed by nobody but the one with the newest claim."""

    def __init__(self, simulation: Simulation) -> None:
        self.violations: list[str] = []
        self._newest: dict[str, str] = {}
        simulation.store.on_claim.append(self._claimed)
        simulation.store.on_commit.append(self._committed)

    def _claimed(self, actor: str, claim: Claim) -> None:
        self._newest[claim.record.instance] = actor

    def _committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        if outcome.verdict != "applied":
            return
        t = transition
        owns = t.remove or t.reschedule or t.bury or t.mark or t.give_back or t.take or t.release != "no" or t.progress
        if owns and self._newest.get(t.instance) != actor:
            self.violations.append(f"{actor} changed {t.instance}, which {self._newest.get(t.instance)} has claimed")


class BusyWorld:
    """A queue, a buffer and a Continuous, two workers, and a client that repeats what it was not told about."""

    def __init__(self, seed: int, schedule: Iterable[Deviation | str] = (), swarm: Swarm | None = None) -> None:
        self.delivered = Counter[str]()
        self.flushed = Counter[str]()
        every = Continuous.every("5 seconds")
        self.queue = Queue.make("q", event_schema=str, execute=self._deliver, timeout="10 minutes", retry=SOON)
        self.buffer = Buffer.make(
            "b", event_schema=str, max_events=3, flush_after="10 seconds", execute=self._flush, retry=SOON
        )
        self.job = Continuous.make("c", state_schema=int, schedule=every, execute=self._tick, max_runs=RUNS, retry=SOON)
        definitions = (self.queue, self.buffer, self.job)
        self.simulation = Simulation(*definitions, seed=seed, workers=2, schedule=schedule, swarm=swarm)
        self.owners = Owners(self.simulation)

    async def _deliver(self, ctx: QueueExecuteContext[str]) -> None:
        await asyncio.sleep(12)
        self.delivered[ctx.event] += 1

    async def _flush(self, ctx: BufferExecuteContext[list[str]]) -> None:
        async with asyncio.TaskGroup() as group:
            for event in ctx.state:
                group.create_task(self._flush_one(event))

    async def _flush_one(self, event: str) -> None:
        await asyncio.sleep(0.1)
        self.flushed[event] += 1

    async def _tick(self, ctx: ContinuousContext[int]) -> None:
        ctx.set_state(ctx.state + 1)

    async def _program(self) -> None:
        client = self.simulation.client
        await until_told(lambda: client.continuous(self.job).start("x", 0))
        for event in EVENTS:
            await until_told(lambda: client.queue(self.queue).enqueue(event, id=event, partition_key="k"))  # noqa: B023
            await until_told(lambda: client.buffer(self.buffer).add("y", event, event_id=event))  # noqa: B023

    def play(self) -> Simulation:
        """Run everything; the simulation is left open for whoever looks at it."""
        simulation = self.simulation.open()
        simulation.run(self._program())
        simulation.advance("20 seconds")
        simulation.settle("3 days")
        return simulation

    def wrong(self) -> list[str]:
        """What is not as it must be when all is over."""
        simulation = self.simulation
        status = simulation.run(simulation.client.queue(self.queue).status())
        state = simulation.run(simulation.client.continuous(self.job).get_state("x"))
        checks: dict[str, bool] = {
            "something is left to do": simulation.store.next_due is None,
            "an event was not delivered": set(self.delivered) == set(EVENTS),
            "an event was not flushed": set(self.flushed) == set(EVENTS),
            "an event was processed more than once, or never": status.processed == len(EVENTS),
            "a run was lost or counted twice": state == RUNS,
        }
        return [what for what, holds in checks.items() if not holds] + self.owners.violations + simulation.store.defects


async def until_told(call: Callable[[], Awaitable[T]]) -> T:
    """Unknown is not failed: the same call, with the same id, until there is an answer."""
    while True:
        try:
            return await call()
        except StorageError:
            await asyncio.sleep(0.1)


def digest(seed: int, *, swarm: bool = True, **options: Any) -> str:
    world = BusyWorld(seed, swarm=Swarm(seed) if swarm else None, **options)
    simulation = world.play()
    simulation.close()
    return simulation.trace.digest


if __name__ == "__main__":
    logging.disable()
    for seed in range(int(sys.argv[1])):
        print(digest(seed))
