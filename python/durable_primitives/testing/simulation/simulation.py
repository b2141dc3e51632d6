"""`Simulation`: a world, and how to drive it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

from durable_primitives.client import PrimitivesClient
from durable_primitives.durations import Duration, format_ms, instant_ms, parse_ms, to_datetime
from durable_primitives.errors import DefinitionError
from durable_primitives.events import PrimitiveEvent
from durable_primitives.testing.simulation.errors import ProcessCrashedError, SimulationError
from durable_primitives.testing.simulation.escapes import Escape
from durable_primitives.testing.simulation.portal import SimulationClient
from durable_primitives.testing.simulation.trace import Trace
from durable_primitives.testing.simulation.world import World

T = TypeVar("T")

MAX_WAIT_MS = 30 * 86_400_000
"""Virtual time in which anything that is waited for should have happened."""


class Simulation(World):
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

    trace: Trace

    # Its beginning and end.

    def open(self) -> Simulation:
        """Start all processes."""
        for name in self.names:
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
        if not self.over:
            self.abandon()

    def __enter__(self) -> Simulation:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

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

    # Looking at it.

    @property
    def client(self) -> PrimitivesClient:
        """Reaches every primitive; can be awaited in a test, on any loop, or inside of the simulation."""
        return SimulationClient(self)

    @property
    def now(self) -> datetime:
        """The time."""
        return to_datetime(self.clock_ms)

    @property
    def events(self) -> list[PrimitiveEvent]:
        """Everything that a tracker was told."""
        return self.log.events

    @property
    def escapes(self) -> list[Escape]:
        """Places at which handlers left the simulation."""
        return list(self.watch.found)

    @property
    def is_idle(self) -> bool:
        """Whether no handler runs and nothing is due."""
        workers = self.workers
        if not workers and not self.restarts:
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
        """Let so much time pass, and everything happen that is due meanwhile, in order."""
        self._advance_to(self.loop.now_us + parse_ms(duration, what="duration", allow_zero=True) * 1000)

    def advance_to(self, when: datetime) -> None:
        """`advance` to a moment, which must not be past."""
        ms = instant_ms(when, what="when")
        if ms < self.clock_ms:
            raise DefinitionError(f"it is {self.now}, and time does not go back to {when}")
        self._advance_to(max((ms - self.start_ms) * 1000, self.loop.now_us))

    def _advance_to(self, end_us: int) -> None:
        self.loop.run(None, lambda due: due <= end_us)
        self.loop.skip_to(end_us)

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
        """From now on nothing goes wrong: who is paused goes on, who crashed starts again, what is late comes now."""
        self.choices.healed = True
        self.end_delays()
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
