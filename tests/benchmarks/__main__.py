"""``python -m tests.benchmarks [--backend NAME]... [--case NAME]... [--persistence MODE] [--out FILE.json]``."""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from durable_primitives import _core
from tests.benchmarks.cases import CASES, run
from tests.benchmarks.machine import measure
from tests.benchmarks.report import Report
from tests.benchmarks.server import PERSISTENCE, missing, serving
from tests.benchmarks.stores import RedisStore, SQLiteStore, Store

BACKENDS = ("memory", "sqlite", "redis")


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--persistence", choices=list(PERSISTENCE), default="none", help="of the Redis server")
    parser.add_argument("--out", help="write the figures as JSON")
    options = parser.parse_args()
    report, server = Report(), None
    print(f"core: {_core.implementation}")
    # A process for each: none is slower, or smaller, for what another left in the heap.
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="durable-primitives-bench-", dir=".") as name,
        ExitStack() as stack,
        ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes,
    ):
        folder = Path(name).absolute()
        stores: list[Store] = []
        for backend in options.backend or BACKENDS:
            if backend == "memory":
                stores.append(Store(backend))
            elif backend == "sqlite":
                stores.append(SQLiteStore(backend, folder))
            elif reason := missing():
                print(f"{backend}: left out, {reason}")
            else:
                store = RedisStore(backend, stack.enter_context(serving(folder, options.persistence)))
                server = f"{store.version()}, persistence {options.persistence}"
                print(f"{backend}: {server}")
                stores.append(store)
        limits, figures = processes.submit(measure, folder, stores).result()
        report.extend(figures)
        for case in options.case or CASES:
            for store in stores:
                report.extend(processes.submit(run, case, store, limits.get(store.backend)).result())
    if options.out:
        report.save(options.out, server)


if __name__ == "__main__":
    main()
