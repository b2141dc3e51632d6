"""All cases by name, each run in a process of its own."""

from __future__ import annotations

import asyncio
import logging

from tests.benchmarks import footprint, latency, sleeping, throughput
from tests.benchmarks.limits import Limits
from tests.benchmarks.report import Figure, Report
from tests.benchmarks.stores import Store

CASES = {case.__name__: case for case in (*throughput.CASES, *latency.CASES, *sleeping.CASES, *footprint.CASES)}


def run(case: str, store: Store, limits: Limits | None) -> list[Figure]:
    """The figures of one case."""
    report = Report()
    # A store that cannot keep what it is given says so at each opening; the run's first lines say it once.
    logging.getLogger("durable_primitives").setLevel(logging.ERROR)
    asyncio.run(CASES[case](store, limits, report))
    return report.figures
