"""Renews leases from a thread of its own, so that a handler that blocks the event loop keeps its lease."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

from durable_primitives.spi import gathered
from durable_primitives_redis.link import Channel
from durable_primitives_redis.scripts import Script


class Lifeline:
    """A thread with an event loop and a connection; both begin with the first call."""

    def __init__(self, make_link: Callable[[], Channel]) -> None:
        self._make_link = make_link
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._link: Channel | None = None

    def run(self, script: Script, calls: Sequence[tuple[str, *tuple[bytes | str, ...]]]) -> list[Any]:
        """The replies of a script that is called with several keys and their arguments; blocks.

        Raises a `StorageError` if one of the calls failed; all others have had their effect by then.
        """
        with self._lock:
            if self._loop is None:
                self._start()
            loop = self._loop
        assert loop is not None
        return asyncio.run_coroutine_threadsafe(self._run(script, calls), loop).result()

    async def _run(self, script: Script, calls: Sequence[tuple[str, *tuple[bytes | str, ...]]]) -> list[Any]:
        if self._link is None:
            link = self._make_link()
            await link.open()
            self._link = link
        return await gathered(self._link.run(script, *call) for call in calls)

    def _start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="durable-primitives Redis lifeline", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Finish what was asked, then end the thread."""
        with self._lock:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None:
            return
        if self._link is not None:
            asyncio.run_coroutine_threadsafe(self._link.close(), loop).result()
            self._link = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
