"""All cases by name, each run in a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.benchmarks import latency, sleeping, throughput
from tests.benchmarks.machine import Limits
from tests.benchmarks.report import Figure, Report

CASES = {case.__name__: case for case in (*throughput.CASES, *latency.CASES, *sleeping.CASES)}


def run(case: str, backend: str, folder: Path, limits: Limits) -> list[Figure]:
    """The figures of one case."""
    report = Report()
    asyncio.run(CASES[case](backend, folder, limits, report))
    return report.figures
