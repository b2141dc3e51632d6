"""Renews leases from a thread of its own, so that a handler that blocks the event loop keeps its lease."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Connection(Protocol):
    """What a `Lifeline` opens and closes."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...


L = TypeVar("L", bound=Connection)


class Lifeline(Generic[L]):
    """A thread with an event loop and a link of its own; both begin with the first call.

    Args:
        make_link: Makes the link, which is opened in the thread.
        of: Whose it is, for the name of the thread.
    """

    def __init__(self, make_link: Callable[[], L], of: str) -> None:
        self._make_link, self._of = make_link, of
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._link: L | None = None

    def run(self, ask: Callable[[L], Coroutine[Any, Any, T]]) -> T:
        """What is asked over the link, in the thread; blocks, and raises what that raises."""
        with self._lock:
            if self._loop is None:
                self._start()
            loop = self._loop
        assert loop is not None
        return asyncio.run_coroutine_threadsafe(self._run(ask), loop).result()

    async def _run(self, ask: Callable[[L], Coroutine[Any, Any, T]]) -> T:
        if self._link is None:
            link = self._make_link()
            await link.open()
            self._link = link
        return await ask(self._link)

    def _start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"durable-primitives {self._of} lifeline", daemon=True
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
