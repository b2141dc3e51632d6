"""Renews leases from a thread of its own, so that a handler that blocks the event loop keeps its lease."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from durable_primitives_cloudflare.remote.link import Link


class Lifeline:
    """A thread with an event loop and a link; both begin with the first call."""

    def __init__(self, make_link: Callable[[], Link]) -> None:
        self._make_link = make_link
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._link: Link | None = None

    def call(self, store: str, partition: int, verb: str, body: bytes) -> bytes:
        """The answer of one object; blocks.  Raises a `StorageError`."""
        with self._lock:
            if self._loop is None:
                self._start()
            loop = self._loop
        assert loop is not None
        return asyncio.run_coroutine_threadsafe(self._call(store, partition, verb, body), loop).result()

    async def _call(self, store: str, partition: int, verb: str, body: bytes) -> bytes:
        if self._link is None:
            self._link = self._make_link()
            await self._link.open()
        return await self._link.call(store, partition, verb, body)

    def _start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="durable-primitives Cloudflare lifeline", daemon=True
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
