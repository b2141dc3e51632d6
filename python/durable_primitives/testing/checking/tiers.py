"""Where cases come from: what a clean run shows, every single fault, and faults and programs at random."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from durable_primitives.testing.checking.explorer import Case, Explorer, Finding, NoClientSwarm
from durable_primitives.testing.checking.laws import MANY_RUNS
from durable_primitives.testing.checking.programs import Program, Programs
from durable_primitives.testing.simulation import Deviation, Point, every_deviation

Find = Finding | None

_FIRST = ("handler_error", "crash", "shutdown", "handler_timeout", "store_error", "zombie", "delay", "clock", "alarm")


class Setting(Struct):
    """What all tiers work with."""

    explorer: Explorer
    programs: Programs
    kinds: tuple[str, ...]
    """The kinds of faults to try."""
    seed: int


Tier = Callable[[Setting], Iterator[Find]]
"""Plays one case after the other, and yields what each of them led to; whoever iterates may stop at any time."""


def undisturbed(setting: Setting) -> Iterator[Find]:
    """Programs without a fault: what goes wrong with the events alone."""
    explorer, programs = setting.explorer, setting.programs
    first = [programs.plain(), programs.survey(), *programs.extra()]
    for program in first:
        explorer.look_at_memory(program)
        yield explorer.look(Case(program, seed=setting.seed))
    if explorer.subject.definition.kind == "continuous":
        yield _grown(setting)
    draws = random.Random(f"undisturbed {setting.seed}")
    for _ in range(40):
        yield explorer.look(Case(programs.draw(draws), seed=setting.seed))


def _grown(setting: Setting) -> Find:
    """Whether a job's state has a bound: looked at for long only if it grows at first."""
    explorer, programs = setting.explorer, setting.programs
    codec = explorer.subject.definition.codec
    sizes: list[int] = []
    for runs in (10, 40):
        states = explorer.play(Case(programs.repeated(runs), seed=setting.seed)).states
        sizes.append(max((len(codec.encode(state)) for state in states.values()), default=0))
    if sizes[1] - sizes[0] < 30:
        return None
    return explorer.look(Case(programs.repeated(MANY_RUNS), seed=setting.seed))


def sweep(setting: Setting) -> Iterator[Find]:
    """Every fault at every point of a few programs, one at a time."""
    programs = setting.programs
    for program in (programs.single(), *(programs.plain(first) for first in (0, 3, 6))):
        for workers, kinds in ((1, _but(setting.kinds, "zombie")), (2, _only(setting.kinds, "zombie"))):
            clean = setting.explorer.play(Case(program, workers=workers, seed=setting.seed), notes_points=True)
            points = [point for point in clean.points if point.actor != "client" and point.site != "turn"]
            for schedule in _schedules(setting, points, kinds):
                yield setting.explorer.look(Case(program, schedule, workers, setting.seed))


def _schedules(setting: Setting, points: Sequence[Point], kinds: Sequence[str]) -> Iterator[tuple[Deviation, ...]]:
    if "handler_error" in kinds:
        yield from _all_attempts(setting, points)
    handlers = [point for point in points if point.site == "handler"]
    others = [point for point in points if point.site != "handler"]
    for kind in kinds:
        for deviation in every_deviation([*handlers, *others], [kind]):
            yield (deviation,)


def _all_attempts(setting: Setting, points: Sequence[Point]) -> Iterator[tuple[Deviation, ...]]:
    """The same work fails again and again, until nothing is left of its attempts."""
    most: int = min(setting.explorer.subject.definition.retry.max_attempts, 12)
    subjects = dict.fromkeys((point.actor, point.subject) for point in points if point.site == "handler")
    executions = Counter((point.actor, point.subject) for point in points if point.site == "handler")
    for actor, subject in subjects:
        # Each of several events may have to fail as often as it may: then all executions fail.
        for count in sorted({*range(1, most + 1), most * min(executions[actor, subject], 4)}):
            for fault in ("fail", "fail the end of"):
                yield tuple(Deviation(Point("handler", actor, subject, nth), fault) for nth in range(1, count + 1))


def swarm(setting: Setting) -> Iterator[Find]:
    """Programs at random, under random subsets of faults."""
    number = 0
    while True:
        number += 1
        seed = f"{setting.seed}/{number}"
        draws = random.Random(seed)
        program: Program = setting.programs.draw(draws)
        case = Case(program, (), draws.choice((1, 1, 2)), setting.seed)
        drawn = NoClientSwarm(draws.getrandbits(32), kinds=setting.kinds, rate=draws.choice((0.02, 0.05, 0.15)))
        yield setting.explorer.look(case, drawn)


def _but(kinds: Sequence[str], *names: str) -> tuple[str, ...]:
    return tuple(kind for kind in kinds if kind not in names)


def _only(kinds: Sequence[str], *names: str) -> tuple[str, ...]:
    return tuple(kind for kind in kinds if kind in names)


def in_order(kinds: Sequence[str]) -> tuple[str, ...]:
    """The kinds of faults, those first that find most."""
    return tuple(sorted(kinds, key=lambda kind: (_FIRST.index(kind) if kind in _FIRST else len(_FIRST), kind)))


TIERS: tuple[tuple[Tier, float], ...] = ((undisturbed, 0.2), (sweep, 0.5), (swarm, 1.0))
"""The tiers in order, and up to which share of the budget each may go."""
