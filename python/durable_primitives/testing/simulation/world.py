"""The world of a simulation: the store, the clock, the choices, and the processes that come and go in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from durable_primitives.backends.memory import MemoryBackend
from durable_primitives.durations import instant_ms, parse
from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.events import PrimitiveEvent
from durable_primitives.kernel.primitive import Definition, Registry
from durable_primitives.kernel.transition import Claim, Outcome, Transition
from durable_primitives.primitives import BUILTIN
from durable_primitives.spi import Backend
from durable_primitives.testing.simulation.accepted import AcceptedLog
from durable_primitives.testing.simulation.choices import Choices, Deviation, Point, Swarm
from durable_primitives.testing.simulation.errors import InjectedError, SimulationError
from durable_primitives.testing.simulation.escapes import Watch
from durable_primitives.testing.simulation.handlers import Execution, observed
from durable_primitives.testing.simulation.loop import SimulationLoop
from durable_primitives.testing.simulation.process import CallInFlight, SimulatedApp, SimulatedProcess
from durable_primitives.testing.simulation.runtime import SimulatedRuntime
from durable_primitives.testing.simulation.store import SimulatedStore
from durable_primitives.testing.simulation.trace import Trace, describe

START = datetime(2030, 1, 1, tzinfo=UTC)
"""When simulations begin."""

RESTART_MS = 1000
"""How soon a crashed process is replaced."""

NAMESPACE = "default"

_MILLISECOND = timedelta(milliseconds=1)


def _parsed(options: WorkerOptions) -> WorkerOptions:
    """The same options, with durations that need no parsing in each life of each worker."""
    durations = ("lease", "heartbeat", "grace", "longest_wait")
    return structs.replace(options, **{name: parse(getattr(options, name)) for name in durations})


_DEFAULTS = _parsed(WorkerOptions())


class EventLog:
    """A tracker that keeps everything."""

    enabled = True
    dropped = 0

    def __init__(self) -> None:
        self.events: list[PrimitiveEvent] = []

    def track(self, event: PrimitiveEvent) -> None:
        self.events.append(event)

    async def close(self) -> None:
        """The events stay readable."""


class World:
    """What simulated processes live in, and what they tell about themselves."""

    def __init__(
        self,
        *definitions: Definition,
        seed: int = 0,
        schedule: Iterable[Deviation | str] = (),
        swarm: Swarm | None = None,
        workers: int = 1,
        options: WorkerOptions | None = None,
        resources: Callable[[], AbstractAsyncContextManager[Any]] | None = None,
        backend: Backend | None = None,
        start: datetime = START,
        restarts: bool = True,
        clocks: Mapping[str, timedelta] | None = None,
    ) -> None:
        self.seed = seed
        self.options = _DEFAULTS if options is None else options
        self.start_ms = instant_ms(start, what="start")
        self.loop = SimulationLoop()  # type: ignore[abstract]  # what is missing is refused by name
        self.context = copy_context()
        self.trace = Trace()
        self.watch = Watch()
        self.choices = Choices(schedule, swarm)
        if self.choices.reorders:
            self.loop.pick = self._pick
        self.accepted = AcceptedLog(lambda: self.clock_ms)
        self._leases: dict[str, dict[int, int]] = {}  # of each instance, by token: 1 for its first one
        self.skews = {name: round(ahead / _MILLISECOND) for name, ahead in (clocks or {}).items()}
        """By how many milliseconds the clock of a process is ahead."""
        self.errors: dict[Point, BaseException] = {}
        """What a handler that is told to fail raises, where it is not an `InjectedError`."""
        self.on_begin: list[Callable[[Execution], None]] = []
        """Told of every execution of user code, before its first line."""
        self.on_end: list[Callable[[Execution], None]] = []
        """Told when one has returned or raised."""
        self.on_call: list[Callable[[CallInFlight], None]] = []
        """Told of every call of a client, a handler's included."""
        self.on_answer: list[Callable[[CallInFlight], None]] = []
        """Told when one has its answer, or its error."""
        self.on_gone: list[Callable[[SimulatedProcess], None]] = []
        """Told when a process has ended, in whatever way: its memory is lost."""
        self.log = EventLog()
        self._resources = resources
        self.restarts = restarts
        self.deploy(*definitions)
        self.store = SimulatedStore(backend or MemoryBackend(), NAMESPACE)
        self.store.on_commit.append(self._committed)
        self.store.on_claim.append(self._claimed)
        self.processes: dict[str, SimulatedProcess] = {}
        """The latest life of each process, by name."""
        self._lives: list[SimulatedProcess] = []
        self.names = ("client", *(f"worker {number}" for number in range(1, workers + 1)))
        self.over = False
        self.skips_idle = False
        """Workers with nothing to do sleep until something is due: retention and look-outs come later than usual."""
        self._delays: dict[asyncio.Future[None], None] = {}

    @property
    def clock_ms(self) -> int:
        """The time, in milliseconds since the epoch."""
        return self.start_ms + self.loop.now_us // 1000

    def deploy(self, *definitions: Definition) -> None:
        """What processes run that are started from now on."""
        self.definitions = definitions
        self.registry = Registry([observed(definition) for definition in definitions], BUILTIN)

    def make_app(self, runtime: SimulatedRuntime) -> SimulatedApp:
        """The application of one process."""
        return SimulatedApp(self.registry, self.log, NAMESPACE, self._resources, runtime)

    # Processes.

    @property
    def client_process(self) -> SimulatedProcess:
        """The process of `client`, which runs no handler."""
        return self.processes["client"]

    @property
    def workers(self) -> list[SimulatedProcess]:
        """The worker processes that live."""
        return [process for process in self.processes.values() if process.worker and process.alive]

    def start(self, name: str) -> SimulatedProcess:
        """Start a process, or start it again."""
        before = self.processes.get(name)
        if before is not None and before.alive:
            raise SimulationError(f"{name} runs already", help="crash or stop it first")
        number = 0 if name == "client" else int(name.partition(" ")[2])
        boot = 1 if before is None else before.boot + 1
        process = SimulatedProcess(self, name, number=number, boot=boot, worker=number > 0)
        self.processes[name] = process
        self._lives.append(process)
        return process

    def gone(self, process: SimulatedProcess) -> None:
        """Told by a process that has ended, in whatever way."""
        self.store.on_nearer.remove(process.backend.wake)
        for gone in self.on_gone:
            gone(process)

    def crashed(self, process: SimulatedProcess) -> None:
        """Told by a process that has crashed."""
        self.gone(process)
        if self.restarts and process.worker:
            self.context.run(self.loop.call_later, RESTART_MS / 1000, self.replace, process)

    def replace(self, process: SimulatedProcess) -> None:
        """Start another one in the place of one that has ended, unless somebody has."""
        if self.processes[process.name] is process:
            self.start(process.name)

    # What goes wrong.

    async def delay(self, ms: int) -> None:
        """Let something take longer, until nothing goes wrong any more."""
        if self.choices.healed:
            return
        over = self.loop.create_future()
        self._delays[over] = None
        timer = self.loop.call_later(ms / 1000, _finish, over)
        try:
            await over
        finally:
            timer.cancel()
            self._delays.pop(over, None)

    def end_delays(self) -> None:
        """What is late arrives now."""
        for over in list(self._delays):
            self.loop.call_soon(_finish, over)

    def abandon(self) -> None:
        """End all processes, as a power cut would."""
        self.over = True
        for process in self._lives:
            process.runs = process.alive = False
        self.loop.abandon(self._lives)
        self.loop.close()

    # What it is told.

    def error_for(self, deviation: Deviation) -> BaseException:
        """What an injected failure of a handler raises."""
        return self.errors.get(deviation.point) or InjectedError("the handler failed, as it was told")

    def _committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        instance, guard = transition.instance, transition.guard
        token = None if guard is None else guard.token
        lease = None if token is None else self._leases.get(instance, {}).get(token)
        self.trace.add(self.loop.now_us, actor, "commit", instance, describe(transition, outcome, lease))
        if transition.append:
            self.accepted.committed(transition, outcome)
        if token is not None and outcome.verdict == "applied":
            self._overtaken(actor, instance, token)

    def _claimed(self, actor: str, claim: Claim) -> None:
        record = claim.record
        leases = self._leases.setdefault(record.instance, {})
        lease = leases.setdefault(record.token, len(leases) + 1)
        self.trace.add(self.loop.now_us, actor, "claim", record.instance, f"lease {lease}")
        self._overtaken(actor, record.instance, record.token)
        heart = self.processes[actor].runtime.heart
        if heart is not None:
            heart.wake()

    def _overtaken(self, actor: str, instance: str, token: int) -> None:
        for process in self.processes.values():
            if process.name != actor and not process.runs:
                process.overtaken(instance, token)

    def _pick(self, ready: int) -> int:
        deviation = self.choices.at("turn", "loop", options=ready)
        return 0 if deviation is None else min(deviation.amount, ready - 1)


def _finish(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)
