"""Choices by name: a schedule is a short list of deviations from the boring default.

A choice is named by its site, its subject, its actor and its occurrence, never by its place on a tape, so that a
schedule stays true when something else in the program changes, and can be read:
``crash after commit 2 of buffer:b:1 by worker 1``.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from msgspec import Struct

from durable_primitives.durations import format_ms, parse_ms
from durable_primitives.errors import DefinitionError, unknown_option
from durable_primitives.testing.simulation.faults import AMOUNTS, FAULTS, KINDS, Site, Unit


class Point(Struct, frozen=True):
    """One choice that came up: the `nth` time that `actor` was at `site` with `subject`.

    >>> str(Point("commit", "worker 1", "buffer:b:1", 2))
    'commit 2 of buffer:b:1 by worker 1'
    """

    site: Site
    actor: str
    subject: str
    """The instance; empty where there is none."""
    nth: int

    def __str__(self) -> str:
        of = f" of {self.subject}" if self.subject else ""
        return f"{self.site} {self.nth}{of} by {self.actor}"


_TEXT = re.compile(
    r"(?P<fault>.+?) (?P<site>[a-z]+) (?P<nth>\d+)(?: of (?P<subject>.+))? by (?P<actor>worker \d+|client|loop)"
    r"(?: for (?P<amount>\S+)(?: (?:commits?|places?))?)?"
)


class Deviation(Struct, frozen=True):
    """One thing that goes otherwise than usual.

    >>> deviation = Deviation.parse("delay commit 1 of queue:mails:0 by worker 1 for 5s")
    >>> deviation.point.nth, deviation.fault, deviation.amount
    (1, 'delay', 5000)
    >>> str(deviation)
    'delay commit 1 of queue:mails:0 by worker 1 for 5s'
    """

    point: Point
    fault: str
    amount: int = 0
    """Milliseconds, commits or places: whatever the fault counts."""

    def __str__(self) -> str:
        match unit_of(self.point.site, self.fault):
            case "":
                extent = ""
            case "ms":
                extent = f" for {format_ms(self.amount)}"
            case unit:
                extent = f" for {self.amount} {unit if self.amount != 1 else unit[:-1]}"
        return f"{self.fault} {self.point}{extent}"

    @classmethod
    def parse(cls, text: str) -> Deviation:
        """Read what ``str`` wrote.

        Raises:
            DefinitionError: It cannot be read, or there is no such fault at that site.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None or match["site"] not in FAULTS:
            raise DefinitionError(
                f"{text!r} is no deviation", help="write for example 'crash after commit 2 of buffer:b:1 by worker 1'"
            )
        site = cast("Site", match["site"])
        unit, amount = unit_of(site, match["fault"]), 0
        if match["amount"] is not None:
            amount = parse_ms(match["amount"], what="for") if unit == "ms" else int(match["amount"])
        elif unit:
            amount = AMOUNTS[unit][-1]
        return cls(Point(site, match["actor"], match["subject"] or "", int(match["nth"])), match["fault"], amount)


def unit_of(site: Site, fault: str) -> Unit:
    """What the amount of a fault counts; a `DefinitionError` if the site has no such fault."""
    unit = FAULTS[site].get(fault)
    if unit is None:
        raise unknown_option(fault, FAULTS[site], f"the site {site!r}")
    return unit


class Swarm:
    """Deviations drawn from a seed: a random subset of the kinds of faults, each site deviating now and then.

    Args:
        seed: The same seed draws the same.
        kinds: Keys of `KINDS` to choose the subset from; all of them by default.
        share: The chance that a kind is in the subset.
        rate: The chance that a point deviates.
        limit: How many deviations there are at most; reorderings count apart.
    """

    def __init__(
        self,
        seed: int,
        *,
        kinds: Iterable[str] = tuple(KINDS),
        share: float = 0.5,
        rate: float = 0.05,
        limit: int = 8,
    ) -> None:
        self._random = random.Random(seed)
        self._rate = rate
        self._left = {"turn": limit, "": limit}
        self.kinds = tuple(kind for kind in sorted(kinds) if self._random.random() < share)
        self._faults: dict[Site, tuple[str, ...]] = {
            site: tuple(sorted({fault for kind in self.kinds for fault in KINDS[kind].get(site, ())}))
            for site in FAULTS
        }

    def draw(self, point: Point, options: int) -> Deviation | None:
        """What to do at a point: nothing, mostly.  `options`: how many there are to choose from, for a `turn`."""
        faults = self._faults[point.site]
        budget = "turn" if point.site == "turn" else ""
        if not faults or not self._left[budget] or self._random.random() >= self._rate:
            return None
        fault = self._random.choice(faults)
        if point.actor == "client" and fault.startswith(("crash", "shut", "pause", "freeze")):
            return None
        self._left[budget] -= 1
        amount = self._random.choice(AMOUNTS[FAULTS[point.site][fault]])
        return Deviation(point, fault, min(amount, options - 1) if options else amount)


