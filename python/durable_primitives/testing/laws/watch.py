"""`Watch`: all laws over one simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from durable_primitives.errors import unknown_option
from durable_primitives.kernel.transition import Claim, Outcome, Transition
from durable_primitives.testing.laws.attempts import (
    AttemptsCount,
    CrashLoopsEnd,
    NotAfterItsEnd,
    OnceUndisturbed,
    RetryWaits,
    SameWork,
)
from durable_primitives.testing.laws.buffers import BatchBound, BatchIsExact, BatchOrder
from durable_primitives.testing.laws.dues import DueNeverLost, NoDefect, NothingEarly, NothingLeftBehind, WindowIsSet
from durable_primitives.testing.laws.events import (
    AcceptedOnce,
    DuplicatesAreTold,
    EndsForAReason,
    NoEventLost,
    ToldIsStored,
    UnknownIsNotFailed,
)
from durable_primitives.testing.laws.history import History
from durable_primitives.testing.laws.observing import HOOKS, Observer, Report, Violation, overridden
from durable_primitives.testing.laws.ownership import (
    CommittedOnce,
    FreshToken,
    Generations,
    NoOverlap,
    OneOwner,
    WrittenAsSeen,
)
from durable_primitives.testing.laws.queues import LaneOrder, PauseHolds, QueueBound, QueueWidth
from durable_primitives.testing.laws.states import RunsCount, StateIsTheRuns
from durable_primitives.testing.simulation import CallInFlight, Execution, Simulation

LAWS: Mapping[str, type[Observer]] = {
    law.law: law
    for law in (
        ToldIsStored,
        AcceptedOnce,
        DuplicatesAreTold,
        UnknownIsNotFailed,
        NoEventLost,
        EndsForAReason,
        DueNeverLost,
        WindowIsSet,
        NothingEarly,
        NothingLeftBehind,
        OneOwner,
        FreshToken,
        Generations,
        WrittenAsSeen,
        CommittedOnce,
        NoOverlap,
        AttemptsCount,
        RetryWaits,
        CrashLoopsEnd,
        SameWork,
        NotAfterItsEnd,
        OnceUndisturbed,
        BatchIsExact,
        BatchBound,
        BatchOrder,
        LaneOrder,
        QueueWidth,
        QueueBound,
        PauseHolds,
        StateIsTheRuns,
        RunsCount,
        NoDefect,
    )
}
"""Every law of the library, by name."""


Make = Callable[[History, Report], Observer]
"""Makes a law: the class of one, for example."""


class Watch:
    """Laws that look on while a simulation runs.

    Args:
        simulation: It need not be open yet; what happened before the watch began is not seen.
        laws: Those to hold, by name, or made by a function that is given the history and the report; all of `LAWS` by
            default.

    Example:
        >>> from durable_primitives import Queue
        >>> mails = Queue.make("mails", event_schema=str, execute=lambda ctx: None)
        >>> simulation = Simulation(mails, schedule=["crash after handler 1 of queue:mails:0 by worker 1"])
        >>> watch = Watch(simulation)
        >>> with simulation:
        ...     _ = simulation.run(simulation.client.queue(mails).enqueue("ada"))
        ...     simulation.settle()
        ...     watch.rest()
        >>> watch.violations
        []
    """

    def __init__(self, simulation: Simulation, laws: Iterable[str | Make] = tuple(LAWS)) -> None:
        self.violations: list[Violation] = []
        """What did not hold, oldest first; each law is reported once for each instance."""
        self.history = History(simulation)
        self.on_violation: list[Report] = []
        """Told of each, when it happens."""
        self._told: set[tuple[str, str]] = set()
        observers = [_law(law)(self.history, self.report) for law in laws]
        self._hooks: dict[str, list[Callable[..., Any]]] = {
            hook: [method for observer in observers if (method := overridden(observer, hook)) is not None]
            for hook in HOOKS
        }
        simulation.store.on_commit.append(self._committed)
        simulation.store.on_claim.append(self._claimed)
        simulation.on_begin.append(self._begun)
        simulation.on_end.append(self._ended)
        simulation.on_call.append(self.history.asked)
        simulation.on_answer.append(self._answered)

    def rest(self) -> None:
        """Check what must hold when nothing goes wrong any more and everything due had time to happen.

        Call it after `Simulation.settle`, or after as much time as recovery takes: a lease and the delay of a retry.
        """
        for rested in self._hooks["rested"]:
            rested()

    def report(self, violation: Violation) -> None:
        """Take note of a violation; a law may be held by others than observers, too."""
        key = violation.law, violation.subject
        if key not in self._told:
            self._told.add(key)
            self.violations.append(violation)
            for told in self.on_violation:
                told(violation)

    def _committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        for arrived in self._hooks["arrived"]:
            arrived(actor, transition, outcome)
        if outcome.verdict == "applied":
            self.history.committed(actor, transition, outcome)
            for committed in self._hooks["committed"]:
                committed(actor, transition, outcome)

    def _claimed(self, actor: str, claim: Claim) -> None:
        self.history.claimed(actor, claim)
        for claimed in self._hooks["claimed"]:
            claimed(actor, claim)

    def _begun(self, execution: Execution) -> None:
        self.history.begun(execution)
        for begun in self._hooks["begun"]:
            begun(execution)
        self.history.executing(execution)

    def _ended(self, execution: Execution) -> None:
        self.history.ended(execution)
        for ended in self._hooks["ended"]:
            ended(execution)

    def _answered(self, call: CallInFlight) -> None:
        self.history.answered(call)
        for answered in self._hooks["answered"]:
            answered(call)


def _law(law: str | Make) -> Make:
    if not isinstance(law, str):
        return law
    if law not in LAWS:
        raise unknown_option(law, LAWS, "laws")
    return LAWS[law]
