"""Who sends: a client from outside makes new ids, a handler's client derives them from its execution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """The part of a runtime that a client needs."""

    def now(self) -> int: ...
    def random(self) -> float: ...
    def new_id(self) -> str: ...


class Sender:
    """Ids and time for the sends of one client."""

    __slots__ = ("_derive", "_new_id", "max_payload", "now", "random")

    def __init__(self, clock: Clock, derive: Callable[[], str] | None = None, max_payload: int | None = None) -> None:
        self.max_payload = max_payload
        """What the store takes at most (`Capabilities.max_payload`)."""
        self.now = clock.now
        self.random = clock.random
        self._new_id = clock.new_id
        self._derive = derive

    def id_for_send(self) -> tuple[str, bool]:
        """An id for a send that was given none, and whether it is fresh: certainly never seen by any store."""
        if self._derive is None:
            return self._new_id(), True
        return self._derive(), False

    def derived_id(self) -> str | None:
        """An id for a send that needs none, if it comes from a handler that may run again."""
        return None if self._derive is None else self._derive()
