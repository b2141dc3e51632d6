"""One simulated process: an application opened on the shared store, which can be lost, held up and started again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from durable_primitives.app import DurablePrimitives, Running
from durable_primitives.client import PrimitivesClient
from durable_primitives.engine.engine import DurablePrimitivesEngine
from durable_primitives.errors import DurablePrimitivesError
from durable_primitives.kernel.ids import instance_id
from durable_primitives.kernel.primitive import Call
from durable_primitives.services.environment import Environment
from durable_primitives.services.ownership import Ownership
from durable_primitives.spi import Backend, Runtime
from durable_primitives.testing.simulation.backend import SimulatedBackend
from durable_primitives.testing.simulation.choices import Deviation
from durable_primitives.testing.simulation.errors import ProcessCrashedError, ProcessKilled, SimulationError
from durable_primitives.testing.simulation.faults import Site
from durable_primitives.testing.simulation.runtime import SimulatedRuntime
from durable_primitives.testing.simulation.tenants import TENANT, Tenant
from durable_primitives.testing.simulation.trace import What

if TYPE_CHECKING:
    from durable_primitives.testing.simulation.world import World

T = TypeVar("T")

MAX_PAUSE_MS = 3_600_000
"""A process that waits to be overtaken goes on after so long."""


class CallInFlight:
    """One call of a client, and what came of it."""

    __slots__ = ("answer", "begun_ms", "call", "error", "instance", "process")

    def __init__(self, process: SimulatedProcess, call: Call) -> None:
        self.process = process
        self.call = call
        self.instance = instance_id(call.kind, call.name, call.id)
        self.begun_ms = process.world.clock_ms
        self.answer: Any = None
        self.error: DurablePrimitivesError | None = None


class ObservedEngine(DurablePrimitivesEngine):
    """The engine, with a note of every call and its answer, and of every defect of its own."""

    process: SimulatedProcess

    async def call(self, call: Call) -> Any:
        process, operation = self.process, call.operation
        flight = CallInFlight(process, call)
        process.note("call", flight.instance, operation)
        for asked in process.world.on_call:
            asked(flight)
        try:
            flight.answer = await super().call(call)
        except DurablePrimitivesError as error:
            flight.error = error
            process.note("answer", flight.instance, f"{operation}: {error.code}")
            raise
        else:
            process.note("answer", flight.instance, operation)
            if operation == "fold":
                process.world.accepted.folded(flight.instance, call.request, flight.answer)
        finally:
            for answered in process.world.on_answer:
                answered(flight)
        return flight.answer

    async def alarm(self, ownership: Ownership) -> None:
        try:
            await super().alarm(ownership)
        except DurablePrimitivesError:
            raise
        except Exception as error:
            # The worker survives it and goes on, and nobody would know.
            self.process.world.store.defects.append(f"{self.process.name}: a run failed: {error!r}")
            raise


class SimulatedApp(DurablePrimitives):
    """The composition root, with that engine."""

    process: SimulatedProcess

    def _engine(self, backend: Backend, runtime: Runtime, environment: Environment) -> DurablePrimitivesEngine:
        engine = ObservedEngine(self._registry, backend, runtime, self._tracker, self._namespace, environment)
        engine.process = self.process
        return engine


class SimulatedProcess(Tenant):
    """One life of one process.  Started again after a crash, it is another object with the same name.

    Attributes:
        name: ``"worker 1"``, ``"client"``.
        alive: False from the crash, or the end of a shutdown, on.
    """

    def __init__(self, world: World, name: str, *, number: int, boot: int, worker: bool) -> None:
        super().__init__()
        self.world = world
        self.loop = world.loop
        self.name = name
        self.number = number
        self.boot = boot
        self.worker = worker
        self.alive = True
        self.context: Context = copy_context()
        self.context.run(TENANT.set, self)
        self.runtime = SimulatedRuntime(
            world.loop, world.start_ms, number, boot, f"{world.seed}/{name}/{boot}", world.skews.get(name, 0)
        )
        self.runtime.rests = self._has_nothing
        self.backend = SimulatedBackend(world.store, self)
        self._opened: Running | None = None
        self._leaving = False
        self._halted_for: tuple[dict[str, int], int] | None = None
        """Its leases when it was paused, and how many commits of their next owner it sleeps through."""
        app = world.make_app(self.runtime)
        app.process = self
        # Entered and left by hand: no frame that a crash abandons may hold the application's shutdown.
        self._application = app.open(self.backend, worker=worker, options=world.options)
        self._work = self.spawn(self._start())
        self.note("start")

    async def _start(self) -> None:
        self._opened = await self._application.__aenter__()

    async def _shut_down(self) -> None:
        await self._application.__aexit__(None, None, None)
        self.alive = False
        self.note("stop")
        self.world.gone(self)

    @classmethod
    def current(cls) -> SimulatedProcess:
        """The process whose code is being executed."""
        tenant = TENANT.get()
        if not isinstance(tenant, cls):
            raise SimulationError("no simulated process runs here", help="ask in a handler")
        return tenant

    def __repr__(self) -> str:
        return f"<{self.name}, life {self.boot}{'' if self.alive else ', over'}>"

    @property
    def is_open(self) -> bool:
        """Whether it has started."""
        return self._opened is not None or self.failure is not None

    @property
    def failure(self) -> BaseException | None:
        """Why it could not start or stop."""
        return self._work.exception() if self._work.done() and not self._work.cancelled() else None

    @property
    def running(self) -> Running:
        """What `open` gave."""
        if self._opened is None or not self.alive:
            raise ProcessCrashedError(self.name)
        return self._opened

    @property
    def client(self) -> PrimitivesClient:
        """Its client, for code that runs in the simulation."""
        return self.running.client

    @property
    def owns(self) -> tuple[str, ...]:
        """The instances that it runs."""
        return tuple(self.running.engine.instances()) if self._opened is not None and self.alive else ()

    def _has_nothing(self) -> bool:
        return self.world.skips_idle and self._opened is not None and not self._opened.engine.owned

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something in this process."""
        return self.loop.create_task(work, context=self.context)

    # Notes and choices.

    def note(self, what: What, subject: str = "", detail: str = "") -> None:
        """Add to the trace."""
        self.world.trace.add(self.loop.now_us, self.name, what, subject, detail)

    def choose(self, site: Site, subject: str = "") -> Deviation | None:
        """What happens at a point of this process."""
        deviation = self.world.choices.at(site, self.name, subject)
        if deviation is not None:
            self.note("fault", subject, str(deviation))
        return deviation

    # What can happen to it.

    def crash(self) -> None:
        """Lose it: nothing of it runs any more, nothing in flight arrives, no lease is given back."""
        if not self.alive:
            return
        self.alive = self.runs = False
        self.note("crash")
        self.world.crashed(self)

    async def die(self) -> None:
        """`crash`, from code of its own that must not go on."""
        self.crash()
        if TENANT.get() is not self:
            raise ProcessKilled
        await self.loop.create_future()

    def pause(self) -> None:
        """Hold it up, as a debugger or a suspended machine would, until `resume`."""
        if self.alive and self.runs:
            self.runs = False
            self.note("pause")

    def resume(self) -> None:
        """Let it go on; its timers that are over fire now."""
        if self.alive and not self.runs:
            self._halted_for = None
            self.note("resume")
            self.loop.unpark(self)

    async def halt(self, deviation: Deviation) -> None:
        """Be held up here and now: for a while (freeze), or until others have taken over (pause)."""
        self.pause()
        limit_ms = MAX_PAUSE_MS
        if deviation.fault.startswith("freeze"):
            limit_ms = deviation.amount
        else:
            tokens = {one.instance: one.token for one in self.running.engine.owned.values()} if self._opened else {}
            self._halted_for = (tokens, deviation.amount)
        self.world.context.run(self.loop.call_later, limit_ms / 1000, self.resume)
        await asyncio.sleep(0)

    def overtaken(self, instance: str, token: int) -> None:
        """Another process has a newer lease on an instance, or has committed under it."""
        if self._halted_for is None:
            return
        tokens, commits = self._halted_for
        # One that owned nothing sleeps until anybody owns anything.
        if tokens and token <= tokens.get(instance, token):
            return
        if commits <= 0:
            self.resume()
        else:
            self._halted_for = (tokens, commits - 1)

    def shift_clock(self, ms: int) -> None:
        """Let its wall clock jump."""
        self.runtime.skew_ms += ms
        self.world.skews[self.name] = self.runtime.skew_ms
        self.note("clock", "", f"{ms:+d} ms")

    def stop(self) -> None:
        """Begin to shut it down in good order."""
        if not self._leaving:
            self._leaving = True
            self._work = self.spawn(self._shut_down())

    def leave(self) -> None:
        """`stop`, and let another one take its place."""
        self.stop()
        self._work.add_done_callback(lambda _: self.world.replace(self), context=self.world.context)
