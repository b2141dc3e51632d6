"""``python -m tests.benchmarks [--backend NAME]... [--case TEXT]... [--out FILE.json]``."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from durable_primitives import _core
from tests.benchmarks import latency, sleeping, throughput
from tests.benchmarks.machine import Limits
from tests.benchmarks.report import Report

CASES = (*throughput.CASES, *latency.CASES, *sleeping.CASES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--backend", action="append", choices=["memory", "sqlite"])
    parser.add_argument("--case", action="append", help=f"one of {', '.join(case.__name__ for case in CASES)}")
    parser.add_argument("--out", help="write the figures as JSON")
    options = parser.parse_args()
    report = Report()
    print(f"core: {_core.implementation}")
    with tempfile.TemporaryDirectory(prefix="durable-primitives-bench-", dir=".") as folder:
        limits = Limits(Path(folder), report)
        for case in CASES:
            if options.case and case.__name__ not in options.case:
                continue
            for backend in options.backend or ["memory", "sqlite"]:
                asyncio.run(case(backend, Path(folder).absolute(), limits, report))
    if options.out:
        report.save(options.out)


if __name__ == "__main__":
    main()
