"""100,000 sleeping instances: what they cost while nothing is due."""

from __future__ import annotations

import asyncio
import resource
import time

from durable_primitives import Continuous, create_durable_primitives
from tests.benchmarks.limits import Limits
from tests.benchmarks.report import Figure, Report, stopwatch
from tests.benchmarks.stores import Store

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


async def sleeping(store: Store, limits: Limits | None, report: Report) -> None:
    """Start them, let them sleep, and wake one."""
    async with application.open(store.fresh()) as running:
        client, before, stored = running.client.continuous(job), _rss_bytes(), store.size()
        with stopwatch(store) as watch:
            for start in range(0, INSTANCES, 500):
                await asyncio.gather(*(client.start(f"user-{start + n}", start + n) for n in range(500)))
        rate = watch.rate(INSTANCES)
        report.add(Figure("start of 100,000 instances", store.backend, rate, "/s", cpu=watch.cpu(INSTANCES)))
        report.add(Figure("memory of a sleeping instance", store.backend, (_rss_bytes() - before) / INSTANCES, "bytes"))
        if stored and (size := store.size()):
            each = (size[1] - stored[1]) / INSTANCES
            report.add(Figure(f"{size[0]} of a sleeping instance", store.backend, each, "bytes"))
        with stopwatch(store) as watch:
            await asyncio.sleep(IDLE_SECONDS)
        report.add(Figure("idle CPU, 100,000 instances", store.backend, watch.cpu_seconds / watch.seconds * 100, "%"))
        if watch.server_cpu_seconds is not None:
            share = watch.server_cpu_seconds / watch.seconds * 100
            report.add(Figure("idle CPU of the server", store.backend, share, "%"))
        woken = []
        for n in range(200):
            start_ns = time.perf_counter_ns()
            await client.trigger(f"user-{n * 7}")
            while (await client.status(f"user-{n * 7}")).run_count == 0:
                await asyncio.sleep(0)
            woken.append((time.perf_counter_ns() - start_ns) / 1e6)
        report.add(Figure("trigger to run among 100,000, p50", store.backend, sorted(woken)[100], "ms"))


CASES = (sleeping,)
