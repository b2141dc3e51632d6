"""Listening to nothing."""

from __future__ import annotations

from durable_primitives.events.model import PrimitiveEvent


class NoopTracker:
    """Wants no events, so that none is built."""

    enabled = False
    dropped = 0

    def track(self, event: PrimitiveEvent) -> None:
        """Forget `event`."""

    async def close(self) -> None:
        """Nothing is held."""
