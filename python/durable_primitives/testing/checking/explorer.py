"""Plays cases: a program of callers, a schedule of faults, under all laws; finds what does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from durable_primitives.testing.checking.playing import Case, Finding, Play, Played
from durable_primitives.testing.checking.programs import DEATHS, Program, undisturbed
from durable_primitives.testing.checking.subject import Subject
from durable_primitives.testing.checking.trial import Trial
from durable_primitives.testing.simulation import Deviation, Point, Simulation, Swarm

Resources = Callable[[], AbstractAsyncContextManager[Any]]


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
        """How often each came to pass at each site."""
        self.sites = Counter[str]()
        """How often workers came to each site."""
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
        play = self.begin(case, swarm=swarm, forgets=forgets, notes_points=notes_points, laws=laws)
        for step in case.program:
            play.perform(step)
            if play.over:
                break
        return self.end(play)

    def begin(
        self,
        case: Case,
        *,
        swarm: Swarm | None = None,
        forgets: bool = True,
        notes_points: bool = False,
        laws: frozenset[str] | None = None,
    ) -> Play:
        """Begin a history of which the program is not known yet: that of the case is not looked at."""
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
        return Play(case, trial, watches_memory=not self._uses_memory and not case.schedule)

    def end(self, play: Play) -> Played:
        """Let a history come to its end."""
        played = play.end()
        choices = play.simulation.choices
        self._uses_memory = self._uses_memory or play.used_memory
        self.outcomes.update(entry.what for entry in play.simulation.trace if entry.what in ("returned", "raised"))
        self.faults.update(f"{one.fault} {one.point.site}" for one in choices.taken)
        self.sites.update(choices.counts(but="client"))
        return played

    # Looking for what does not hold.

    def look(self, case: Case, swarm: Swarm | None = None) -> Finding | None:
        """Play a case, and compare it with the same program undisturbed."""
        played = self.play(case, swarm=swarm)
        if swarm is None:
            return self.judge(case, played)
        taken = tuple(one for one in played.taken if one.point.site != "turn")
        case = Case(case.program, taken if played.finding is None else played.taken, case.workers, case.seed)
        found = self.judge(case, played)
        # The case leaves out in which order things were ready: what was found must show without that, too.
        return found if found is None or played.finding is not None else self.look(case)

    def judge(self, case: Case, played: Played) -> Finding | None:
        """What does not hold in a case that was played like this, by itself or next to the undisturbed one."""
        if played.finding is not None:
            return Finding(played.finding.law, played.finding.why, case, None, played.finding.at_us)
        calm = undisturbed(case.program)
        if not case.schedule and calm is case.program:
            return None
        clean = self.clean(calm, case.seed)
        if clean.finding is not None:
            return None
        return self._compare(clean, played, case) or self._remembered(played, case)

    def clean(self, program: Program, seed: int) -> Played:
        """A program with nothing going wrong."""
        for one, its_seed, played in self._cleaned:
            if one is program and its_seed == seed:
                return played
        played = self.play(Case(program, seed=seed))
        self._cleaned.append((program, seed, played))
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
        if "memory_is_lost" not in self.laws or not self._uses_memory or not _kills(case):
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


def _kills(case: Case) -> bool:
    return any(step.method in DEATHS for step in case.program) or any(
        one.fault.startswith(("crash", "fail during")) for one in case.schedule
    )
