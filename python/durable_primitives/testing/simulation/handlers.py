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
from durable_primitives.testing.simulation.process import SimulatedProcess
from durable_primitives.testing.simulation.tenants import TENANT

D = TypeVar("D", bound=Definition)

_HANDLERS = ("execute", "on_dead_letter", "on_error")
"""Attributes of definitions that hold user code which runs in a worker."""

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
        injected: It raised because a fault said so.
    """

    def __init__(self, process: SimulatedProcess, arguments: tuple[Any, ...], role: str) -> None:
        self.process = process
        self.role = role
        self.context = arguments[-1]
        self.instance: str = self.context.instance_id
        self.begun_ms = process.world.clock_ms
        self.ended: Literal["", "returned", "raised"] = ""
        self.error: BaseException | None = None
        self.injected = False
        self._arguments = arguments
        self._what = role if role != "execute" else _unit(self.context)

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
            self.ended = "returned"
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
        try:
            answer = await _Watched(call(*self._arguments), self, in_thread)
        except ProcessKilled:
            raise
        except BaseException as error:
            process.note("raised", instance, f"{what}: {type(error).__name__}")
            raise
        if deviation is not None:
            await self._after(deviation)
        process.note("returned", instance, what)
        return answer

    async def _before(self, deviation: Deviation) -> None:
        match deviation.fault:
            case "fail":
                raise self._injected(deviation)
            case "delay":
                await asyncio.sleep(deviation.amount / 1000)
            case "crash before":
                await self.process.die()
            case "pause before":
                await self.process.halt(deviation)
            case _:
                pass

    async def _after(self, deviation: Deviation) -> None:
        match deviation.fault:
            case "fail the end of":
                raise self._injected(deviation)
            case "crash after":
                await self.process.die()
            case "pause after":
                await self.process.halt(deviation)
            case _:
                pass

    def _injected(self, deviation: Deviation) -> BaseException:
        self.injected = True
        self.process.note("raised", self.instance, f"{self._what}: as it was told")
        return self.process.world.error_for(deviation)


def _unit(context: Any) -> str:
    """Which piece of work, and which try."""
    for name in ("event_id", "flush_id", "run_count"):
        value = getattr(context, name, None)
        if value is not None:
            return f"{name.partition('_')[0]} {value} attempt {context.attempt}"
    return ""


class _Watched:
    """Awaits user code, with an eye on each of its steps."""

    def __init__(self, work: Awaitable[Any], execution: Execution, in_thread: bool) -> None:
        self._work = work
        self._watch = execution.process.world.watch
        self._what = f"the handler of {execution.instance}"
        self._in_thread = in_thread

    def __await__(self) -> Generator[Any, Any, Any]:
        work = self._work if inspect.iscoroutine(self._work) else _await(self._work)
        resume: Callable[[Any], Any] = work.send
        value: Any = None
        while True:
            try:
                yielded = self._watch.step(self._what, resume, value, in_thread=self._in_thread)
            except StopIteration as stop:
                return stop.value
            try:
                value = yield yielded
                resume = work.send
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                value, resume = error, work.throw


async def _await(work: Awaitable[Any]) -> Any:
    return await work
