"""How soon: from the call to the handler's first line, and from the due time to it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from durable_primitives import Enqueue, Queue, QueueExecuteContext, create_durable_primitives
from durable_primitives.durations import to_datetime
from tests.benchmarks.limits import REST_SECONDS, Limits
from tests.benchmarks.report import Figure, Report, percentile
from tests.benchmarks.stores import Store

SAMPLES = 500
GAP_SECONDS = REST_SECONDS
TIMERS = 300
BURST = 10_000

_started: list[tuple[int, int]] = []


async def _note(ctx: QueueExecuteContext[int]) -> None:
    _started.append((ctx.event, time.time_ns()))


queue = Queue.make("latency", event_schema=int, execute=_note)
wide = Queue.make("burst", event_schema=int, execute=_note, concurrency=5)
application = create_durable_primitives(queue, wide)


def _add(report: Report, case: str, store: Store, values_ms: list[float], limit_ms: float | None = None) -> None:
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        limit = limit_ms if name == "p50" else None
        value = percentile(values_ms, share)
        report.add(Figure(f"{case}, {name}", store.backend, value, "ms", limit, "a bare commit after a rest"))


async def to_start(store: Store, limits: Limits | None, report: Report) -> None:
    """An idle worker in the same process."""
    _started.clear()
    async with application.open(store.fresh()) as running:
        client = running.client.queue(queue)
        for _ in range(SAMPLES):
            await client.enqueue(time.time_ns())
            await asyncio.sleep(GAP_SECONDS)
    limit = limits.rested_ms if limits else None
    _add(report, "enqueue to start, one process", store, [(at - sent) / 1e6 for sent, at in _started], limit)


async def across_processes(store: Store, limits: Limits | None, report: Report) -> None:
    """An idle worker in another process."""
    if store.backend == "memory":
        return
    url = store.fresh()
    async with application.open(url, worker=False) as running:
        command = [sys.executable, "-m", "tests.benchmarks.latency", url]
        worker = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert worker.stdout is not None
        await worker.stdout.readline()
        client = running.client.queue(queue)
        for _ in range(SAMPLES // 2):
            await client.enqueue(time.time_ns())
            await asyncio.sleep(GAP_SECONDS * 2)
        output, _ = await worker.communicate(b"\n")
    pairs = [tuple(map(int, line.split())) for line in output.decode().splitlines()]
    _add(report, "enqueue to start, two processes", store, [(at - sent) / 1e6 for sent, at in pairs])


async def timers(store: Store, limits: Limits | None, report: Report) -> None:
    """100 timers a second for three seconds."""
    _started.clear()
    async with application.open(store.fresh()) as running:
        client = running.client.queue(queue)
        base = time.time_ns() // 1_000_000 + 300
        for n in range(TIMERS):
            await client.enqueue((base + n * 10) * 1_000_000, at=to_datetime(base + n * 10))
        while len(_started) < TIMERS:
            await asyncio.sleep(0.05)
    late = [(at - due) / 1e6 for due, at in _started]
    _add(report, "timer lateness, 100 a second", store, late)
    report.add(Figure("timer lateness, earliest", store.backend, min(late), "ms"))


async def burst(store: Store, limits: Limits | None, report: Report) -> None:
    """10,000 events due within one second."""
    _started.clear()
    async with application.open(store.fresh()) as running:
        client = running.client.queue(wide)
        base = time.time_ns() // 1_000_000 + 3000
        due = [base + n // (BURST // 1000) for n in range(BURST)]
        for start in range(0, BURST, 1000):
            part = due[start : start + 1000]
            await client.enqueue_many([Enqueue(at * 1_000_000, at=to_datetime(at)) for at in part])
        while len(_started) < BURST:
            await asyncio.sleep(0.05)
    late = [(at - when) / 1e6 for when, at in _started]
    _add(report, "10,000 due in one second, lateness", store, late)


async def _serve(url: str) -> None:
    async with application.open(url):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    for sent, at in _started:
        print(sent, at)


CASES = (to_start, across_processes, timers, burst)

if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
