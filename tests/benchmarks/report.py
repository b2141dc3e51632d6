"""Figures as they are collected, printed and compared."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field


@dataclass
class Figure:
    """One measurement; `limit` is what the bare machine does in the same run."""

    case: str
    backend: str
    value: float
    unit: str
    limit: float | None = None
    limit_name: str = ""
    cpu_us: float | None = None
    """Process CPU per event, microseconds."""


@dataclass
class Report:
    """All figures of one run."""

    figures: list[Figure] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)

    def extend(self, figures: list[Figure]) -> None:
        """Take over what another process has measured, and print it."""
        for figure in figures:
            self.figures.append(figure)
            print(_line(figure), flush=True)

    def save(self, path: str) -> None:
        machine = {
            "python": sys.version,
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "sqlite": sqlite3.sqlite_version,
        }
        with open(path, "w") as file:
            json.dump({"machine": machine, "figures": [asdict(figure) for figure in self.figures]}, file, indent=1)


def _line(figure: Figure) -> str:
    text = f"{figure.case:<44} {figure.backend:<12} {_number(figure.value):>10} {figure.unit:<8}"
    if figure.cpu_us is not None:
        text += f" {figure.cpu_us:6.1f} µs CPU"
    if figure.limit is not None:
        text += f"   {figure.value / figure.limit:5.2f}x of {figure.limit_name} ({_number(figure.limit)})"
    return text


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


class Stopwatch:
    """Wall and CPU time of a block."""

    seconds = 0.0
    cpu_seconds = 0.0

    def rate(self, count: int) -> float:
        return count / self.seconds

    def cpu_us(self, count: int) -> float:
        return self.cpu_seconds / count * 1e6


@contextmanager
def stopwatch() -> Generator[Stopwatch]:
    """Time a block."""
    watch = Stopwatch()
    wall, cpu = time.perf_counter(), time.process_time()
    yield watch
    watch.seconds, watch.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
