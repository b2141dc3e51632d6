"""``python -m tests.benchmarks [--backend NAME]... [--case TEXT]... [--out FILE.json]``."""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from durable_primitives import _core
from tests.benchmarks.cases import CASES, run
from tests.benchmarks.machine import measure
from tests.benchmarks.report import Report
from tests.benchmarks.stores import BACKENDS


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--out", help="write the figures as JSON")
    options = parser.parse_args()
    report = Report()
    print(f"core: {_core.implementation}")
    # A process for each: none is slower, or smaller, for what another left in the heap.
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="durable-primitives-bench-", dir=".") as folder,
        ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes,
    ):
        limits, figures = processes.submit(measure, Path(folder).absolute()).result()
        report.extend(figures)
        for case in options.case or CASES:
            for backend in options.backend or BACKENDS:
                report.extend(processes.submit(run, case, backend, Path(folder).absolute(), limits).result())
    if options.out:
        report.save(options.out)


if __name__ == "__main__":
    main()
