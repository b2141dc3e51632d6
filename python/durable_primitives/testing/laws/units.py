"""A piece of work: an event of a queue, a batch of a buffer, a run of a Continuous."""

from __future__ import annotations

from typing import Any

from durable_primitives.testing.simulation import Execution


class Unit:
    """What user code was called for, once or more often."""

    __slots__ = ("content", "disturbances", "end", "key", "last", "retry_at", "returned", "void")

    def __init__(self) -> None:
        self.last: Execution | None = None
        """Its latest execution that began under the newest lease of its instance."""
        self.disturbances = 0
        """`History.disturbances` when that one began."""
        self.returned = 0
        """How many of its executions returned."""
        self.void = False
        """Another has taken over since that one began: how it ended need not be stored."""
        self.key: str | None = None
        """Its idempotency key."""
        self.content: Any = None
        """What its first execution was given, encoded."""
        self.end = ""
        """What the store says it ended as; empty as long as it says nothing."""
        self.retry_at = 0
        """When it is to be tried again, by the store."""

    def again(self) -> None:
        """It was dead, and is to run again: nothing of before counts."""
        self.last, self.returned, self.end, self.retry_at = None, 0, "", 0


def unit_key(context: Any) -> object:
    """What tells a piece of work from all others of its instance."""
    sequence: int | None = getattr(context, "sequence", None)  # of an event of a queue, which a redrive gives a new one
    return context.idempotency_key if sequence is None else sequence


def encoded(definition: Any, context: Any) -> bytes:
    """What the handler is given, as bytes that can be compared."""
    if definition.kind == "queue":
        event: bytes = definition.codec.encode(context.event)
        return event
    if definition.kind == "continuous":
        state: bytes = definition.codec.encode(context.state)
        return state
    gathering = definition.gathering
    if gathering.folds:
        folded: bytes = gathering.state.encode(context.state)
        return folded
    return b"".join(map(definition.event.encode, context.state))
