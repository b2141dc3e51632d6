"""The runtime of a process without threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from durable_primitives.spi import SystemRuntime
from durable_primitives.spi.runtime import Heartbeat


class ObjectRuntime(SystemRuntime):
    """The real clock and randomness; heartbeats come from the event loop.

    A handler that blocks the loop stops them, and everything else in the object with it: nobody is left to take over.
    """

    def heartbeat(self, seconds: float, beat: Callable[[], None]) -> Heartbeat:
        return _TaskHeartbeat(seconds, beat)


class _TaskHeartbeat:
    def __init__(self, seconds: float, beat: Callable[[], None]) -> None:
        self._task = asyncio.get_running_loop().create_task(_beat(seconds, beat), name="durable-primitives heartbeat")

    def stop(self) -> None:
        self._task.cancel()


async def _beat(seconds: float, beat: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        beat()
