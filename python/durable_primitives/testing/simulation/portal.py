"""The client of a simulation: called from a test, its methods run to their end on the simulation's own loop."""

from __future__ import annotations

import functools
import inspect
from asyncio import events
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from durable_primitives.client import PrimitivesClient

if TYPE_CHECKING:
    from durable_primitives.testing.simulation.simulation import Simulation

T = TypeVar("T")


class SimulationClient(PrimitivesClient):
    """A client that can be awaited anywhere: on any event loop, or inside of the simulation.

    Nobody has to be waited for outside: the awaited call drives the simulation until it has its answer, and suspends
    nothing.
    """

    def __init__(self, world: Simulation) -> None:
        self._world = world

    def _client(self, kind: str, name: str) -> Any:
        return _Portal(getattr(self._world.client_process.client, kind)(name), self._run)

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        world = self._world
        if events._get_running_loop() is world.loop:
            return await world.client_process.spawn(work)
        return world.run_call(work)


class _Portal:
    """Stands for an object whose coroutine methods run in the simulation."""

    def __init__(self, target: Any, run: Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]]) -> None:
        self._target = target
        self._run = run

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if inspect.iscoroutinefunction(value):
            run = self._run

            @functools.wraps(value)
            async def call(*args: Any, **options: Any) -> Any:
                return await run(value(*args, **options))

            return call
        if type(value).__module__.startswith("durable_primitives.") and not callable(value):
            return _Portal(value, self._run)
        return value

    def __repr__(self) -> str:
        return repr(self._target)
