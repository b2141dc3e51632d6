"""Requests that have no answer yet, and how long they may wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from durable_primitives.errors import Outcome, StorageError


class Request:
    """A packed command, and who waits for its reply.

    Args:
        deadline: When it is given up, as a time of the event loop.
    """

    __slots__ = ("command", "deadline", "future", "look_at", "sendings")

    def __init__(self, command: bytes, deadline: float, future: asyncio.Future[Any]) -> None:
        self.command, self.deadline, self.future = command, deadline, future
        self.sendings = 0
        self.look_at = (future.get_loop().time() + deadline) / 2
        """When it counts as late: first at half of its time, then at the end of it."""

    @property
    def outcome(self) -> Outcome:
        """What became of it, if it never has an answer."""
        return "unknown" if self.sendings else "not_applied"

    @property
    def outcome_before(self) -> Outcome:
        """What became of it, if its last sending was refused."""
        return "unknown" if self.sendings > 1 else "not_applied"


class Pending:
    """Requests in the order in which they leave and are answered.

    One timer watches all of them: it is not touched when an answer comes, so a request that is answered in time costs
    none of its own.

    Args:
        on_silence: Called when a request that was sent is late.
        too_late: What a request is told whose time is over.
    """

    def __init__(self, on_silence: Callable[[], None], too_late: Callable[[Outcome], StorageError]) -> None:
        self._on_silence, self._too_late = on_silence, too_late
        self._requests: deque[Request] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(self._requests)

    def add(self, request: Request) -> None:
        """At the end."""
        self._requests.append(request)
        if self._timer is None or request.look_at < self._timer.when():
            self._watch(request.future.get_loop(), request.look_at)

    def first(self) -> Request:
        """The one that is answered next."""
        return self._requests[0]

    def pop(self) -> Request:
        """The one that was answered."""
        return self._requests.popleft()

    def forget_abandoned(self) -> None:
        """Drop those for which nobody waits any more."""
        self._requests = deque(request for request in self._requests if not request.future.done())

    def give_up(self, failure: Callable[[Outcome], StorageError]) -> None:
        """Fail all of them, each with what became of it."""
        for request in self._requests:
            if not request.future.done():
                request.future.set_exception(failure(request.outcome))
        self._requests.clear()

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        self.close()
        self._timer = loop.call_at(until, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Some request may be late."""
        now = loop.time()
        waiting = [request for request in self._requests if not request.future.done()]
        late = [request for request in waiting if request.look_at <= now]
        for request in late:
            request.look_at = request.deadline
            if request.deadline <= now:
                request.future.set_exception(self._too_late(request.outcome))
        self._timer = None
        if left := [request.look_at for request in waiting if not request.future.done()]:
            self._watch(loop, min(left))
        if any(request.sendings for request in late):
            self._on_silence()
