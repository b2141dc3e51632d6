"""A deterministic event loop: no selector, no threads, no real time.

Time stands still while anything is ready, and jumps to the next timer when nothing is, so ``asyncio.sleep(3600)`` costs
nothing.  Whatever is ready runs in order of registration, unless `pick` says otherwise.  Real I/O is refused by name.

The loop can be driven from inside another running loop, which knows nothing of it: a call of `run` is one synchronous
step to whoever makes it.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
from asyncio import events, tasks
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVar

from durable_primitives.testing.simulation.errors import ProcessKilled, SimulationError
from durable_primitives.testing.simulation.outside import NothingOutside
from durable_primitives.testing.simulation.tenants import TENANT, Scheduled, SimulationTask, Tenant

T = TypeVar("T")

SPIN_LIMIT = 1_000_000
"""So many callbacks without time passing are an endless loop."""

_MICROSECONDS = 1_000_000
_FOREVER: Callable[[int], bool] = lambda _: True  # noqa: E731


class SimulationLoop(NothingOutside):
    """See the module."""

    def __init__(self) -> None:
        self._now_us = 0
        self._ready: deque[Scheduled] = deque()
        self._timers: list[tuple[int, int, Scheduled]] = []
        self._serial = 0
        self._spins = 0
        self._root = Tenant()
        self._closed = False
        self._exception_handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self.pick: Callable[[int], int] | None = None
        """Which of so many ready callbacks is next; the first one if this is None."""
        self.errors: list[dict[str, Any]] = []
        """What `call_exception_handler` was told."""

    # Time.

    def time(self) -> float:
        return self._now_us / _MICROSECONDS

    @property
    def now_us(self) -> int:
        """Virtual microseconds since the loop was made."""
        return self._now_us

    def skip_to(self, us: int) -> None:
        """Let time pass in which nothing happens."""
        self._now_us = max(self._now_us, us)

    def next_timer(self) -> int | None:
        """When the next timer is due, in microseconds."""
        timers = self._timers
        while timers and timers[0][2].gone:
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is ready."""
        return not self._ready

    # Driving it.

    def run(self, until: Callable[[], bool] | None = None, may_jump: Callable[[int], bool] = _FOREVER) -> bool:
        """Run until `until` says so (True), or until nothing is left to do (False).

        Before time jumps, `may_jump` is asked with the moment it would jump to, and ends the run with False.
        """
        with self._entered():
            while until is None or not until():
                if not self._ready:
                    due = self.next_timer()
                    if due is None or not may_jump(due):
                        return False
                    self._jump(due)
                handle = self._ready.popleft() if self.pick is None else self._picked()
                if handle.gone:
                    continue
                tenant = handle.tenant
                if tenant is not None and not tenant.runs:
                    tenant.parked.append(handle)
                    continue
                self._spins += 1
                if self._spins > SPIN_LIMIT:
                    raise self._spun(handle)
                try:
                    handle.context.run(handle.callback, *handle.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self.call_exception_handler({"message": f"error in {handle!r}", "exception": error})
        return True

    def _picked(self) -> Scheduled:
        ready = self._ready
        index = self.pick(len(ready)) if self.pick is not None and len(ready) > 1 else 0
        handle = ready[index]
        del ready[index]
        return handle

    def _spun(self, handle: Scheduled) -> SimulationError:
        self._spins = 0
        return SimulationError(
            f"{SPIN_LIMIT} callbacks have run and time has not moved; the last one is {handle!r}",
            help="look for a loop that never waits, for example `while True: await asyncio.sleep(0)`",
        )

    def _jump(self, due: int) -> None:
        timers, now = self._timers, max(due, self._now_us)
        if now > self._now_us:
            self._now_us, self._spins = now, 0
        while timers and timers[0][0] <= now:
            self._ready.append(heapq.heappop(timers)[2])

    def unpark(self, tenant: Tenant) -> None:
        """Let a tenant go on where it stood."""
        tenant.runs = True
        self._ready.extend(tenant.parked)
        tenant.parked = []

    @contextmanager
    def _entered(self) -> Generator[None]:
        """Be the running loop of this thread, in place of the one that runs now."""
        outer = events._get_running_loop()
        if outer is self:
            raise SimulationError(
                "the simulation was driven from inside itself",
                help="drive it from the test; code inside it awaits what it needs",
            )
        if self._closed:
            raise SimulationError("the simulation is over")
        task = None if outer is None else asyncio.current_task(outer)
        hooks = sys.get_asyncgen_hooks()
        if outer is not None and task is not None:
            tasks._leave_task(outer, task)
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(firstiter=None, finalizer=self._finalize)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(outer)
            if outer is not None and task is not None:
                tasks._enter_task(outer, task)

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Close a generator that nobody iterates over any more; those of a tenant that is gone end without a word."""
        if not self._closed:
            self.call_soon(lambda: self.create_task(_aclose(generator)))

    # What asyncio asks of a loop.

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Scheduled:
        handle = Scheduled(0.0, callback, args, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Scheduled:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Scheduled:
        handle = Scheduled(when, callback, args, context)
        due = round(when * _MICROSECONDS)
        if due <= self._now_us:
            # Whoever waits, if only for the error of a float, sees time move; otherwise they would wait again for ever.
            due = self._now_us + (when > self.time())
        self._serial += 1
        heapq.heappush(self._timers, (due, self._serial, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # the type of `name` differs between releases of Python
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Context | None = None, **options: Any
    ) -> SimulationTask[T]:
        named = None if name is None else str(name)
        self._serial += 1
        task = SimulationTask(coro, self, named, context, self._serial)
        tenant = TENANT.get() if context is None else context.get(TENANT)
        (tenant or self._root).adopt(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run it here and now; whoever waits for it hears of it in a later turn, as of a thread."""
        future: asyncio.Future[T] = self.create_future()
        try:
            result = func(*args)
        except (SystemExit, KeyboardInterrupt, ProcessKilled):
            raise
        except BaseException as error:
            self.call_soon(_fail, future, error)
        else:
            self.call_soon(_succeed, future, result)
        return future

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """There is no debug mode."""

    def is_running(self) -> bool:
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        return self._closed

    def set_exception_handler(
        self, handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None
    ) -> None:
        self._exception_handler = handler

    def get_exception_handler(self) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None:
        return self._exception_handler

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), ProcessKilled):
            return
        self.errors.append(context)
        if self._exception_handler is not None:
            self._exception_handler(self, context)

    async def shutdown_asyncgens(self) -> None:
        """Generators end with those who iterate over them."""

    def close(self) -> None:
        """Nothing runs any more."""
        self.abandon([self._root])
        self._ready.clear()
        self._timers.clear()
        self._closed = True

    def abandon(self, tenants: Iterable[Tenant]) -> None:
        """End the coroutines of some tenants here and now.

        Their ``finally`` blocks run in order of creation and reach nobody; left to the garbage collector, they would
        run at a time of its own choosing.
        """
        hook, sys.unraisablehook = sys.unraisablehook, _ignore
        try:
            with self._entered():
                for tenant in tenants:
                    for task in tenant.pending():
                        _close(task)
                    tenant.tasks = []
                    tenant.parked = []
        finally:
            sys.unraisablehook = hook


def _close(task: asyncio.Task[Any]) -> None:
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine: Any = task.get_coro()
    for _ in range(100):  # one that awaits in a `finally` needs several
        try:
            coroutine.close()
        except BaseException:
            continue
        break


def _ignore(_: object) -> None:
    """It is over, whatever it says."""


async def _aclose(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
