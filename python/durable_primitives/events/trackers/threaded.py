"""What trackers that work from a thread have in common."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from durable_primitives.errors import DefinitionError
from durable_primitives.events.model import PrimitiveEvent
from durable_primitives.events.trackers.sender import Limits, Pause, Sender


class ThreadedTracker(ABC):
    """Queues events and delivers them in batches from a daemon thread.

    In every process that uses it, ``tracked == delivered + dropped + pending``. A fork starts afresh: the events that
    are queued at that moment stay with the parent.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # By process id, because a fork inherits neither the thread nor a lock that can be trusted.
        self._senders: dict[int, Sender] = {}

    @property
    def enabled(self) -> bool:
        """True."""
        return True

    @property
    def delivered(self) -> int:
        """Events that are known to have arrived."""
        return self._sender().delivered

    @property
    def dropped(self) -> int:
        """Events that found the queue full, could not be delivered, or were left when closing ran out of time."""
        return self._sender().dropped

    @property
    def pending(self) -> int:
        """Events that are neither delivered nor dropped yet, at most `max_queue` + `batch_size`."""
        return self._sender().pending

    def track(self, event: PrimitiveEvent) -> None:
        """Queue `event`."""
        self._sender().put(event)

    async def close(self) -> None:
        """Deliver what is queued, without pausing between tries; after `close_timeout`, drop what is left."""
        await self._sender().close()

    @abstractmethod
    def _deliver(self, batch: list[PrimitiveEvent], pause: Pause) -> int:
        """Hand over `batch`, in the thread; see `durable_primitives.events.trackers.sender.Deliver`."""

    def _sender(self) -> Sender:
        process = os.getpid()
        return self._senders.get(process) or self._senders.setdefault(process, Sender(self._deliver, self._limits))


def positive(what: str, value: int) -> int:
    """`value`, or a `DefinitionError` if there is no room in it for anything."""
    if value < 1:
        raise DefinitionError(f"{what} is {value!r}", help=f"give a {what} of at least 1")
    return value
