"""Plays cases: a program of callers, a schedule of faults, under all laws; finds what does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, closing
from typing import Any

from msgspec import Struct

from durable_primitives.testing.checking.programs import Program
from durable_primitives.testing.checking.subject import Subject
from durable_primitives.testing.checking.trial import Trial, Work
from durable_primitives.testing.primitives import TestPrimitives
from durable_primitives.testing.simulation import KINDS, Deviation, Point, Simulation, Swarm
from durable_primitives.testing.simulation.store import finish

Resources = Callable[[], AbstractAsyncContextManager[Any]]


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


class NoClientSwarm(Swarm):
    """Faults for workers only: what a caller meets is no concern of the definition's."""

    def draw(self, point: Point, options: int) -> Deviation | None:
        return None if point.actor == "client" else super().draw(point, options)


class Explorer:
    """Plays cases of one subject.

    Args:
        subject: What is checked.
        laws: The names of those to hold.
        resources: As for `create_durable_primitives`.
    """

    def __init__(self, subject: Subject, laws: frozenset[str], resources: Resources | None = None) -> None:
        self.subject = subject
        self.laws = laws
        self.resources = resources
        self.played = 0
        """How many histories there were."""
        self.faults = Counter[str]()
        self.outcomes = Counter[str]()
        self._cleaned: list[tuple[Program, int, Played]] = []
        self._uses_memory = False

    def play(
        self,
        case: Case,
        *,
        swarm: Swarm | None = None,
        forgets: bool = True,
        notes_points: bool = False,
        laws: frozenset[str] | None = None,
    ) -> Played:
        """One history."""
        self.played += 1

        def make(*definitions: Any) -> Simulation:
            simulation = Simulation(
                *definitions,
                seed=case.seed,
                schedule=case.schedule,
                swarm=swarm,
                workers=case.workers,
                resources=self.resources,
            )
            if notes_points:
                simulation.choices.points = []
            return simulation

        trial = Trial(self.subject, make, self.laws if laws is None else laws, forgets=forgets)
        simulation, memory = trial.simulation, self.subject.memory
        unused = memory.snapshot() if not self._uses_memory and not case.schedule else None
        with closing(simulation):
            simulation.open()
            t = TestPrimitives(simulation, "allow")
            narrated: list[tuple[int, str]] = []
            for step in case.program:
                at = simulation.loop.now_us
                narrated.append((at, finish(step.perform(t, self.subject.definition))))
                if trial.violations:
                    break
            trial.rest()
            self._uses_memory = self._uses_memory or (unused is not None and memory.snapshot() != unused)
            return self._played(case, trial, narrated)

    def _played(self, case: Case, trial: Trial, narrated: list[tuple[int, str]]) -> Played:
        simulation = trial.simulation
        finding = None
        if trial.violations:
            first = trial.violations[0]
            finding = Finding(first.law, first.why, case, None, first.at_us)
        self.outcomes.update(entry.what for entry in simulation.trace if entry.what in ("returned", "raised"))
        self.faults.update(f"{one.fault} {one.point.site}" for one in simulation.choices.taken)
        effects = self.subject.effects
        return Played(
            taken=tuple(simulation.choices.taken),
            points=simulation.choices.points or [],
            finding=finding,
            work={} if finding else trial.work(),
            states={} if finding else self._states(trial),
            effects=[] if effects is None else list(effects),
            sent=[] if finding else trial.sent(),
            narrated=narrated,
        )

    def _states(self, trial: Trial) -> dict[str, Any]:
        definition, client = self.subject.definition, trial.simulation.client
        if definition.kind != "continuous":
            return {}
        prefix = f"continuous:{definition.name}:"
        ids = [
            record.instance.removeprefix(prefix)
            for record in trial.simulation.store.records()
            if record.instance.startswith(prefix)
        ]
        jobs = client.continuous(definition.name)
        return {id: finish(jobs.get_state(id)) for id in ids}

    def came_to_pass(self, kind: str) -> bool:
        """Whether any fault of this kind did."""
        return any(f"{fault} {site}" in self.faults for site, faults in KINDS[kind].items() for fault in faults)

    # Looking for what does not hold.

    def look(self, case: Case, swarm: Swarm | None = None) -> Finding | None:
        """Play a case, and compare it with the same program undisturbed."""
        played = self.play(case, swarm=swarm)
        if swarm is not None:
            taken = tuple(one for one in played.taken if one.point.site != "turn")
            case = Case(case.program, taken if played.finding is None else played.taken, case.workers, case.seed)
        if played.finding is not None:
            return Finding(played.finding.law, played.finding.why, case, None, played.finding.at_us)
        if not case.schedule:
            return None
        clean = self.clean(case)
        if clean.finding is not None:
            return None
        return self._compare(clean, played, case) or self._remembered(played, case)

    def clean(self, case: Case) -> Played:
        """The program of a case, with nothing going wrong."""
        for program, seed, played in self._cleaned:
            if program is case.program and seed == case.seed:
                return played
        played = self.play(Case(case.program, seed=case.seed))
        self._cleaned.append((case.program, case.seed, played))
        del self._cleaned[:-20]
        return played

    def _compare(self, clean: Played, played: Played, case: Case) -> Finding | None:
        arrived = set(played.sent)
        for key, work in played.work.items():
            usual = clean.work.get(key)
            if usual is None or usual.end not in ("done", "ended") or work.end != usual.end:
                continue
            if usual.content != work.content:
                continue
            found = self._differs(usual.effects, work.effects, work.unharmed, "effect", case)
            if found is None:
                sends = {pair for pair in work.sends if pair in arrived}
                found = self._differs(usual.sends, sends, work.unharmed, "send", case)
            if found is not None and found.law in self.laws:
                return found
        return None

    def _differs(
        self, usual: set[tuple[str, str]], did: set[tuple[str, str]], unharmed: bool, what: str, case: Case
    ) -> Finding | None:
        once, now = Counter(one for _, one in usual), Counter(one for _, one in did)
        for one, count in now.items():
            if 0 < once[one] < count:
                law = "handler_is_repeatable" if what == "effect" else "sends_once"
                keys = ", ".join(repr(key) for key, other in sorted(did) if other == one)
                name = repr(one) if what == "effect" else "the same"
                done = "was done" if what == "effect" else "was sent"
                times = "once" if once[one] == 1 else f"{once[one]} times"
                return Finding(
                    law, f"{name} {done} under {keys}; undisturbed, it is {times}", case, (what, one, once[one])
                )
        for key, one in sorted(usual):
            if unharmed and one not in now:
                law = f"{what}_is_not_lost"
                name = f"{one!r} under {key!r}" if what == "effect" else f"the event {key!r}"
                done = "done" if what == "effect" else "sent"
                why = f"the work counts as done, and {name}, which it leads to undisturbed, was never {done}"
                return Finding(law, why, case, (f"no {what}", one, key))
        return None

    def _remembered(self, played: Played, case: Case) -> Finding | None:
        """Whether it makes a difference that a process loses its memory."""
        if "memory_is_lost" not in self.laws or not self._uses_memory or not _kills(case.schedule):
            return None
        kept = self.play(case, forgets=False)
        if kept.finding is not None:
            return None
        lost = [pair for pair in kept.effects if pair not in played.effects]
        if lost:
            why = f"a process that died forgot it: {lost[0][1]!r} under {lost[0][0]!r} was not done"
            return Finding("memory_is_lost", why, case, ("no effect", lost[0][1], lost[0][0]))
        for id, state in kept.states.items():
            if played.states.get(id) != state:
                why = f"a process that died forgot it: the state is {played.states.get(id)!r} instead of {state!r}"
                return Finding("memory_is_lost", why, case, ("state", id, state))
        return None


def _kills(schedule: Iterable[Deviation]) -> bool:
    return any(one.fault.startswith(("crash", "fail during")) for one in schedule)
