"""One schedule of the campaign: a seed decides what is defined, what is asked for, and what goes wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from durable_primitives import WorkerOptions
from durable_primitives.kernel.transition import Outcome, Transition
from durable_primitives.testing.laws import Violation, Watch
from durable_primitives.testing.simulation import CallInFlight, Deviation, Execution, Simulation, Swarm
from durable_primitives.testing.simulation.store import finish
from durable_primitives.testing.simulation.world import START
from tests.campaign.actors import Actor, BufferActor, ContinuousActor, QueueActor, told
from tests.campaign.sometimes import Sometimes

STEPS = 8
"""Calls of one caller."""

FOREVER_MS = 100 * 86_400_000
"""Longer than anything is kept."""


class World:
    """Everything that follows from one seed.

    Args:
        seed: Of the definitions, the calls, the conduct of user code, and the faults.
        schedule: What goes wrong instead of what the seed draws.
        sometimes: Where to note what was exercised.
    """

    def __init__(
        self, seed: int, schedule: Iterable[Deviation | str] | None = None, sometimes: Sometimes | None = None
    ) -> None:
        draws = self._draws = random.Random(seed)
        self.seed = seed
        self._sometimes = sometimes
        kinds = draws.choice((("q",), ("q",), ("b",), ("b",), ("c",), ("c",), ("q", "b", "c")))
        queue = QueueActor(draws, seed) if "q" in kinds else None
        self._actors: list[Actor] = [] if queue is None else [queue]
        if "b" in kinds:
            self._actors.append(BufferActor(draws, seed))
        if "c" in kinds:
            self._actors.append(ContinuousActor(draws, seed, queue, START))
        swarm = None
        if schedule is None:
            swarm = Swarm(seed, rate=draws.choice((0.02, 0.05, 0.1)), share=draws.choice((0.3, 0.6)))
        self._redeploys = draws.random() < 0.05
        self.simulation = Simulation(
            *self._definitions,
            seed=seed,
            workers=draws.choice((1, 2, 2, 3)),
            options=WorkerOptions(max_instances=draws.choice((1, 2, 100))),
            schedule=schedule or (),
            swarm=swarm,
            clocks=draws.choice(({},) * 8 + ({"worker 1": timedelta(seconds=2)}, {"client": timedelta(seconds=-45)})),
        )
        self._watch = Watch(self.simulation)
        if sometimes is not None:
            self.simulation.store.on_commit.append(self._committed)
            self.simulation.on_end.append(self._ended)
            self.simulation.on_answer.append(self._answered)

    @property
    def _definitions(self) -> list[Any]:
        return [actor.definition for actor in self._actors]

    # What happens.

    def play(self) -> list[Violation]:
        """Run everything to its end; returns what did not hold."""
        with self.simulation as simulation:
            simulation.run(self._calls())
            if self._redeploys:
                self._miss_a_definition()
                simulation.run(self._calls())
            simulation.run(self._rest())
            simulation.settle("2 days")
            self._watch.rest()
            self._outlive_everything()
            if self._sometimes is not None:
                self._sometimes.happened("event", (event.__struct_config__.tag for event in simulation.events))
                self._sometimes.went_wrong("by chance", self.faults)
            return self._watch.violations

    @property
    def faults(self) -> list[Deviation]:
        """What went wrong: as a schedule, the same happens again."""
        return self.simulation.choices.taken

    async def _calls(self) -> None:
        async with asyncio.TaskGroup() as group:
            for caller in range(2):
                group.create_task(self._caller(random.Random(f"{self.seed}/{caller}")))

    async def _caller(self, draws: random.Random) -> None:
        client = self.simulation.client_process.client
        for _ in range(STEPS):
            await draws.choice(self._actors).step(client, draws)
            await asyncio.sleep(draws.choice((0.0, 0.0, 0.0, 0.0, 0.001, 0.5, 3.0, 20.0)))

    async def _rest(self) -> None:
        for actor in self._actors:
            await actor.rest(self.simulation.client_process.client, self._draws)

    def _miss_a_definition(self) -> None:
        """A deploy without one of the definitions, and then one with all of them again."""
        simulation = self.simulation
        for definitions in (self._definitions[1:], self._definitions):
            simulation.heal()
            simulation.advance("10 seconds")
            while simulation.workers:  # a handler may kill one that shuts down, and another takes its place
                simulation.stop()
            simulation.deploy(*definitions)
            for name in simulation.names[1:]:
                simulation.start(name)
            simulation.wait_until_open()
            simulation.advance("6 minutes")
            simulation.choices.healed = False

    def _outlive_everything(self) -> None:
        """When all retention is over the store is as it was before anybody used it, but for what lives or is paused."""
        store = self.simulation.store
        for _ in range(3):
            finish(store.backend.sweep(self.simulation.clock_ms + FOREVER_MS, 1_000_000))
        for record in store.records():
            works = record.alarm is not None or record.held or record.linger_ms is None
            if not works:
                why = f"it is idle, and kept for ever as {record.status}"
                self._watch.violations.append(Violation("nothing_stays", 0, record.instance, why))

    # What was exercised.

    def _committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        assert self._sometimes is not None
        self._sometimes.happened("verdict", (outcome.verdict,))

    def _ended(self, execution: Execution) -> None:
        assert self._sometimes is not None
        how = "returned" if execution.error is None else type(execution.error).__name__
        self._sometimes.happened("handler", (f"{execution.instance.partition(':')[0]} {execution.role} {how}",))

    def _answered(self, call: CallInFlight) -> None:
        assert self._sometimes is not None
        self._sometimes.happened("call", (f"{call.call.kind} {call.call.operation}",))


__all__ = ["World", "told"]
