"""The server's clock, as far as its replies tell.

A reply says what time it was when it was made, so at its arrival it is at least that.  The greatest of such bounds is
the time that we go by: behind the server by the fastest reply's way back, never ahead of it: nothing starts early.
"""

from __future__ import annotations

import math
import time

WINDOW_SECONDS = 10.0
"""Bounds older than this, and those of the window before it, are forgotten: two clocks drift, and one may be set."""


class StoreClock:
    """Follows the replies; between them it goes on with this machine's monotonic clock."""

    def __init__(self) -> None:
        self._base = 0.0
        """What to add to the monotonic clock: the best bound of this window and of the one before it."""
        self._best = -math.inf
        """The best bound of this window."""
        self._ends = -math.inf

    @property
    def known(self) -> bool:
        """Whether the store has said anything yet; before that `time` means nothing."""
        return self._best > -math.inf

    def note(self, micros: int) -> None:
        """A reply has just arrived that was made at this time of the server."""
        now = time.monotonic()
        bound = micros / 1e6 - now
        if now >= self._ends:
            fresh = now < self._ends + WINDOW_SECONDS
            self._base = max(self._best, bound) if fresh else bound
            self._best, self._ends = bound, now + WINDOW_SECONDS
        elif bound > self._best:
            self._best = bound
            self._base = max(self._base, bound)

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.monotonic() + self._base
