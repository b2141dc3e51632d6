"""Workers that come and go over a store that is slow and fails, as a seed decides; no law may be broken."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from durable_primitives import StorageError, WorkerOptions
from durable_primitives.kernel.primitive import Definition
from durable_primitives.testing.laws import Watch
from durable_primitives.testing.simulation import Simulation, Swarm

T = TypeVar("T")

KINDS = ("crash", "shutdown", "store_error", "delay", "order", "alarm")


class World:
    """One seed, and all that follows from it."""

    def __init__(self, seed: int) -> None:
        self.draws = random.Random(seed)
        self._seed = seed
        self.simulation: Simulation

    def open(self, *definitions: Definition) -> None:
        options = WorkerOptions(max_instances=self.draws.choice((1, 2)))
        swarm = Swarm(self._seed, kinds=KINDS, share=1.0, rate=0.05, limit=16)
        self.simulation = Simulation(*definitions, seed=self._seed, workers=2, options=options, swarm=swarm)
        self._watch = Watch(self.simulation)
        self.simulation.open()

    async def misbehave(self, *errors: BaseException) -> None:
        """Be a handler that takes a while, and fails now and then."""
        await asyncio.sleep(self.draws.choice((0.0, 0.0, 0.001, 0.5, 3.0)))
        if self.draws.random() < 0.2:
            raise self.draws.choice(errors)

    async def pause(self) -> None:
        """Wait between two calls: mostly not at all."""
        await asyncio.sleep(self.draws.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.001, 0.5, 3.0)))

    async def told(self, call: Callable[[], Awaitable[T]]) -> T:
        """Unknown is not failed: the same call, with the same id, until there is an answer."""
        while True:
            try:
                return await call()
            except StorageError:
                await asyncio.sleep(0.1)

    def play(self, program: Awaitable[None]) -> None:
        """Run the program, and then, without a fault from now on, what is left to do."""

        async def run() -> Any:
            await program

        self.simulation.run(run())
        self.simulation.settle("1 day")
        self._watch.rest()
        assert self.simulation.store.next_due is None, f"work is left over that nobody does: {self.faults}"
        assert self.faults
        assert self._watch.violations == [], self.faults

    @property
    def faults(self) -> list[str]:
        """What went wrong: as a schedule, the same happens again."""
        return [str(deviation) for deviation in self.simulation.choices.taken]
