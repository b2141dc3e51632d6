"""What queues and buffers accepted, event by event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from durable_primitives.kernel.transition import NewItem, Outcome, Transition


class Accepted(Struct, frozen=True):
    """One event that a queue or a buffer accepted."""

    instance: str
    at_ms: int
    item: NewItem


class AcceptedLog:
    """Every accepted event, once, oldest first, whether its sender was told or not."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.entries: list[Accepted] = []
        self._clock = clock

    def committed(self, transition: Transition, outcome: Outcome) -> None:
        """A transition reached the store: note the events that it appended."""
        is_sealed_batch = transition.batching is None and transition.instance.startswith("buffer:")
        if not is_sealed_batch:
            for item, one in zip(transition.append, outcome.accepted, strict=False):
                if not one.duplicate:
                    self._note(transition.instance, item)

    def folded(self, instance: str, items: Sequence[NewItem], receipts: Sequence[Any]) -> None:
        """A buffer answered for events that it folds into its state: the store does not see them one by one."""
        known = {one.item.id for one in self.entries if one.instance == instance}
        for item, receipt in zip(items, receipts, strict=False):
            # A duplicate that nobody knows: the reply to its first call was lost.
            if not receipt.duplicate or item.id not in known:
                self._note(instance, item)

    def _note(self, instance: str, item: NewItem) -> None:
        self.entries.append(Accepted(instance, self._clock(), item))
