"""What must be exercised: every fault that was asked for, at every site, whatever the budget."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msgspec import structs

from durable_primitives.testing.checking.explorer import Explorer
from durable_primitives.testing.checking.playing import Case, Finding
from durable_primitives.testing.checking.programs import Programs
from durable_primitives.testing.simulation import FAULTS, KINDS, Deviation, Point, Swarm
from durable_primitives.testing.simulation.faults import Site

_SLOW_MS = 40_000
"""So long a handler takes in which leases are renewed."""

SOMETIMES: frozenset[Site] = frozenset({"read", "renewal", "turn"})
"""Sites that not every definition comes to: a handler with a short timeout is over before its lease is renewed."""

_ZOMBIE = {fault for faults in KINDS["zombie"].values() for fault in faults}

_AMOUNTS = {"": 0, "ms": 5_000, "commits": 1, "places": 1}


class CoverageError(AssertionError):
    """`check` could not exercise what it was asked to: what it did not try, nothing is known about.

    Attributes:
        missed: What never came to pass, as ``"crash after handler"``.
    """

    def __init__(self, message: str, missed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.missed = missed


def cover(explorer: Explorer, programs: Programs, kinds: Collection[str], seed: int) -> Iterator[Finding | None]:
    """Every fault of these kinds at every site that it has, once.

    Raises:
        CoverageError: One of them never came to pass.
    """
    wanted = _faults(kinds)
    alone, among_two = (_places(explorer, programs, kinds, seed, workers) for workers in (1, 2))
    for site, faults in wanted.items():
        for number, fault in enumerate(faults):
            # Who comes back from a pause finds that somebody else has taken over.
            places = (among_two if fault in _ZOMBIE else alone)[site]
            if places:
                case, point = places[number % len(places)]
                deviation = Deviation(point, fault, _AMOUNTS[FAULTS[site][fault]])
                yield explorer.look(structs.replace(case, schedule=(*case.schedule, deviation)))
    missed = tuple(
        f"{fault} {site}"
        for site, faults in wanted.items()
        if alone[site] or site not in SOMETIMES
        for fault in faults
        if not explorer.faults[f"{fault} {site}"]
    )
    if missed:
        raise CoverageError(_told(explorer.subject.definition, missed), missed)


def _faults(kinds: Collection[str]) -> Mapping[Site, list[str]]:
    return {site: sorted({fault for kind in kinds for fault in KINDS[kind].get(site, ())}) for site in FAULTS}


def _places(
    explorer: Explorer, programs: Programs, kinds: Collection[str], seed: int, workers: int
) -> Mapping[Site, list[tuple[Case, Point]]]:
    """Where workers come to, in a few programs; and in one in which a handler is slow, if it may be."""
    found: dict[Site, list[tuple[Case, Point]]] = {site: [] for site in FAULTS}

    def look(case: Case, only: Site | None = None) -> None:
        points = explorer.play(case, swarm=Swarm(0, kinds=()), notes_points=True).points
        for point in points:
            if point.actor != "client" and only in (None, point.site):
                found[point.site].append((case, point))

    for program in (programs.single(), programs.plain(), *programs.extra()[1:2]):
        look(Case(program, workers=workers, seed=seed))
    if "handler_timeout" in kinds and found["handler"]:
        case, first = found["handler"][0]
        look(structs.replace(case, schedule=(Deviation(first, "delay", _SLOW_MS),)), only="renewal")
    return found


def _told(definition: Any, missed: tuple[str, ...]) -> str:
    what = f"check could not try everything on the {definition.kind} {definition.name!r}"
    if any(one.endswith(" handler") for one in missed):
        given = "inputs" if definition.kind == "continuous" else "events"
        return f"{what}: no handler ever ran; give {given} with which one does"
    return f"{what}; never came to pass: {', '.join(missed)}"
