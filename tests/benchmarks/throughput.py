"""Events in and events out."""

from __future__ import annotations

import asyncio

import msgspec

from durable_primitives import Buffer, Queue, WorkerOptions, create_durable_primitives
from tests.benchmarks.limits import Limits
from tests.benchmarks.report import Figure, Report, Stopwatch, stopwatch
from tests.benchmarks.stores import Store

SECONDS = 2.0
BACKLOG = 40_000


class Event(msgspec.Struct):
    """About 200 bytes stored."""

    serial: int
    customer: str
    body: str
    amount: float
    test: bool


def event(serial: int) -> Event:
    return Event(serial, f"customer-{serial % 1000}", "x" * 150, serial / 7, serial % 2 == 0)


async def _ignore(ctx: object) -> None:
    return None


queue = Queue.make("events", event_schema=Event, execute=_ignore, concurrency=5)
buffer = Buffer.make("digests", event_schema=Event, flush_after="1 hour", execute=_ignore)
application = create_durable_primitives(queue, buffer)


def _rate(
    case: str, store: Store, watch: Stopwatch, count: int, limits: Limits | None = None, batch: int = 1
) -> Figure:
    """With the CPU of each event; `batch` chooses the limit."""
    limit, name = limits.write(batch) if limits else (None, "")
    return Figure(case, store.backend, watch.rate(count), "/s", limit, name, watch.cpu(count))


async def enqueue(store: Store, limits: Limits | None, report: Report) -> None:
    """Closed loops: each caller awaits its own acknowledgement before its next call."""
    for callers in (1, 100, 1000):
        count = 0
        async with application.open(store.fresh(), worker=False) as running:
            client = running.client.queue(queue)
            end = asyncio.get_running_loop().time() + SECONDS

            async def caller() -> None:
                nonlocal count
                while asyncio.get_running_loop().time() < end:  # noqa: B023 - run within this round
                    count += 1
                    await client.enqueue(event(count))  # noqa: B023

            with stopwatch(store) as watch:
                await asyncio.gather(*(caller() for _ in range(callers)))
        name = f"enqueue, {callers:,} callers" if callers > 1 else "enqueue, 1 caller"
        report.add(_rate(name, store, watch, count, limits, callers))


async def enqueue_bulk(store: Store, limits: Limits | None, report: Report) -> None:
    """`enqueue_many` with 1,000 events a call."""
    async with application.open(store.fresh(), worker=False) as running:
        client, count = running.client.queue(queue), 0
        with stopwatch(store) as watch:
            while count < BACKLOG:
                await client.enqueue_many([event(count + n) for n in range(1000)])
                count += 1000
    report.add(_rate("enqueue, bulk of 1,000", store, watch, count, limits, 1000))


async def drain(store: Store, limits: Limits | None, report: Report) -> None:
    """One worker, a handler that does nothing, a backlog."""
    async with application.open(store.fresh(), worker=False) as running:
        client = running.client.queue(queue)
        for start in range(0, BACKLOG, 1000):
            await client.enqueue_many([event(start + n) for n in range(1000)])
        # The same engine, so that a store in memory can be drained too.
        from durable_primitives.engine.worker import Worker

        worker = Worker(running.engine, WorkerOptions())
        with stopwatch(store) as watch:
            worker.start()
            while (await client.status()).processed < BACKLOG:
                await asyncio.sleep(0.01)
        await worker.stop()
    report.add(_rate("drain of no-op events", store, watch, BACKLOG))


async def through(store: Store, limits: Limits | None, report: Report) -> None:
    """100 callers and the worker in one process: CPU from the call to the end of the event."""
    async with application.open(store.fresh()) as running:
        client = running.client.queue(queue)

        async def caller(share: int) -> None:
            for serial in range(share):
                await client.enqueue(event(serial))

        with stopwatch(store) as watch:
            await asyncio.gather(*(caller(BACKLOG // 100) for _ in range(100)))
            while (await client.status()).processed < BACKLOG:
                await asyncio.sleep(0.005)
    report.add(_rate("enqueue to completion, 100 callers", store, watch, BACKLOG))


async def add(store: Store, limits: Limits | None, report: Report) -> None:
    """100 callers add to 100 buffers."""
    count = 0
    async with application.open(store.fresh(), worker=False) as running:
        client = running.client.buffer(buffer)
        end = asyncio.get_running_loop().time() + SECONDS

        async def caller(key: str) -> None:
            nonlocal count
            while asyncio.get_running_loop().time() < end:
                count += 1
                await client.add(key, event(count))

        with stopwatch(store) as watch:
            await asyncio.gather(*(caller(f"account-{n}") for n in range(100)))
    report.add(_rate("add to a buffer, 100 callers", store, watch, count, limits, 100))


CASES = (enqueue, enqueue_bulk, drain, through, add)
