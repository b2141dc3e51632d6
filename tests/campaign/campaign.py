"""Many schedules, over all processors: what did not hold, and what was exercised."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from durable_primitives.testing.simulation import Deviation
from tests.campaign.crash_points import SCENARIOS, pairs, rehearse, singles
from tests.campaign.sometimes import POINTS, SAMPLED_POINTS, WORLDS, Sometimes
from tests.campaign.world import World

CHUNK = 25
"""Seeds that a process plays before it reports."""

SAMPLE_SEEDS = 500
SAMPLE_EVERY = 16
"""The sample of the gate: so many seeds, and every so manieth of the single faults."""


class Finding(NamedTuple):
    """One schedule under which something did not hold."""

    what: str
    """A seed or a scenario."""
    wrong: tuple[str, ...]
    schedule: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.what}:", *(f"    {one}" for one in self.wrong), "  under"]
        return "\n".join([*lines, *(f"    {one}" for one in self.schedule or ("nothing",))])


def by_seeds(seeds: Sequence[int], sometimes: Sometimes) -> Iterator[Finding | None]:
    """Play the worlds of some seeds."""
    for seed in seeds:
        world = World(seed, sometimes=sometimes)
        try:
            wrong = [str(violation) for violation in world.play()]
        except Exception as error:
            wrong = [f"it ended with {error!r}"]
        yield _finding(f"seed {seed}", wrong, world.faults)


def by_points(scenario: str, depth: int, every: int, sometimes: Sometimes) -> Iterator[Finding | None]:
    """Try the faults of one scenario, one or two at a time, or every so manieth of those."""
    calls = SCENARIOS[scenario]
    schedules = singles(calls) if depth == 1 else pairs(calls)
    for schedule in islice(schedules, 0, None, every):
        sometimes.went_wrong("at a point", schedule)
        try:
            wrong = rehearse(calls, schedule)
        except Exception as error:
            wrong = [f"it ended with {error!r}"]
        yield _finding(scenario, wrong, schedule)


def _finding(what: str, wrong: Sequence[str], schedule: Iterable[Deviation]) -> Finding | None:
    return Finding(what, tuple(wrong), tuple(map(str, schedule))) if wrong else None


class Campaign:
    """What many schedules came to.

    Args:
        processes: How many to spread them over; one for each processor by default.
        stop: End with the first finding.
    """

    def __init__(self, *, processes: int | None = None, stop: bool = False) -> None:
        self.schedules = 0
        self.findings: list[Finding] = []
        self.sometimes = Sometimes()
        self._exercises: set[str] = set()
        self._processes = processes or os.cpu_count() or 1
        self._stop = stop

    def sample(self) -> None:
        """The bounded campaign of the gate."""
        self._exercises |= WORLDS | SAMPLED_POINTS
        self.run([*_seeds(range(SAMPLE_SEEDS)), *_points(1, SAMPLE_EVERY)])

    def seeds(self, seeds: Sequence[int]) -> None:
        """The worlds of these seeds."""
        self._exercises |= WORLDS
        self.run(_seeds(seeds))

    def every_fault(self, depth: int, scenarios: Iterable[str] | None = None) -> None:
        """Every fault at every point of every scenario, or of some, one or two at a time."""
        if depth == 1 and scenarios is None:
            self._exercises |= POINTS
        self.run(_points(depth, 1, SCENARIOS if scenarios is None else scenarios))

    @property
    def never(self) -> list[str]:
        """What has not happened, and should have in what was played."""
        return self.sometimes.never(self._exercises)

    def run(self, jobs: Sequence[_Job]) -> None:
        """Play parts of a campaign."""
        if self._processes == 1:
            self._collect(map(_play, ((job, self._stop) for job in jobs)))
            return
        with multiprocessing.Pool(self._processes, logging.disable) as pool:
            self._collect(pool.imap_unordered(_play, [(job, self._stop) for job in jobs]))

    def _collect(self, parts: Iterable[_Part]) -> None:
        for count, findings, sometimes in parts:
            self.schedules += count
            self.findings += findings
            self.sometimes.add(sometimes)
            if self._stop and findings:
                return


_Job = tuple[Callable[..., Iterator[Finding | None]], tuple[object, ...]]
_Part = tuple[int, list[Finding], Sometimes]


def _seeds(seeds: Sequence[int]) -> list[_Job]:
    return [(by_seeds, (seeds[start : start + CHUNK],)) for start in range(0, len(seeds), CHUNK)]


def _points(depth: int, every: int, scenarios: Iterable[str] = SCENARIOS) -> list[_Job]:
    return [(by_points, (scenario, depth, every)) for scenario in scenarios]


def _play(work: tuple[_Job, bool]) -> _Part:
    (part, arguments), stop = work
    sometimes, findings, count = Sometimes(), list[Finding](), 0
    for finding in part(*arguments, sometimes):
        count += 1
        if finding is not None:
            findings.append(finding)
            if stop:
                break
    return count, findings, sometimes
