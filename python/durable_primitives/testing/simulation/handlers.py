"""User code under simulation: watched, traced, and failing when it is told to."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Awaitable, Callable, Generator
from dataclasses import is_dataclass
from typing import Any, Literal, TypeVar
from weakref import WeakKeyDictionary

from msgspec import structs

from durable_primitives.kernel.primitive import Definition
from durable_primitives.primitives.continuous.invoking import Handler
from durable_primitives.services.invocation import is_async
from durable_primitives.testing.simulation.choices import Deviation
from durable_primitives.testing.simulation.errors import ProcessKilled
from durable_primitives.testing.simulation.escapes import is_user_code
from durable_primitives.testing.simulation.process import SimulatedProcess
from durable_primitives.testing.simulation.tenants import EXECUTION, TENANT, SimulationTask

D = TypeVar("D", bound=Definition)

_HANDLERS = ("execute", "on_dead_letter", "on_error")
"""Attributes of definitions that hold user code which runs in a worker."""

CLEANUP_US = 10_000_000
"""How long a handler that was cancelled may take to come to its end."""

_observed: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def observed(definition: D) -> D:
    """The definition with its handlers wrapped.  They find the simulation that they run in by themselves."""
    twin: D | None = _observed.get(definition)
    if twin is None:
        twin = copy.copy(definition)
        for name in _HANDLERS:
            handler = getattr(definition, name, None)
            if handler is not None:
                # A frozen dataclass refuses its own `setattr`.
                (object.__setattr__ if is_dataclass(twin) else setattr)(twin, name, _wrapped(handler, name))
        _observed[definition] = twin
    return twin


def _wrapped(handler: Any, role: str) -> Any:
    if isinstance(handler, Handler):
        return structs.replace(handler, call=_observe(handler.call, role, in_thread=handler.in_thread))
    plain = getattr(handler, "__wrapped__", None)
    return _observe(handler, role, in_thread=plain is not None and not is_async(plain))


def _observe(call: Callable[..., Awaitable[Any]], role: str, *, in_thread: bool) -> Callable[..., Awaitable[Any]]:
    async def execution(*arguments: Any) -> Any:
        process = TENANT.get()
        if not isinstance(process, SimulatedProcess):
            return await call(*arguments)
        return await Execution(process, arguments, role).run(call, in_thread)

    return execution


class Execution:
    """One call of one handler.

    Attributes:
        process: Where it runs.
        instance: Whose work it is.
        role: ``"execute"``, ``"on_dead_letter"`` or ``"on_error"``.
        context: What the handler gets as its last argument.
        begun_ms: When it began, by the clock of the simulation.
        ended: How it ended, ``"returned"`` or ``"raised"``; empty as long as it runs, and for good if its process died.
        error: What it raised.
        ran: Its own code has begun: no fault came before.
        answer: What it returned.
        ignores_cancellation: It was cancelled, and went on.
        left_tasks: It returned while a task that it had started was still running.
    """

    def __init__(self, process: SimulatedProcess, arguments: tuple[Any, ...], role: str) -> None:
        self.process = process
        self.role = role
        self.context = arguments[-1]
        self.instance: str = self.context.instance_id
        self.begun_ms = process.world.clock_ms
        self.ended: Literal["", "returned", "raised"] = ""
        self.error: BaseException | None = None
        self._injection: BaseException | None = None
        self.ran = False
        self.answer: Any = None
        self.ignores_cancellation = False
        self.left_tasks = False
        self._arguments = arguments
        self._what = role if role != "execute" else _unit(self.context)

    @property
    def injected(self) -> bool:
        """Whether it raised what a fault made it raise."""
        return self.error is not None and self.error is self._injection

    @property
    def attempt(self) -> int:
        """1 for the first execution of a piece of work."""
        attempt: int = getattr(self.context, "attempt", 1)
        return attempt

    async def run(self, call: Callable[..., Awaitable[Any]], in_thread: bool) -> Any:
        world = self.process.world
        for begun in world.on_begin:
            begun(self)
        try:
            answer = await self._run(call, in_thread)
        except ProcessKilled:
            return await self.process.die()
        except BaseException as error:
            self.ended, self.error = "raised", error
            raise
        else:
            self.ended, self.answer = "returned", answer
        finally:
            if self.ended and not world.over:
                for ended in world.on_end:
                    ended(self)
        return answer

    async def _run(self, call: Callable[..., Awaitable[Any]], in_thread: bool) -> Any:
        process, instance, what = self.process, self.instance, self._what
        deviation = process.choose("handler", instance)
        if deviation is not None:
            await self._before(deviation)
        process.note("handler", instance, what)
        self.ran = True
        try:
            answer = await _Watched(call(*self._arguments), self, in_thread, deviation)
        except ProcessKilled:
            raise
        except BaseException as error:
            process.note("raised", instance, f"{what}: {type(error).__name__}")
            raise
        self.left_tasks = any(task.execution is self and _is_users(task) for task in process.pending())
        if deviation is not None:
            await self._after(deviation)
        process.note("returned", instance, what)
        return answer

    async def _before(self, deviation: Deviation) -> None:
        match deviation.fault:
            case "fail":
                raise self.injected_error(deviation)
            case "delay":
                await self.process.world.delay(deviation.amount)
            case "crash before":
                await self.process.die()
            case "shut down at":
                self.process.leave()
            case "pause before":
                await self.process.halt(deviation)
            case _:
                pass

    async def _after(self, deviation: Deviation) -> None:
        match deviation.fault:
            case "fail the end of":
                raise self.injected_error(deviation)
            case "crash after":
                await self.process.die()
            case "pause after":
                await self.process.halt(deviation)
            case _:
                pass

    def injected_error(self, deviation: Deviation) -> BaseException:
        """What a fault makes it raise."""
        self.process.note("raised", self.instance, f"{self._what}: as it was told")
        self._injection = self.process.world.error_for(deviation)
        return self._injection


def _is_users(task: SimulationTask[Any]) -> bool:
    """Whether it runs user code; what a call of a client starts is the library's."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is None or is_user_code(code.co_filename)


