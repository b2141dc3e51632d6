"""One case as it is played: steps one after the other, in a world of its own."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, structs

from durable_primitives.testing.checking.programs import Program, Step
from durable_primitives.testing.checking.trial import Trial, Work
from durable_primitives.testing.driving import TestPrimitives
from durable_primitives.testing.simulation import Deviation, Point, Simulation
from durable_primitives.testing.simulation.store import finish


class Case(Struct, frozen=True):
    """What makes a history: the same case, the same history."""

    program: Program
    schedule: tuple[Deviation, ...] = ()
    workers: int = 1
    seed: int = 0


class Finding(Struct, frozen=True):
    """A law that does not hold in a case."""

    law: str
    why: str
    case: Case
    expects: tuple[str, Any, Any] | None = None
    """For a law that compares: what was to be there at the end.  See `regression`."""
    at_us: int = 0


class Played(Struct):
    """What a case led to."""

    taken: tuple[Deviation, ...]
    points: list[Point]
    finding: Finding | None
    work: dict[str, Work]
    states: dict[str, Any]
    effects: list[tuple[str, str]]
    sent: list[tuple[str, str]]
    narrated: list[tuple[int, str]]
    """What happened in user code, and when."""


class Play:
    """A history while it happens.

    Args:
        case: What makes it; its program is the caller's to play.
        trial: Its world.
        watches_memory: Whether to find out if user code changes variables.
    """

    def __init__(self, case: Case, trial: Trial, *, watches_memory: bool) -> None:
        self._case = case
        self._memory = trial.subject.memory
        self._unused = self._memory.snapshot() if watches_memory else None
        self._steps: list[Step] = []
        self._narrated: list[tuple[int, str]] = []
        self.trial = trial
        self.simulation: Simulation = trial.simulation
        self.simulation.open()
        self.t = TestPrimitives(self.simulation, "allow", trial.rest)
        self.used_memory = False
        """Whether user code has changed a variable; known at the end, if it is watched."""

    @property
    def over(self) -> bool:
        """Whether a law is broken: what comes after is of no interest."""
        return bool(self.trial.violations)

    @property
    def case(self) -> Case:
        """What has happened so far, as a case that makes it happen again."""
        return structs.replace(self._case, program=tuple(self._steps), schedule=tuple(self.simulation.choices.taken))

    def perform(self, step: Step) -> None:
        """One step."""
        self._steps.append(step)
        at = self.simulation.loop.now_us
        self._narrated.append((at, finish(step.perform(self.t, self.trial.subject.definition))))

    def end(self) -> Played:
        """Let it come to rest, and tell what it led to."""
        try:
            self.trial.rest()
            self.used_memory = self._unused is not None and self._memory.snapshot() != self._unused
            return self._played()
        finally:
            self.simulation.close()

    def _played(self) -> Played:
        trial, effects, choices = self.trial, self.trial.subject.effects, self.simulation.choices
        finding = None
        if trial.violations:
            first = trial.violations[0]
            finding = Finding(first.law, first.why, self._case, None, first.at_us)
        return Played(
            taken=tuple(choices.taken),
            points=choices.points or [],
            finding=finding,
            work={} if finding else trial.work(),
            states={} if finding else self._states(),
            effects=[] if effects is None else list(effects),
            sent=[] if finding else trial.sent(),
            narrated=self._narrated,
        )

    def _states(self) -> dict[str, Any]:
        definition, client = self.trial.subject.definition, self.simulation.client
        if definition.kind != "continuous":
            return {}
        prefix = f"continuous:{definition.name}:"
        ids = [
            record.instance.removeprefix(prefix)
            for record in self.simulation.store.records()
            if record.instance.startswith(prefix)
        ]
        jobs = client.continuous(definition.name)
        return {id: finish(jobs.get_state(id)) for id in ids}
