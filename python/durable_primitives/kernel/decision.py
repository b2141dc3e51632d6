"""What an orchestrator answers: the change to commit, the reply it leads to, and what to tell the tracker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic

from msgspec import Struct
from typing_extensions import TypeVar

from durable_primitives.events import PrimitiveEvent
from durable_primitives.kernel.transition import Outcome, Transition

R = TypeVar("R", default=Any)

NOTHING = Outcome(verdict="applied")
"""The outcome of a decision that changes nothing."""


class Decision(Struct, Generic[R], frozen=True, gc=False):
    """A pure answer.  `reply` turns the outcome into the caller's result, or raises the error that it means."""

    transition: Transition | None
    reply: Callable[[Outcome], R]
    events: Callable[[Outcome], Iterable[PrimitiveEvent]] | None = None
    """Asked for only when the change was applied, or refused for want of room, and a tracker listens."""
    joins: bool = False
    """The transition is nothing but an append that cannot be refused: it may leave as one with others like it."""
