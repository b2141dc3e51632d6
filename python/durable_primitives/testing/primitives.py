"""`create_test_primitives`: an application under test, on a clock that the test owns."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, Literal, Never, TypeVar

from msgspec import Struct

from durable_primitives.client import PrimitivesClient
from durable_primitives.durations import Duration, to_datetime
from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.events import PrimitiveEvent
from durable_primitives.kernel.primitive import Definition
from durable_primitives.services.options import choice, refuse_unknown
from durable_primitives.testing.checking.effects import Effects
from durable_primitives.testing.checking.subject import Invariant, Subject
from durable_primitives.testing.checking.trial import Trial, known_laws
from durable_primitives.testing.expectations import Expectations
from durable_primitives.testing.failing import FailingSite, When, arm
from durable_primitives.testing.simulation import (
    Deviation,
    EscapedSimulationError,
    Simulation,
    SimulationError,
    Trace,
)
from durable_primitives.testing.simulation.errors import ProcessKilled
from durable_primitives.testing.simulation.process import SimulatedProcess
from durable_primitives.testing.simulation.tenants import TENANT
from durable_primitives.testing.simulation.world import START

T = TypeVar("T")

RealWorld = Literal["refuse", "warn", "allow"]

WORKER = "worker 1"


class SimulationWarning(UserWarning):
    """A handler used the real clock or real randomness."""


class PendingAlarm(Struct, frozen=True):
    """A moment at which an instance is due."""

    at: datetime
    instance_id: str
    due: str
    """Which of its due times: ``"run"``, ``"retry"``, ``"flush"``, ``"items"`` …; ``"lease"`` while a worker has it."""


class TestPrimitives(Expectations):
    """An application with one worker and a client, in a world where time stands still until the test moves it.

    Calls of `client` are answered at once, and run no handler.  `advance`, `advance_to`, `run_until_idle` and
    `run_next` do: they run the real worker on virtual time.  A client call that has to wait, such as ``drain()``, lets
    time pass by itself until it has its answer.  Made by `create_test_primitives`.
    """

    __test__ = False  # pytest takes it for tests otherwise

    def __init__(self, simulation: Simulation, real_world: RealWorld, rest: Callable[[], None] | None = None) -> None:
        self._rest = rest or simulation.settle
        self.simulation = simulation
        """All processes, the store and the schedule, for tests that need more than this."""
        self._real_world: RealWorld = real_world
        self._told = 0

    @property
    def client(self) -> PrimitivesClient:
        """The client of a process that runs no handler: it survives `crash`."""
        return self.simulation.client

    @property
    def now(self) -> datetime:
        """What the clock shows (aware, UTC)."""
        return self.simulation.now

    @property
    def events(self) -> list[PrimitiveEvent]:
        """Every tracking event since the beginning, oldest first."""
        return list(self.simulation.events)

    @property
    def trace(self) -> Trace:
        """Every call, commit, claim and handler since the beginning; ``print(t.trace)`` shows it."""
        return self.simulation.trace

    # Letting things happen.

    async def advance(self, duration: Duration) -> None:
        """Let so much time pass, and run everything that is due meanwhile, in order.

        A handler that is not through by then is where it is, and goes on with the next call.

        Raises:
            EscapedSimulationError: A handler blocked the event loop or, with ``real_world="refuse"``, used the real
                clock or real randomness.
        """
        self._check()
        self.simulation.advance(duration)
        self._report()

    async def advance_to(self, when: datetime) -> None:
        """`advance` to a moment, which must not be past."""
        self._check()
        self.simulation.advance_to(when)
        self._report()

    async def run_until_idle(self) -> None:
        """Run until no handler runs and nothing is due.

        Time passes only as far as handlers wait for it: what is due later, a retry for example, is left for `advance`.
        """
        self._check()
        self.simulation.run_until_idle()
        self._report()

    async def run_next(self) -> PendingAlarm | None:
        """Let time pass until the next alarm, and run what is due then.

        Returns:
            That alarm, or None if there is none.
        """
        alarms = self.pending_alarms()
        if not alarms:
            return None
        await self.advance_to(max(alarms[0].at, self.now))
        await self.run_until_idle()
        return alarms[0]

    async def settle(self) -> None:
        """Let nothing go wrong any more, and run what is left to its end: for a day, if need be.

        Of jobs that repeat for ever, a few more runs.
        """
        self._check()
        self._rest()
        self._report()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the test inside of the simulation, where it can wait for handlers, and time passes.

        Example:
            >>> import asyncio
            >>> from durable_primitives import Queue
            >>> begun = asyncio.Event()
            >>> async def deliver(ctx): begun.set()
            >>> hooks = Queue.make("hooks", event_schema=str, execute=deliver)
            >>> async def test():
            ...     async with create_test_primitives(hooks) as t:
            ...         await t.client.queue(hooks).enqueue("push")
            ...         return await t.run(begun.wait())
            >>> asyncio.run(test())
            True
        """
        self._check()
        result = self.simulation.run(work)
        self._report()
        return result

    def pending_alarms(self) -> list[PendingAlarm]:
        """What is due when, earliest first."""
        found: list[PendingAlarm] = []
        for record in self.simulation.store.records():
            if record.alarm is not None:
                names = [name for name, at in sorted(record.dues.items()) if at == record.alarm]
                due = "lease" if record.owner is not None else names[0]
                found.append(PendingAlarm(to_datetime(record.alarm), record.instance, due))
        return sorted(found, key=lambda alarm: (alarm.at, alarm.instance_id))

    # Letting things go wrong.

    def crash(self) -> None:
        """Lose the worker's process, as a power cut would, and keep the store.

        Called by a handler, it does not return.
        """
        process = self._worker
        if not process.alive:
            raise SimulationError("the worker has crashed already", help="t.restart() starts it again")
        process.crash()
        if TENANT.get() is process:
            raise ProcessKilled

    def restart(self, *definitions: Definition) -> None:
        """Start the worker again, after a `crash` or instead of it, with the same definitions or a later deploy's."""
        world = self.simulation
        self._worker.crash()
        if definitions:
            world.deploy(*definitions)
            world.client_process.crash()
            world.start("client")
        world.start(WORKER)
        world.wait_until_open()

    def fail(
        self,
        site: FailingSite,
        *,
        times: int = 1,
        when: When = "before",
        of: Definition | str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Make the next calls fail, by whichever process.

        Args:
            site: ``"commit"``, ``"claim"``, ``"read"`` or ``"renewal"``: what is asked of the store.  ``"handler"``:
                an execution of user code.
            times: How often.
            when: ``"before"``: the store refuses (``outcome="not_applied"``), the handler raises at once.
                ``"during"``: the connection is lost on the way there (``"unknown"``, and not applied).
                ``"after"``: the reply is lost (``"unknown"``, and applied), the handler raises at its end.
            of: Only for this definition, or for this instance (``"queue:mails:0"``).
            error: What the handler raises.

        Raises:
            DefinitionError: There is no such failure.
        """
        arm(self.simulation, site, times=times, when=when, of=of, error=error)

    # Its own affairs.

    @property
    def _worker(self) -> SimulatedProcess:
        return self.simulation.processes[WORKER]

    def _check(self) -> None:
        failure = self._worker.failure
        if failure is not None:
            raise failure

    def _report(self) -> None:
        """Tell of the real world, once per place."""
        found = self.simulation.escapes
        news, self._told = found[self._told :], len(found)
        for escape in news:
            if self._real_world == "allow":
                return
            if escape.blocks or self._real_world == "refuse":
                raise EscapedSimulationError(escape.function, escape.place, escape.why, help=escape.help)
            warnings.warn(SimulationWarning(str(escape)), stacklevel=3)


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
