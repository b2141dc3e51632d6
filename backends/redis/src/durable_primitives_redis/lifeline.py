"""Renews leases from a thread of its own, so that a handler that blocks the event loop keeps its lease."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

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

    def run(self, script: Script, key: str, *args: bytes | str) -> Any:
        """The reply of a script; blocks.  Raises a `StorageError`."""
        with self._lock:
            if self._loop is None:
                self._start()
            loop = self._loop
        assert loop is not None
        return asyncio.run_coroutine_threadsafe(self._run(script, key, args), loop).result()

    async def _run(self, script: Script, key: str, args: tuple[bytes | str, ...]) -> Any:
        if self._link is None:
            link = self._make_link()
            await link.open()
            self._link = link
        return await self._link.run(script, key, *args)

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
