"""What the engine asks of whoever listens to its events."""

from __future__ import annotations

from typing import Protocol

from durable_primitives.events.model import PrimitiveEvent


class EventTracker(Protocol):
    """Receives events as they happen.  Write your own by giving these four members.

    The SDK passes every tracker through `guard`, so that one which raises or is slow costs nothing but `dropped`.
    """

    @property
    def enabled(self) -> bool:
        """Whether events are wanted at all: while it is False none is built."""
        ...

    @property
    def dropped(self) -> int:
        """Events that were tracked in this process and are known to be lost.  It only ever rises."""
        ...

    def track(self, event: PrimitiveEvent) -> None:
        """Take note of `event`.  Never blocks and never raises: what can not be kept is counted in `dropped`.

        It may be called from any thread.
        """
        ...

    async def close(self) -> None:
        """Hand over what is still held, within a bounded time; what is left then is counted in `dropped`.

        Closing what is idle or closed does nothing.  A later `track` opens the tracker again.
        """
        ...
