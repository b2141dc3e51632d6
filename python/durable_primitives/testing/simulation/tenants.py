"""Whose a callback is: what is ready, and every task, belongs to a simulated process or to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from durable_primitives.testing.simulation.loop import SimulationLoop

T = TypeVar("T")


class Tenant:
    """Those callbacks and tasks that live and die together: a simulated process, seen from the loop.

    A tenant that does not run loses nothing: what becomes ready meanwhile is parked.
    """

    def __init__(self) -> None:
        self.runs = True
        self.parked: list[Scheduled] = []
        self.tasks: list[SimulationTask[Any]] = []
        """Every task that may not be done.  Held on to, because a task that is collected runs its ``finally``."""
        self._prune_at = 64

    def adopt(self, task: SimulationTask[Any]) -> None:
        self.tasks.append(task)
        if len(self.tasks) > self._prune_at:
            self.tasks = self.pending()
            self._prune_at = max(2 * len(self.tasks), 64)

    def pending(self) -> list[SimulationTask[Any]]:
        """Tasks that have not ended, oldest first."""
        return [task for task in self.tasks if not task.done()]


TENANT: ContextVar[Tenant | None] = ContextVar("durable_primitives_tenant", default=None)
"""Whose code runs."""

EXECUTION: ContextVar[object] = ContextVar("durable_primitives_execution", default=None)
"""Which execution of a handler runs, if one does (`Execution`)."""


class Scheduled:
    """A callback that is ready, or will be: what asyncio needs of a handle, and whose it is."""

    __slots__ = ("_when", "args", "callback", "context", "gone", "tenant")

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> None:
        if context is None:
            context = copy_context()
        self._when = when
        self.callback = callback
        self.args = args
        self.context = context
        self.tenant = context.get(TENANT)
        self.gone = False

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self._when

    def get_context(self) -> Context:
        return self.context

    def __repr__(self) -> str:
        return f"<{self.callback!r}>"


class SimulationTask(asyncio.Task[T]):
    """A task whose hash is a serial number: the order of a set of tasks is the same in every process."""

    def __init__(
        self,
        coro: Coroutine[Any, Any, T],
        loop: SimulationLoop,
        name: str | None,
        context: Context | None,
        serial: int,
    ) -> None:
        self.serial = serial
        self.execution: object = EXECUTION.get() if context is None else context.get(EXECUTION)
        """In which execution of a handler it was started."""
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.serial
