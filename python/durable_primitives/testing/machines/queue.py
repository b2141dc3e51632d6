"""`QueueMachine`: programs against a queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from durable_primitives.primitives.queue import Enqueue
from durable_primitives.testing.checking.programs import Step
from durable_primitives.testing.machines.base import DISCARD, EVENT_IDS, REDRIVE, PrimitiveMachine, Strategy


class QueueMachine(PrimitiveMachine):
    """Programs against a queue: its calls, time, and failures, under all laws.

    Example:
        >>> from durable_primitives import Queue
        >>> from hypothesis import settings
        >>> orders = Queue.make("orders", event_schema=str, execute=lambda ctx: None)
        >>> class Orders(QueueMachine, of=orders): ...
        >>> TestOrders = Orders.TestCase
        >>> TestOrders.settings = settings(TestOrders.settings, max_examples=5, stateful_step_count=10)
    """

    kind = "queue"

    @classmethod
    def _pauses(cls, definition: Any) -> list[int]:
        return [10_000]

    @classmethod
    def _rules(cls, definition: Any, values: Strategy) -> Mapping[str, Mapping[str, Strategy]]:
        keys = st.none() if definition.partition_key is not None else st.sampled_from([None, "k0", "k1"])
        return {
            "enqueue": {
                "event": values,
                "id": EVENT_IDS,
                "partition_key": keys,
                "delay": st.sampled_from([None, None, "10s"]),
                "priority": st.sampled_from([0, 0, 1, -1]),
            },
            "enqueue_many": {"events": st.lists(st.tuples(values, EVENT_IDS), min_size=1, max_size=4)},
            "cancel": {"id": EVENT_IDS, "partition_key": keys},
            "pause": {},
            "resume": {},
            "clear": {},
            "redrive": {},
            "discard": {},
        }

    def enqueue(self, event: Any, id: str, partition_key: str | None, delay: str | None, priority: int) -> None:
        """Send one event."""
        chosen = {"partition_key": partition_key, "delay": delay, "priority": priority or None}
        options = {"id": id, **{name: value for name, value in chosen.items() if value is not None}}
        self._take(Step("enqueue", None, event, has_value=True, options=options))

    def enqueue_many(self, events: list[tuple[Any, str]]) -> None:
        """Send some events at once."""
        self._take(Step("enqueue_many", None, [Enqueue(event, id=id) for event, id in events], has_value=True))

    def cancel(self, id: str, partition_key: str | None) -> None:
        """Take one event out."""
        options = {} if partition_key is None else {"partition_key": partition_key}
        self._take(Step("cancel", None, id, has_value=True, options=options))

    def pause(self) -> None:
        """Hold processing."""
        self._take(Step("pause"))

    def resume(self) -> None:
        """Go on."""
        self._take(Step("resume"))

    def clear(self) -> None:
        """Drop what waits."""
        self._take(Step("clear"))

    def redrive(self) -> None:
        """Run all dead letters again."""
        self._take(REDRIVE)

    def discard(self) -> None:
        """Delete all dead letters."""
        self._take(DISCARD)