_Key = tuple[Site, str, str]


class Armed(Protocol):
    """A fault that waits for its chance, whichever point that will be."""

    def fits(self, point: Point) -> str | None:
        """The fault, if this is its chance."""
        ...


class Choices:
    """Decides at every point of one simulation.

    Args:
        schedule: Deviations, or their text.
        swarm: Draws further ones.
    """

    def __init__(self, schedule: Iterable[Deviation | str] = (), swarm: Swarm | None = None) -> None:
        deviations = [Deviation.parse(one) if isinstance(one, str) else one for one in schedule]
        self._planned: dict[_Key, dict[int, Deviation]] = {}
        for deviation in deviations:
            point = deviation.point
            self._planned.setdefault((point.site, point.actor, point.subject), {})[point.nth] = deviation
        self._swarm = swarm
        self._counts: dict[_Key, int] = {}
        self.armed: list[Armed] = []
        self.healed = False
        """Nothing deviates any more but what was planned."""
        self.taken: list[Deviation] = []
        """The deviations that came to pass: as a schedule, they make the same history again."""
        self.points: list[Point] | None = None
        """Every point that came up, if somebody wants to know: set it to ``[]`` before the simulation runs."""

    @property
    def reorders(self) -> bool:
        """Whether the order of ready callbacks may deviate."""
        return self._swarm is not None or any(site == "turn" for site, _, _ in self._planned)

    @property
    def missed(self) -> list[Deviation]:
        """Planned deviations whose point has not come up."""
        planned = [deviation for by_nth in self._planned.values() for deviation in by_nth.values()]
        return [deviation for deviation in planned if deviation not in self.taken]

    def counts(self, *, but: str) -> Mapping[Site, int]:
        """How often each site came up so far, for any actor but this one."""
        found = Counter[Site]()
        for (site, actor, _), count in self._counts.items():
            found[site] += count if actor != but else 0
        return +found

    def at(self, site: Site, actor: str, subject: str = "", options: int = 0) -> Deviation | None:
        """What happens at a point that comes up now; None: the usual."""
        key = (site, actor, subject)
        nth = self._counts[key] = self._counts.get(key, 0) + 1
        deviation = None
        if self._planned and key in self._planned:
            deviation = self._planned[key].get(nth)
        if self.points is not None or (self._draws and deviation is None):
            point = Point(site, actor, subject, nth)
            if self.points is not None:
                self.points.append(point)
            if deviation is None and not self.healed:
                deviation = self._armed_for(point)
                if deviation is None and self._swarm is not None:
                    deviation = self._swarm.draw(point, options)
        if deviation is not None:
            self.taken.append(deviation)
        return deviation

    @property
    def _draws(self) -> bool:
        return bool(self.armed) or self._swarm is not None

    def _armed_for(self, point: Point) -> Deviation | None:
        for armed in self.armed:
            fault = armed.fits(point)
            if fault is not None:
                return Deviation(point, fault, 0)
        return None


def every_deviation(points: Iterable[Point], kinds: Iterable[str] = tuple(KINDS)) -> Iterable[Deviation]:
    """All single deviations at the given points: what a sweep of depth one tries, one after the other."""
    chosen = tuple(kinds)
    for point in points:
        faults: set[Any] = {fault for kind in chosen for fault in KINDS[kind].get(point.site, ())}
        for fault in sorted(faults):
            unit = FAULTS[point.site][fault]
            for amount in AMOUNTS[unit]:
                yield Deviation(point, fault, amount)
