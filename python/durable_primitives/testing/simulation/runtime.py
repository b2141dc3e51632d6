"""The `Runtime` of one simulated process: virtual time with a clock of its own, and chance from a seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

from durable_primitives.testing.simulation.errors import ProcessKilled
from durable_primitives.testing.simulation.loop import SimulationLoop
from durable_primitives.testing.simulation.tenants import Scheduled


class SimulatedRuntime:
    """Time, randomness, ids and background work of one process.

    Its wall clock is that of the simulation plus a skew, which may jump; its monotonic clock never does.
    """

    def __init__(self, loop: SimulationLoop, start_ms: int, process: int, boot: int, seed: str, skew_ms: int) -> None:
        self._loop = loop
        self._start_us = start_ms * 1000
        self._random = random.Random(seed)
        self._prefix = f"{process:02d}{boot:02d}"
        self._serial = 0
        self.skew_ms = skew_ms
        """How far the wall clock of this process is ahead of the others'."""
        self.rests: Callable[[], bool] = lambda: False
        """Whether a beat of its heart could do nothing."""
        self.heart: SimulatedHeartbeat | None = None

    def now(self) -> int:
        return (self._start_us + self._loop.now_us) // 1000 + self.skew_ms

    def until(self, due: int) -> float:
        return ((due - self.skew_ms) * 1000 - self._start_us - self._loop.now_us) / 1_000_000

    def monotonic(self) -> float:
        return self._loop.time()

    def random(self) -> float:
        return self._random.random()

    def new_id(self) -> str:
        """Sorts by time; unique among all processes of the simulation."""
        self._serial += 1
        return f"{self.now():012x}{self._prefix}{self._serial:06d}"

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self._loop.create_task(work, name=name)

    def heartbeat(self, seconds: float, beat: Callable[[], None]) -> SimulatedHeartbeat:
        self.heart = SimulatedHeartbeat(self._loop, seconds, beat, self)
        return self.heart


class SimulatedHeartbeat:
    """A repeated call.  It stands still while its process is paused, as a thread would."""

    def __init__(
        self, loop: SimulationLoop, seconds: float, beat: Callable[[], None], runtime: SimulatedRuntime
    ) -> None:
        self._loop, self._seconds, self._beat, self._runtime = loop, seconds, beat, runtime
        self._context = copy_context()
        self._stopped = False
        self._timer: Scheduled | None = loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._runtime.rests():
            return
        self.wake()
        try:
            self._beat()
        except ProcessKilled:
            return

    def wake(self) -> None:
        """Beat again, if it has rested."""
        if self._timer is None and not self._stopped:
            self._timer = self._context.run(self._loop.call_later, self._seconds, self._tick)

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
