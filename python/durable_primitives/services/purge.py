"""Deletes what outlived its retention, a little at a time, beside the work."""

from __future__ import annotations

from durable_primitives.spi import Runtime, Storage

SWEEP_SECONDS = 60.0
SWEEP_ROWS = 5_000
"""Rows of one sweep: small enough that nobody waits for it."""

DAY_MS = 24 * 60 * 60 * 1000
DEAD_LETTER_MS = 30 * DAY_MS
"""How long a dead letter is kept."""


class Sweeper:
    """Sweeps a store once a minute, and again at once while a sweep comes back full."""

    def __init__(self, storage: Storage, runtime: Runtime) -> None:
        self._storage = storage
        self._runtime = runtime
        self._next = runtime.monotonic() + SWEEP_SECONDS

    def seconds_left(self) -> float:
        """Until the next sweep."""
        return max(self._next - self._runtime.monotonic(), 0.0)

    async def sweep_if_due(self) -> None:
        """Sweep if a minute has passed."""
        if self.seconds_left() == 0.0:
            full = await self.sweep() >= SWEEP_ROWS
            self._next = self._runtime.monotonic() + (0.0 if full else SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Delete what is over its time, at most `SWEEP_ROWS` rows; returns how many went."""
        return await self._storage.sweep(self._runtime.now(), SWEEP_ROWS)
