"""100,000 sleeping instances: what they cost while nothing is due."""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path

from durable_primitives import Continuous, create_durable_primitives
from tests.benchmarks.machine import Limits
from tests.benchmarks.report import Figure, Report, stopwatch
from tests.benchmarks.stores import fresh

INSTANCES = 100_000
IDLE_SECONDS = 5.0


async def _ignore(ctx: object) -> None:
    return None


job = Continuous.make(
    "job", state_schema=int, schedule=Continuous.every("6 hours"), start_immediately=False, execute=_ignore
)
application = create_durable_primitives(job)


def _rss_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def sleeping(backend: str, folder: Path, limits: Limits, report: Report) -> None:
    """Start them, let them sleep, and wake one."""
    url = fresh(backend, folder)
    async with application.open(url) as running:
        client, before = running.client.continuous(job), _rss_bytes()
        with stopwatch() as watch:
            for start in range(0, INSTANCES, 500):
                await asyncio.gather(*(client.start(f"user-{start + n}", start + n) for n in range(500)))
        report.add(Figure("start of 100,000 instances", backend, watch.rate(INSTANCES), "/s"))
        report.add(Figure("memory of a sleeping instance", backend, (_rss_bytes() - before) / INSTANCES, "bytes"))
        if backend != "memory":
            size = sum(path.stat().st_size for path in folder.glob(f"{Path(url).name}*"))
            report.add(Figure("file of a sleeping instance", backend, size / INSTANCES, "bytes"))
        with stopwatch() as watch:
            await asyncio.sleep(IDLE_SECONDS)
        report.add(Figure("idle CPU, 100,000 instances", backend, watch.cpu_seconds / watch.seconds * 100, "%"))
        woken = []
        for n in range(200):
            start_ns = time.perf_counter_ns()
            await client.trigger(f"user-{n * 7}")
            while (await client.status(f"user-{n * 7}")).run_count == 0:
                await asyncio.sleep(0)
            woken.append((time.perf_counter_ns() - start_ns) / 1e6)
        report.add(Figure("trigger to run among 100,000, p50", backend, sorted(woken)[100], "ms"))


CASES = (sleeping,)
