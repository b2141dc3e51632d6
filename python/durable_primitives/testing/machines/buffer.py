"""`BufferMachine`: programs against a buffer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from durable_primitives.testing.checking.programs import Step
from durable_primitives.testing.machines.base import DISCARD, EVENT_IDS, IDS, REDRIVE, PrimitiveMachine, Strategy


class BufferMachine(PrimitiveMachine):
    """Programs against a buffer: its calls, time, and failures, under all laws.

    Example:
        >>> from durable_primitives import Buffer
        >>> from hypothesis import settings
        >>> carts = Buffer.make("carts", event_schema=str, max_events=3, execute=lambda ctx: None)
        >>> class Carts(BufferMachine, of=carts): ...
        >>> TestCarts = Carts.TestCase
        >>> TestCarts.settings = settings(TestCarts.settings, max_examples=5, stateful_step_count=10)
    """

    kind = "buffer"

    @classmethod
    def _schema(cls, definition: Any) -> Any:
        return definition.event.schema

    @classmethod
    def _pauses(cls, definition: Any) -> list[int]:
        window: int | None = definition.flush_after_ms
        return [] if window is None else [max(window // 2, 1), window]

    @classmethod
    def _rules(cls, definition: Any, values: Strategy) -> Mapping[str, Mapping[str, Strategy]]:
        return {
            "add": {"id": IDS, "event": values, "event_id": st.none() | EVENT_IDS},
            "add_many": {"id": IDS, "events": st.lists(values, min_size=1, max_size=4)},
            "flush": {"id": IDS},
            "clear": {"id": IDS},
            "redrive": {},
            "discard": {},
        }

    def add(self, id: str, event: Any, event_id: str | None) -> None:
        """Add one event."""
        options = {} if event_id is None else {"event_id": event_id}
        self._take(Step("add", id, event, has_value=True, options=options))

    def add_many(self, id: str, events: list[Any]) -> None:
        """Add some events at once."""
        self._take(Step("add_many", id, events, has_value=True))

    def flush(self, id: str) -> None:
        """Make the open batch due."""
        self._take(Step("flush", id))

    def clear(self, id: str) -> None:
        """Drop the open batch."""
        self._take(Step("clear", id))

    def redrive(self) -> None:
        """Flush all dead letters again."""
        self._take(REDRIVE)

    def discard(self) -> None:
        """Delete all dead letters."""
        self._take(DISCARD)
