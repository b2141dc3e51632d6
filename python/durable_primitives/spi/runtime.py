"""The only door through which time, randomness, ids and background work enter (law 11)."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

HAS_THREADS = sys.platform != "emscripten"
"""False in Pyodide, where everything happens on one event loop."""


class Heartbeat(Protocol):
    """A repeated call that was started by `Runtime.heartbeat`."""

    def stop(self) -> None:
        """No further call begins after this returns."""


class Runtime(Protocol):
    """Everything about a process that is not deterministic."""

    def now(self) -> int:
        """Wall clock, milliseconds since the epoch, UTC.  Due times are compared with this and nothing else."""
        ...

    def until(self, due: int) -> float:
        """Seconds until a due time, finer than `now`; negative if it has passed."""
        ...

    def monotonic(self) -> float:
        """Seconds that only go forward, for waits and durations."""
        ...

    def random(self) -> float:
        """A draw in [0, 1)."""
        ...

    def new_id(self) -> str:
        """A unique id that sorts by the time at which it was made."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something beside the caller."""
        ...

    def heartbeat(self, seconds: float, beat: Callable[[], None]) -> Heartbeat:
        """Call `beat` every so many seconds, from where a handler that blocks the event loop cannot stop it."""
        ...


class SystemRuntime:
    """The real clock, the operating system's randomness, and a thread for heartbeats (a task where there are none).

    Args:
        clock: The wall clock, in seconds since the epoch: that of the store, where it has one (`AuthorityClock`).
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._prefix = ""
        self._prefix_ms = 0
        self._serial = 0
        self._random = random.Random(os.urandom(16))

    def now(self) -> int:
        return int(self._clock() * 1000)

    def until(self, due: int) -> float:
        return due / 1000 - self._clock()

    def monotonic(self) -> float:
        return time.monotonic()

    def random(self) -> float:
        return self._random.random()

    def new_id(self) -> str:
        """A UUIDv7-like id in hexadecimal: 48 bits of time, 48 random bits for the millisecond, a 32-bit serial.

        Ids of one process rise strictly, so a store appends them at the edge of its index.
        """
        ms = self.now()
        if ms > self._prefix_ms:
            self._prefix_ms, self._serial = ms, 0
            self._prefix = f"{ms:012x}{int.from_bytes(os.urandom(6), 'big'):012x}"
        self._serial += 1
        return f"{self._prefix}{self._serial:08x}"

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, name=name)

    def heartbeat(self, seconds: float, beat: Callable[[], None]) -> Heartbeat:
        return _ThreadHeartbeat(seconds, beat) if HAS_THREADS else _TaskHeartbeat(seconds, beat)


class _ThreadHeartbeat:
    def __init__(self, seconds: float, beat: Callable[[], None]) -> None:
        self._seconds, self._beat = seconds, beat
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="durable-primitives heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._beat()

    def stop(self) -> None:
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()


class _TaskHeartbeat:
    """A handler that blocks the event loop stops it, and everything else that might have noticed."""

    def __init__(self, seconds: float, beat: Callable[[], None]) -> None:
        self._seconds, self._beat = seconds, beat
        self._task = asyncio.get_running_loop().create_task(self._run(), name="durable-primitives heartbeat")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            self._beat()

    def stop(self) -> None:
        self._task.cancel()
