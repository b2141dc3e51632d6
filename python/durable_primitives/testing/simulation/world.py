"""A simulation: several processes over one store, under one clock, in an order and with the faults of a schedule."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from msgspec import Struct, structs

from durable_primitives.backends.memory import MemoryBackend
from durable_primitives.durations import Duration, format_ms, instant_ms, parse, parse_ms, to_datetime
from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.events import PrimitiveEvent
from durable_primitives.kernel.primitive import Definition, Registry
from durable_primitives.kernel.transition import Claim, NewItem, Outcome, Transition
from durable_primitives.primitives import BUILTIN
from durable_primitives.spi import Backend
from durable_primitives.testing.simulation.choices import Choices, Deviation, Point, Swarm
from durable_primitives.testing.simulation.errors import ProcessCrashedError, SimulationError
from durable_primitives.testing.simulation.escapes import Escape, Watch
from durable_primitives.testing.simulation.handlers import injected_error, observed
from durable_primitives.testing.simulation.loop import SimulationLoop
from durable_primitives.testing.simulation.portal import SimulationClient
from durable_primitives.testing.simulation.process import SimulatedApp, SimulatedProcess
from durable_primitives.testing.simulation.runtime import SimulatedRuntime
from durable_primitives.testing.simulation.store import SimulatedStore
from durable_primitives.testing.simulation.trace import Trace

T = TypeVar("T")

START = datetime(2030, 1, 1, tzinfo=UTC)
"""When simulations begin."""

RESTART_MS = 1000
"""How soon a crashed process is replaced."""

NAMESPACE = "default"

MAX_WAIT_MS = 30 * 86_400_000
"""Virtual time in which anything that is waited for should have happened."""


_MILLISECOND = timedelta(milliseconds=1)


def _parsed(options: WorkerOptions) -> WorkerOptions:
    """The same options, with durations that need no parsing in each life of each worker."""
    durations = ("lease", "heartbeat", "grace", "longest_wait")
    return structs.replace(options, **{name: parse(getattr(options, name)) for name in durations})


_DEFAULTS = _parsed(WorkerOptions())


class Accepted(Struct, frozen=True):
    """One event that a queue or a buffer accepted."""

    instance: str
    at_ms: int
    item: NewItem


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


class Simulation:
    """The real engine and worker in a world where nothing is left to chance.

    One client and any number of workers share a store.  Time is virtual, chance comes from a seed, and a schedule says
    what goes wrong.  The same arguments and the same calls give the same `trace`, byte for byte.

    Args:
        definitions: What the processes run.
        seed: Of randomness and ids.
        schedule: What goes wrong and when: `Deviation` objects or their text.  Nothing by default.
        swarm: Draws further deviations from a seed of its own.
        workers: How many worker processes there are.
        options: How they behave.
        resources: As for `create_durable_primitives`; entered once per life of a worker.
        backend: A store to go on with; an empty one by default.  It must be `immediate`.
        start: What the clock shows in the beginning.
        restarts: Whether a crashed worker is replaced after a second.
        clocks: How far the wall clocks of processes are ahead, by name.

    Example:
        >>> from durable_primitives import Queue
        >>> mails = Queue.make("mails", event_schema=str, execute=lambda ctx: print("to", ctx.event))
        >>> with Simulation(mails, schedule=["crash after handler 1 of queue:mails:0 by worker 1"]) as simulation:
        ...     _ = simulation.run(simulation.client.queue(mails).enqueue("ada"))
        ...     simulation.settle()
        to ada
        to ada
        >>> simulation.clock_ms - simulation.start_ms
        30000
    """

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
        self.accepted: list[Accepted] = []
        self.skews = {name: round(ahead / _MILLISECOND) for name, ahead in (clocks or {}).items()}
        """By how many milliseconds the clock of a process is ahead."""
        self.errors: dict[Point, BaseException] = {}
        """What a handler that is told to fail raises, where it is not an `InjectedError`."""
        self._log = EventLog()
        self._resources = resources
        self._restarts = restarts
        self.deploy(*definitions)
        self.store = SimulatedStore(backend or MemoryBackend(), NAMESPACE)
        self.store.on_commit.append(self._committed)
        self.store.on_claim.append(self._claimed)
        self.processes: dict[str, SimulatedProcess] = {}
        """The latest life of each process, by name."""
        self._lives: list[SimulatedProcess] = []
        self.client = SimulationClient(self)
        """Reaches every primitive; can be awaited in a test, or in the simulation."""
        self._names = [f"worker {number}" for number in range(1, workers + 1)]
        self.over = False

    # Its beginning and end.

    def open(self) -> Simulation:
        """Start all processes."""
        for name in ("client", *self._names):
            self.start(name)
        self.wait_until_open()
        return self

    def wait_until_open(self) -> None:
        """Run until the processes that were started are there; raises what one of them could not start for."""
        self.run_until(lambda: all(process.is_open for process in self.processes.values()), what="a process")
        for process in self.processes.values():
            if process.failure is not None:
                raise process.failure

    def close(self) -> None:
        """Abandon everything, as a power cut would."""
        if self.over:
            return
        self.over = True
        for process in self._lives:
            process.runs = process.alive = False
        self.loop.abandon(self._lives)
        self.loop.close()

    def __enter__(self) -> Simulation:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def deploy(self, *definitions: Definition) -> None:
        """What processes run that are started from now on."""
        self.definitions = definitions
        self.registry = Registry([observed(definition) for definition in definitions], BUILTIN)

    def make_app(self, runtime: SimulatedRuntime) -> SimulatedApp:
        """The application of one process."""
        return SimulatedApp(self.registry, self._log, NAMESPACE, self._resources, runtime)

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

    def crashed(self, process: SimulatedProcess) -> None:
        """Told by a process that is gone."""
        self.store.on_nearer.remove(process.backend.wake)
        if self._restarts and process.worker:
            self.context.run(self.loop.call_later, RESTART_MS / 1000, self._replace, process)

    def _replace(self, process: SimulatedProcess) -> None:
        if self.processes[process.name] is process:
            self.start(process.name)

    def stop(self) -> None:
        """Shut the workers down in good order."""
        for process in self.workers:
            process.resume()
            process.stop()
        stopping = self.workers
        self.run_until(lambda: not any(process.alive and not process.failure for process in stopping), what="shutdown")
        for process in stopping:
            if process.failure is not None:
                raise process.failure

    # What it is told.

    def folded(self, instance: str, items: Sequence[NewItem], receipts: Sequence[Any]) -> None:
        """A buffer answered for events that it folds into its state: the store does not see them one by one."""
        known = {one.item.id for one in self.accepted if one.instance == instance}
        for item, receipt in zip(items, receipts, strict=False):
            # A duplicate that nobody knows: the reply to its first call was lost.
            if not receipt.duplicate or item.id not in known:
                self.accepted.append(Accepted(instance, self.clock_ms, item))

    def error_for(self, deviation: Deviation) -> BaseException:
        """What an injected failure of a handler raises."""
        return self.errors.get(deviation.point) or injected_error()

    def _committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        self.trace.add(self.loop.now_us, actor, "commit", transition.instance, describe(transition, outcome))
        is_seal = transition.batching is None and transition.instance.startswith("buffer:")
        if transition.append and not is_seal:
            for item, one in zip(transition.append, outcome.accepted, strict=False):
                if not one.duplicate:
                    self.accepted.append(Accepted(transition.instance, self.clock_ms, item))
        guard = transition.guard
        if guard is not None and guard.token is not None and outcome.verdict == "applied":
            self._overtaken(actor, transition.instance, guard.token)

    def _claimed(self, actor: str, claim: Claim) -> None:
        record = claim.record
        self.trace.add(self.loop.now_us, actor, "claim", record.instance, f"token {record.token}")
        self._overtaken(actor, record.instance, record.token)

    def _overtaken(self, actor: str, instance: str, token: int) -> None:
        for process in self.processes.values():
            if process.name != actor and not process.runs:
                process.overtaken(instance, token)

    def _pick(self, ready: int) -> int:
        deviation = self.choices.at("turn", "loop", options=ready)
        return 0 if deviation is None else min(deviation.amount, ready - 1)

    # Looking at it.

    @property
    def clock_ms(self) -> int:
        """The time, in milliseconds since the epoch."""
        return self.start_ms + self.loop.now_us // 1000

    @property
    def now(self) -> datetime:
        """The time."""
        return to_datetime(self.clock_ms)

    @property
    def events(self) -> list[PrimitiveEvent]:
        """Everything that a tracker was told."""
        return self._log.events

    @property
    def escapes(self) -> list[Escape]:
        """Places at which handlers left the simulation."""
        return list(self.watch.found)

    @property
    def is_idle(self) -> bool:
        """Whether no handler runs and nothing is due."""
        workers = self.workers
        if not workers and not self._restarts:
            return True
        due = self.store.next_due
        return (due is None or due > self.clock_ms) and not any(process.owns for process in workers)

    # Driving it.

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the client's process to its end, with everything else that happens meanwhile.

        Raises:
            ProcessCrashedError: The client's process crashed.
            SimulationError: It waits for something that never happens.
        """
        process = self.client_process
        task = process.spawn(work)
        self.run_until(lambda: task.done() or not process.alive, what=getattr(work, "__qualname__", "the coroutine"))
        if not task.done():
            raise ProcessCrashedError(process.name)
        return task.result()

    def run_until(self, done: Callable[[], bool], *, what: str = "it") -> None:
        """Run until `done` says so; it is asked between any two callbacks.

        Raises:
            SimulationError: It does not, in thirty days of virtual time.
        """
        limit = self.loop.now_us + MAX_WAIT_MS * 1000
        if not self.loop.run(done, lambda due: due <= limit) and not done():
            raise SimulationError(
                f"{what} waits for something that has not happened in {format_ms(MAX_WAIT_MS)}",
                help="what it waits for must come from inside the simulation",
            )

    def run_call(self, work: Coroutine[Any, Any, T]) -> T:
        """Like `run`, but workers do nothing meanwhile, unless `work` has to wait for time to pass."""
        held = [process for process in self.workers if process.runs]
        for process in held:
            process.runs = False
        task = self.client_process.spawn(work)
        try:
            self.loop.run(task.done, lambda _: False)
        finally:
            for process in held:
                if process.alive:
                    self.loop.unpark(process)
        return task.result() if task.done() else self.run(_result(task))

    def advance(self, duration: Duration) -> None:
        """Let time pass, and everything happen that is due meanwhile, in order."""
        self.advance_to_us(self.loop.now_us + parse_ms(duration, what="duration", allow_zero=True) * 1000)

    def advance_to_us(self, end: int) -> None:
        """Let time pass until a moment on the loop's clock."""
        self.loop.run(None, lambda due: due <= end)
        self.loop.skip_to(end)

    def run_until_idle(self) -> None:
        """Run until no handler runs and nothing is due.  Time passes only if a handler waits for it."""
        limit = self.loop.now_us + MAX_WAIT_MS * 1000
        self.loop.run(None, lambda due: not self.is_idle and due <= limit)
        if not self.is_idle:
            raise SimulationError(
                f"something still runs or is due after {format_ms(MAX_WAIT_MS)}: {', '.join(self._busy())}",
                help="a handler waits for what nobody does",
            )

    def _busy(self) -> list[str]:
        owned = [instance for process in self.workers for instance in process.owns]
        return owned or [record.instance for record in self.store.records() if record.alarm is not None]

    def heal(self) -> None:
        """From now on nothing goes wrong: whoever is paused goes on, and whoever crashed is started again."""
        self.choices.healed = True
        for name, process in self.processes.items():
            process.resume()
            if not process.alive:
                self.start(name)

    def settle(self, limit: Duration = "1 day") -> None:
        """`heal`, and run until nothing is scheduled any more, or until `limit` has passed."""
        self.heal()
        end = self.loop.now_us + parse_ms(limit, what="limit") * 1000
        self.loop.run(None, lambda due: self.store.next_due is not None and due <= end)


async def _result(task: Any) -> Any:
    return await task


def describe(transition: Transition, outcome: Outcome) -> str:
    """What a transition did, in a few words."""
    parts: list[str] = [outcome.verdict]
    for name in ("remove", "reschedule", "bury", "append", "cancel", "redrive", "discard", "remember"):
        count = len(getattr(transition, name))
        if count:
            parts.append(f"{name} {count}")
    if transition.put is not None:
        parts.append(f"put {transition.put.status}")
    if transition.erase:
        parts.append("erase")
    if outcome.items:
        parts.append(f"take {len(outcome.items)}")
    if outcome.released:
        parts.append("release")
    if transition.guard is not None and transition.guard.token is not None:
        parts.append(f"token {transition.guard.token}")
    return ", ".join(parts)
