"""Where cases come from: what a clean run shows, every single fault, and faults and programs at random."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec

from durable_primitives.testing.checking.explorer import NoClientSwarm
from durable_primitives.testing.checking.laws import MANY_RUNS, StateIsBounded
from durable_primitives.testing.checking.playing import Case
from durable_primitives.testing.checking.programs import Program
from durable_primitives.testing.simulation import Deviation, Point, every_deviation
from durable_primitives.testing.tiers.coverage import cover
from durable_primitives.testing.tiers.setting import Find, Setting, Tier

SHARP = ("handler_error", "crash", "shutdown")
"""Kinds that make user code run again, or end it: most of what can be wrong with it shows under them."""

_FIRST = ("handler_error", "crash", "shutdown", "handler_timeout", "store_error", "zombie", "delay", "clock", "alarm")


def survey(setting: Setting) -> Iterator[Find]:
    """A few programs without a fault: every value once, large batches, jobs that have run for long."""
    explorer, programs = setting.explorer, setting.programs
    for program in (programs.plain(), programs.survey(), *programs.extra()):
        yield explorer.look(Case(program, seed=setting.seed))
    if explorer.subject.definition.kind == "continuous":
        yield _grown(setting)


def coverage(setting: Setting) -> Iterator[Find]:
    """Every fault at every site, once; raises `CoverageError` if that cannot be."""
    return cover(setting.explorer, setting.programs, setting.kinds, setting.seed)


def undisturbed(setting: Setting) -> Iterator[Find]:
    """Programs at random without a fault: what goes wrong with calls alone."""
    draws = random.Random(f"undisturbed {setting.seed}")
    for _ in range(40):
        yield setting.explorer.look(Case(setting.programs.draw(draws), seed=setting.seed))


def _grown(setting: Setting) -> Find:
    """Whether a job's state has a bound: looked at for long only if it grows at first."""
    explorer, programs = setting.explorer, setting.programs
    codec = explorer.subject.definition.codec
    sizes: list[int] = []
    for runs in (10, 40):
        states = explorer.play(Case(programs.repeated(runs), seed=setting.seed)).states
        sizes.append(max((len(codec.encode(state)) for state in states.values()), default=0))
    if sizes[1] - sizes[0] < 20:
        return None
    if StateIsBounded.law not in explorer.laws:
        return None
    return explorer.play(
        Case(programs.repeated(MANY_RUNS), seed=setting.seed), laws=frozenset({StateIsBounded.law})
    ).finding


def sweep(setting: Setting) -> Iterator[Find]:
    """Every fault at every point of a few programs, one at a time; first those that hit handlers hardest."""
    programs, seed = setting.programs, setting.seed
    chosen = [*map(programs.single, programs.few), programs.plain(0), programs.plain(3)]
    sharp = [kind for kind in setting.kinds if kind in SHARP]
    rounds: list[tuple[int, Sequence[str]]] = [(1, sharp), (1, _but(setting.kinds, *SHARP, "zombie"))]
    if "zombie" in setting.kinds:
        rounds.append((2, ("zombie",)))
    for workers, kinds in rounds:
        for program in chosen:
            clean = setting.explorer.play(Case(program, workers=workers, seed=seed), notes_points=True)
            points = [point for point in clean.points if point.actor != "client" and point.site != "turn"]
            for schedule in _schedules(setting, points, kinds):
                yield setting.explorer.look(Case(program, schedule, workers, seed))


def _schedules(setting: Setting, points: Sequence[Point], kinds: Sequence[str]) -> Iterator[tuple[Deviation, ...]]:
    if "handler_error" in kinds:
        yield from _all_attempts(setting, points)
    handlers = [point for point in points if point.site == "handler"]
    commits = [point for point in points if point.site == "commit"]
    others = [point for point in points if point.site not in ("handler", "commit")]
    for some in (handlers, commits, others):
        for kind in kinds:
            for deviation in every_deviation(some, [kind]):
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


def machines(setting: Setting) -> Iterator[Find]:
    """Programs of a Hypothesis state machine, with crashes and failures among their steps; none without Hypothesis."""
    if find_spec("hypothesis") is not None:
        from durable_primitives.testing.tiers import machine

        yield from machine.machines(setting)


def _but(kinds: Sequence[str], *names: str) -> tuple[str, ...]:
    return tuple(kind for kind in kinds if kind not in names)


def in_order(kinds: Sequence[str]) -> tuple[str, ...]:
    """The kinds of faults, those first that find most."""
    return tuple(sorted(kinds, key=lambda kind: (_FIRST.index(kind) if kind in _FIRST else len(_FIRST), kind)))


FIRST: tuple[Tier, ...] = (survey,)
"""Tiers that are played to their end."""

TURNS: tuple[tuple[Tier, int], ...] = ((undisturbed, 1), (sweep, 8), (swarm, 3), (machines, 2))
"""Tiers that then take turns, and how many cases each plays at a time: the order never depends on the time."""

LAST: tuple[Tier, ...] = (coverage,)
"""Tiers that are played to their end when it is enough of the others."""


def all_tiers(setting: Setting, enough: Callable[[], bool]) -> Iterator[tuple[str, Find]]:
    """Every case of every tier, in an order that depends on nothing but the setting; with the name of its tier."""
    yield from _to_the_end(setting, FIRST)
    running = [(tier.__name__, tier(setting), turns) for tier, turns in TURNS]
    while running and not enough():
        for name, cases, turns in list(running):
            for _ in range(turns):
                try:
                    yield name, next(cases)
                except StopIteration:
                    running = [one for one in running if one[0] != name]
                    break
                if enough():
                    break
    yield from _to_the_end(setting, LAST)


def _to_the_end(setting: Setting, tiers: Iterable[Tier]) -> Iterator[tuple[str, Find]]:
    for tier in tiers:
        for finding in tier(setting):
            yield tier.__name__, finding
