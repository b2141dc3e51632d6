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

from tests.benchmarks.stores import Store


@dataclass(frozen=True)
class Cpu:
    """For each event, microseconds."""

    client_us: float
    server_us: float | None
    """Where the store is a process of its own."""


@dataclass
class Figure:
    """One measurement; `limit` is what the bare machine does in the same run."""

    case: str
    backend: str
    value: float
    unit: str
    limit: float | None = None
    limit_name: str = ""
    cpu: Cpu | None = None


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

    def save(self, path: str, server: str | None) -> None:
        machine = {
            "python": sys.version,
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "sqlite": sqlite3.sqlite_version,
            "server": server,
        }
        with open(path, "w") as file:
            json.dump({"machine": machine, "figures": [asdict(figure) for figure in self.figures]}, file, indent=1)


def _line(figure: Figure) -> str:
    text = f"{figure.case:<46} {figure.backend:<12} {_number(figure.value):>10} {figure.unit:<8}"
    if figure.cpu is not None:
        both = f"{figure.cpu.client_us:.1f}"
        if figure.cpu.server_us is not None:
            both += f" + {figure.cpu.server_us:.1f}"
        text += f" {both:>11} µs CPU"
    elif figure.limit is not None:
        text += " " * 19
    if figure.limit is not None:
        text += f"   {figure.value / figure.limit:5.2f}x of {figure.limit_name} ({_number(figure.limit)})"
    return text


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


class Stopwatch:
    """Wall and CPU time of a block."""

    seconds = 0.0
    cpu_seconds = 0.0
    server_cpu_seconds: float | None = None

    def rate(self, count: int) -> float:
        return count / self.seconds

    def cpu(self, count: int) -> Cpu:
        server = self.server_cpu_seconds
        return Cpu(self.cpu_seconds / count * 1e6, None if server is None else server / count * 1e6)


@contextmanager
def stopwatch(store: Store) -> Generator[Stopwatch]:
    """Time a block, here and in the store's server."""
    watch, server = Stopwatch(), store.server_cpu_seconds()
    wall, cpu = time.perf_counter(), time.process_time()
    yield watch
    watch.seconds, watch.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    if server is not None:
        watch.server_cpu_seconds = (store.server_cpu_seconds() or 0.0) - server


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
