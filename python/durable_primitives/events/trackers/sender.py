"""A bounded queue and the one thread that empties it.

The queue belongs to whichever thread is `_thread`. A thread that is stuck when closing runs out of time is disowned:
what it holds is counted as dropped, it finds out when it comes back, and the next event starts another thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from msgspec import Struct

from durable_primitives.events.model import PrimitiveEvent


class Pause(Protocol):
    """Waits between two tries."""

    def __call__(self, seconds: float) -> bool:
        """Wait, though not while closing.  False: nobody is waiting for this batch any more, so do not try again."""
        ...


Deliver = Callable[[list[PrimitiveEvent], Pause], int]
"""Hands over a batch and returns how many of its events arrived.  If it raises, none did."""


class Limits(Struct, frozen=True, kw_only=True):
    """What a sender may use."""

    batch_size: int
    """A batch leaves at once when it has this many events."""
    flush_interval_s: float
    """How long an event waits for others to join its batch."""
    max_queue: int
    """Events beyond this many waiting ones are dropped."""
    close_timeout_s: float
    """How long closing waits for what is still held."""


class Sender:
    """Delivers events in order, in batches, from a daemon thread that starts with the first of them."""

    def __init__(self, deliver: Deliver, limits: Limits) -> None:
        self.delivered = 0
        self.dropped = 0
        self._deliver = deliver
        self._limits = limits
        self._changed = threading.Condition()
        self._queue: deque[PrimitiveEvent] = deque()
        self._in_flight = 0
        self._thread: threading.Thread | None = None
        self._closing = False
        self._on_finished: list[Callable[[], object]] = []

    @property
    def pending(self) -> int:
        """Events that are neither delivered nor dropped yet."""
        with self._changed:
            return len(self._queue) + self._in_flight

    def put(self, event: PrimitiveEvent) -> None:
        """Queue `event`, or drop it if there is no room."""
        with self._changed:
            if len(self._queue) >= self._limits.max_queue or not self._ensure_thread():
                self.dropped += 1
                return
            self._queue.append(event)
            if len(self._queue) in (1, self._limits.batch_size):
                self._changed.notify_all()

    async def close(self) -> None:
        """Deliver what is queued and end the thread; after `close_timeout_s`, drop what is left."""
        finished = asyncio.Event()
        thread = self._begin_closing(partial(_wake, asyncio.get_running_loop(), finished))
        if thread is None:
            return
        try:
            await asyncio.wait_for(finished.wait(), self._limits.close_timeout_s)
        except TimeoutError:
            self._disown(thread)

    def _ensure_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="durable-primitives-events", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # there are no threads here, or none is left, or the interpreter is going down
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while batch := self._take():
            try:
                delivered = self._deliver(batch, self._pause)
            except BaseException:  # whatever it is, ending this thread would help nobody
                delivered = 0
            self._settle(batch, delivered)

    def _take(self) -> list[PrimitiveEvent]:
        """The next batch; empty when this thread has nothing more to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._leaving())
            self._changed.wait_for(
                lambda: len(self._queue) >= self._limits.batch_size or self._leaving(), self._limits.flush_interval_s
            )
            if not self._owned():
                return []
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._limits.batch_size))]
            self._in_flight = len(batch)
            if not batch:
                self._release()
            return batch

    def _pause(self, seconds: float) -> bool:
        with self._changed:
            self._changed.wait_for(self._leaving, seconds)
            return self._owned()

    def _settle(self, batch: list[PrimitiveEvent], delivered: int) -> None:
        with self._changed:
            if self._owned():
                self._in_flight = 0
                self.delivered += delivered
                self.dropped += len(batch) - delivered

    def _owned(self) -> bool:
        return self._thread is threading.current_thread()

    def _leaving(self) -> bool:
        return self._closing or not self._owned()

    def _begin_closing(self, on_finished: Callable[[], object]) -> threading.Thread | None:
        with self._changed:
            if self._thread is not None:
                self._closing = True
                self._on_finished.append(on_finished)
                self._changed.notify_all()
            return self._thread

    def _disown(self, thread: threading.Thread) -> None:
        with self._changed:
            if self._thread is thread:
                self.dropped += self._in_flight + len(self._queue)
                self._in_flight = 0
                self._queue.clear()
                self._release()
                self._changed.notify_all()

    def _release(self) -> None:
        self._thread = None
        self._closing = False
        while self._on_finished:
            self._on_finished.pop()()


def _wake(loop: asyncio.AbstractEventLoop, finished: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop has been closed: nobody waits
        loop.call_soon_threadsafe(finished.set)
