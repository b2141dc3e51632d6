"""The server's clock, as far as its replies tell.

A reply says what time it was when it was made, so at its arrival it is at least that.  The greatest of such bounds is the
time that we go by: behind the server by the fastest reply's way back, and never ahead of it, so nothing starts early.
"""

from __future__ import annotations

import time

WINDOW_SECONDS = 10.0
"""Bounds older than this, and those of the window before it, are forgotten: two clocks drift, and one may be set."""


class ServerClock:
    """Follows the replies; between them it goes on with this machine's monotonic clock."""

    def __init__(self) -> None:
        self._base = time.time() - time.monotonic()  # noqa: TID251 - until the first reply
        self._newest: float | None = None
        self._window_ends = 0.0

    def note(self, micros: int) -> None:
        """A reply has just arrived that was made at this time of the server."""
        now = time.monotonic()
        bound = micros / 1e6 - now
        if now >= self._window_ends:
            # The best bound of the window that ends stands in for it during the next one.
            self._base = bound if self._newest is None else max(self._newest, bound)
            self._newest, self._window_ends = bound, now + WINDOW_SECONDS
            return
        if self._newest is None or bound > self._newest:
            self._newest = bound
        if bound > self._base:
            self._base = bound

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.monotonic() + self._base
