"""What a law is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct

if TYPE_CHECKING:
    from durable_primitives.kernel.transition import Claim, Outcome, Transition
    from durable_primitives.testing.laws.history import History
    from durable_primitives.testing.simulation import CallInFlight, Execution


class Violation(Struct, frozen=True):
    """One moment at which a law did not hold."""

    law: str
    """Its name."""
    at_us: int
    """When, in virtual microseconds since the beginning of the simulation."""
    subject: str
    """The instance."""
    why: str
    """What happened, in one line."""

    def __str__(self) -> str:
        return f"{self.law}: {self.subject}: {self.why}"


Report = Callable[[Violation], None]


class Observer:
    """One law: its docstring says what holds.  What it does not override costs nothing.

    Attributes:
        law: Its name.
    """

    law: ClassVar[str]

    def __init__(self, history: History, report: Report) -> None:
        self.history = history
        self._report = report

    def violated(self, subject: str, why: str) -> None:
        """It does not hold."""
        self._report(Violation(self.law, self.history.now_us, subject, why))

    def claimed(self, actor: str, claim: Claim) -> None:
        """A lease was granted."""

    def arrived(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        """A transition reached the store, whatever became of it."""

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        """A transition reached the store and was applied; `History.before` is the record as it was."""

    def begun(self, execution: Execution) -> None:
        """User code is about to run."""

    def ended(self, execution: Execution) -> None:
        """User code has returned or raised."""

    def answered(self, call: CallInFlight) -> None:
        """A caller has its answer, or its error."""

    def rested(self) -> None:
        """Nothing goes wrong any more, and everything that is due had time to happen."""


HOOKS: tuple[str, ...] = ("claimed", "arrived", "committed", "begun", "ended", "answered", "rested")


def overridden(observer: Observer, hook: str) -> Callable[..., Any] | None:
    """The method, if the law has one of its own."""
    law: Any = type(observer)  # mypy does not see that classes can be hashed
    if hook not in _overridden(law):
        return None
    method: Callable[..., Any] = getattr(observer, hook)
    return method


@cache
def _overridden(law: Any) -> frozenset[str]:
    return frozenset(hook for hook in HOOKS if getattr(law, hook) is not getattr(Observer, hook))
