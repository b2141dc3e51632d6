"""`create_test_primitives`: an application under test, on a clock that the test owns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, Literal, Never

from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.kernel.primitive import Definition
from durable_primitives.services.options import choice, refuse_unknown
from durable_primitives.testing.checking.effects import Effects
from durable_primitives.testing.checking.subject import Invariant, Subject
from durable_primitives.testing.checking.trial import Trial, known_laws
from durable_primitives.testing.driving import RealWorld, TestPrimitives
from durable_primitives.testing.simulation import (
    Deviation,
    Simulation,
)
from durable_primitives.testing.simulation.world import START


def create_test_primitives(
    *definitions: Definition,
    seed: int = 0,
    start: datetime = START,
    schedule: Iterable[Deviation | str] = (),
    resources: Callable[[], AbstractAsyncContextManager[Any]] | None = None,
    options: WorkerOptions | None = None,
    real_world: RealWorld = "warn",
    workers: int = 1,
    laws: Literal["all"] | Iterable[str] = (),
    effects: Effects | None = None,
    invariants: Iterable[Invariant] = (),
    **unknown: Never,
) -> AbstractAsyncContextManager[TestPrimitives]:
    """An application under test: the real engine and worker on the memory backend and a virtual clock.

    It can be used in a test of any asyncio plugin, for it does not run on the test's event loop: each awaited method
    drives a loop of its own to the end of what was asked, and suspends nothing.

    Args:
        definitions: What `Continuous.make`, `Buffer.make` and `Queue.make` returned.
        seed: Of randomness and ids: the same seed, the same `trace`.
        start: What the clock shows in the beginning.
        schedule: What goes wrong and when, for example ``["crash after commit 2 of queue:mails:0 by worker 1"]``.
        resources: As for `create_durable_primitives`.
        options: How the worker behaves.
        real_world: What happens to a handler that uses the real clock or real randomness: its test is warned, once per
            place, or fails (``"refuse"``).  One that blocks the event loop fails with both; ``"allow"`` allows all.
        workers: How many worker processes there are.
        laws: Names of laws that must hold, as `check` holds them, or ``"all"``.  With laws, a worker that crashes is
            replaced after a second and has lost what its code kept in variables, and the end of the block lets
            everything come to its end, as `settle`, and raises a `PropertyViolation` for what did not hold.
        effects: What the handlers record of what they do outside, for laws.
        invariants: Functions of the state of the first definition, for laws.
        unknown: Refused, with the nearest valid name.

    Raises:
        DefinitionError: Two definitions of one kind share a name, or an option is unknown.

    Example:
        >>> import asyncio
        >>> from durable_primitives import Queue
        >>> mails = Queue.make("mails", event_schema=str, execute=lambda ctx: print("to", ctx.event))
        >>> async def test():
        ...     async with create_test_primitives(mails) as t:
        ...         await t.client.queue(mails).enqueue("ada@example.com", delay="1 hour")
        ...         await t.advance("1 hour")
        >>> asyncio.run(test())
        to ada@example.com
    """
    refuse_unknown(unknown, create_test_primitives, "create_test_primitives")
    choice(real_world, ("refuse", "warn", "allow"), "real_world")

    def make(*definitions: Definition) -> Simulation:
        return Simulation(
            *definitions,
            seed=seed,
            start=start,
            schedule=schedule,
            resources=resources,
            options=options,
            workers=workers,
            restarts=bool(laws),
        )

    if not laws:
        return _opened(TestPrimitives(make(*definitions), real_world))
    return _held(Trial(Subject(*definitions, effects=effects, invariants=invariants), make, known_laws(laws)))


@asynccontextmanager
async def _opened(primitives: TestPrimitives) -> AsyncGenerator[TestPrimitives]:
    simulation = primitives.simulation
    with simulation:
        yield primitives
        simulation.stop()


@asynccontextmanager
async def _held(trial: Trial) -> AsyncGenerator[TestPrimitives]:
    with trial.simulation:
        try:
            yield TestPrimitives(trial.simulation, "allow", trial.rest)
        except Exception as error:
            trial.judge(error)  # which comes of the other
            raise
        trial.rest()
        trial.judge()
