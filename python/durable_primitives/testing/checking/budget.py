"""How long to look, in the time that this process computes: what else the machine does takes nothing away from it."""

from __future__ import annotations

import time

PATIENCE = 3
"""Real time ends it too, when it is so many times as much."""


class Budget:
    """So many seconds of computing, which begin when it is made."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._computed, self._passed = time.process_time(), time.monotonic()

    @property
    def passed(self) -> float:
        """Real seconds since it began."""
        return time.monotonic() - self._passed

    def is_spent(self, share: float = 1.0) -> bool:
        """Whether this share of it is over."""
        limit = share * self._seconds
        return time.process_time() - self._computed >= limit or self.passed >= PATIENCE * limit