def _unit(context: Any) -> str:
    """Which piece of work, and which try."""
    for name in ("event_id", "flush_id", "run_count"):
        value = getattr(context, name, None)
        if value is not None:
            return f"{name.partition('_')[0]} {value} attempt {context.attempt}"
    return ""


class _Watched:
    """Awaits user code, with an eye on each of its steps."""

    def __init__(
        self, work: Awaitable[Any], execution: Execution, in_thread: bool, deviation: Deviation | None
    ) -> None:
        self._fails = deviation if deviation is not None and deviation.fault == "fail during" else None
        self._work = work
        self._execution = execution
        self._watch = execution.process.world.watch
        self._what = f"the handler of {execution.instance}"
        self._in_thread = in_thread
        self._cancelled_us: int | None = None

    def __await__(self) -> Generator[Any, Any, Any]:
        work = self._work if inspect.iscoroutine(self._work) else _await(self._work)
        resume: Callable[[Any], Any] = work.send
        value: Any = None
        while True:
            running = EXECUTION.set(self._execution)
            try:
                yielded = self._watch.step(self._what, resume, value, in_thread=self._in_thread)
            except StopIteration as stop:
                self._look(at_end=True)
                return stop.value
            finally:
                EXECUTION.reset(running)
            self._look(at_end=False)
            try:
                value = yield yielded
                resume = work.send
                if self._fails is not None:
                    # What it waits for fails, and may have happened all the same.
                    value, resume = self._execution.injected_error(self._fails), work.throw
                    self._fails = None
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and self._cancelled_us is None:
                    self._cancelled_us = self._execution.process.loop.now_us
                value, resume = error, work.throw

    def _look(self, *, at_end: bool) -> None:
        """Whether a cancellation from outside, not one of the handler's own, was swallowed."""
        if self._cancelled_us is None:
            return
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            self._cancelled_us = None
        elif at_end or self._execution.process.loop.now_us - self._cancelled_us > CLEANUP_US:
            self._execution.ignores_cancellation = True


async def _await(work: Awaitable[Any]) -> Any:
    return await work
