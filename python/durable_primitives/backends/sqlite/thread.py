"""A thread that owns something which only one thread may use, here a connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar


class Closeable(Protocol):
    """What a thread can own."""

    def close(self) -> None:
        """Let go of everything."""


Owned = TypeVar("Owned", bound=Closeable)
Result = TypeVar("Result")
_Report = Callable[[Any, BaseException | None], None]


class OwnerThread(Generic[Owned]):
    """Runs pieces of work one after the other on what it owns.

    The result of a piece goes back to the event loop in one call, also when whoever wanted it was cancelled meanwhile.
    """

    def __init__(self, name: str, make: Callable[[], Owned]) -> None:
        self._make = make
        self._queue: SimpleQueue[tuple[Callable[[Owned], Any], _Report] | None] = SimpleQueue()
        # A daemon: a program that forgets to close its backend can still end, and loses no more than by a crash.
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._ready: Future[None] = Future()
        self._ended: Future[None] = Future()

    async def start(self) -> None:
        """Make what the thread owns; raises what that raises."""
        self._thread.start()
        try:
            await asyncio.shield(asyncio.wrap_future(self._ready))
        except asyncio.CancelledError:
            self._queue.put(None)
            raise

    async def run(
        self,
        work: Callable[[Owned], Result],
        then: Callable[[Result], None] | None = None,
        after: Callable[[Result], None] | None = None,
    ) -> Result:
        """Do a piece of work; in any case `then` gets its result on the event loop, and `after`, later, in the thread.

        What `after` does, nobody waits for.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def deliver(result: Any, error: BaseException | None) -> None:
            if error is None and then is not None:
                then(result)
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def report(result: Any, error: BaseException | None) -> None:
            try:
                loop.call_soon_threadsafe(deliver, result, error)
            except RuntimeError:
                pass  # The loop is closed: nobody waits any more.
            if error is None and after is not None:
                after(result)

        self._queue.put((work, report))
        return await future

    def run_and_wait(self, work: Callable[[Owned], Result], after: Callable[[Result], None]) -> Result:
        """Do a piece of work, and block until it is done; `after` as for `run`.  From any thread but this one."""
        future: Future[Result] = Future()

        def report(result: Any, error: BaseException | None) -> None:
            if error is None:
                future.set_result(result)
                after(result)
            else:
                future.set_exception(error)

        self._queue.put((work, report))
        return future.result()

    async def stop(self) -> None:
        """Finish what was handed over, then close what the thread owns."""
        self._queue.put(None)
        await asyncio.shield(asyncio.wrap_future(self._ended))
        self._thread.join()

    def _main(self) -> None:
        try:
            owned = self._make()
        except BaseException as error:
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        try:
            self._serve(owned)
            owned.close()
        except BaseException as error:
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    def _serve(self, owned: Owned) -> None:
        while (piece := self._queue.get()) is not None:
            work, report = piece
            try:
                result = work(owned)
            except BaseException as error:
                report(None, error)
            else:
                report(result, None)
