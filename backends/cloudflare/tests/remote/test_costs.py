"""What an event costs on Cloudflare: rows written and requests, as the host counts them.

``python -m pytest backends/cloudflare/tests/remote/test_costs.py -s`` prints the figures of docs/how-to/cloudflare.md.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack, closing

import pytest
from msgspec import structs

from durable_primitives import Buffer, BufferExecuteContext, Queue, QueueExecuteContext, create_durable_primitives
from durable_primitives.spi import SystemRuntime
from durable_primitives_cloudflare.remote import RemoteBackend
from durable_primitives_cloudflare.remote.partitions import Usage

from .host import Host

DAYS = 60 * 24 * 60 * 60 * 1000
PATIENCE_SECONDS = 60.0


class Sleeper(RemoteBackend):
    """The worker's side; it says when the worker has nothing left to ask."""

    def __init__(self, host: Host, prefix: str) -> None:
        super().__init__(host.store_url(prefix), engine_keys=host.engine_keys, host_keys=host.host_keys)
        self.asleep = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        self.asleep.set()
        try:
            await super().wait(seconds)
        finally:
            self.asleep.clear()


class Meter:
    """What was used since it was made, without what the meter uses itself."""

    def __init__(self, backend: RemoteBackend, usage: Usage) -> None:
        self._backend, self._start, self._own = backend, usage, 1

    @classmethod
    async def start(cls, backend: RemoteBackend) -> Meter:
        return cls(backend, await backend.usage())

    async def until_idle(self) -> None:
        """Until nothing is stored that is still to be done."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                self._own += 1
                records = await self._backend.scan("", "", 100)
                if all(record.count == 0 and record.owner is None for record in records):
                    return
                await asyncio.sleep(0.02)

    async def sweep(self) -> None:
        """As a worker does once a minute, after the time of retention."""
        self._own += 1
        await self._backend.sweep(SystemRuntime().now() + DAYS, 100_000)

    async def read(self, what: str, events: int) -> tuple[float, float]:
        """Rows and requests per event, alarms among them; printed."""
        now = await self._backend.usage()
        used = {name: getattr(now, name) - getattr(self._start, name) for name in structs.asdict(now)}
        rows, requests = used["rows_written"] / events, (used["requests"] + used["alarms"] - self._own) / events
        print(f"\n{what}: {rows:.1f} rows and {requests:.1f} requests per event  ({events} events: {used})")
        return rows, requests


@pytest.mark.parametrize(
    ("takes", "seconds", "requests"),
    [
        # The enqueue, the alarm, the claim, the outcome with the next claim, the question when something is due again.
        ("no time", 0.0, 5),
        # The next claim does not wait for an outcome that is not there yet.
        ("a while", 0.1, 6),
    ],
)
async def test_queue_one_event_at_a_time(host: Host, prefix: str, takes: str, seconds: float, requests: int):
    """From a producer in one process to a worker in another, by a handler that takes so long."""
    handled = asyncio.Event()

    async def note(ctx: QueueExecuteContext[str]) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        handled.set()

    work = Queue.make("work", event_schema=str, execute=note)
    application = create_durable_primitives(work)
    worker = Sleeper(host, prefix)
    async with (
        AsyncExitStack() as opened,
        application.open(worker),
        application.open(host.backend(prefix, listen=None), worker=False) as producer,
    ):
        observer = await _observer(host, prefix, opened)

        async def one(meter: Meter, event: str) -> None:
            handled.clear()
            await producer.client.queue(work).enqueue(event)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await handled.wait()
                await worker.asleep.wait()
            await meter.until_idle()

        await one(await Meter.start(observer), "the first one makes the tables")
        meter = await Meter.start(observer)
        for number in range(20):
            await one(meter, f"event {number}")
        await meter.sweep()
        used = await meter.read(f"queue, one event at a time, a handler that takes {takes}", 20)

    assert used[0] <= 13
    assert used[1] <= requests


async def test_queue_a_hundred_at_a_time(host: Host, prefix: str, opened: AsyncExitStack):
    """From a producer in one process to a worker in another."""

    async def note(ctx: QueueExecuteContext[str]) -> None: ...

    work = Queue.make("work", event_schema=str, execute=note)
    application = create_durable_primitives(work)
    async with (
        application.open(host.backend(prefix)),
        application.open(host.backend(prefix, listen=None), worker=False) as producer,
    ):
        observer = await _observer(host, prefix, opened)
        meter = await Meter.start(observer)
        for number in range(10):
            await producer.client.queue(work).enqueue_many([f"event {number} {n}" for n in range(100)])
        await meter.until_idle()
        await meter.sweep()
        rows, requests = await meter.read("queue, a hundred at a time", 1000)

    assert rows <= 6
    assert requests <= 1


async def test_tables_cost_one_row_per_row(make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack):
    """A hidden row id is a row more; and each index is one."""
    host = make_host()
    await _observer(host, prefix, opened)
    host.stop()
    (path,) = (path for path in host.workerd.disk.rglob("*.sqlite") if len(path.stem) == 64)
    with closing(sqlite3.connect(path)) as stored:
        tables = [row for row in stored.execute("PRAGMA table_list") if not row[1].startswith(("sqlite_", "_cf_"))]
        indexes = stored.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()

    assert {name for _, name, *_ in tables} == {
        "setting", "instance", "item", "receipt", "letter", "letter_part", "upload"
    }  # fmt: skip
    assert [name for _, name, _, _, without_rowid, _ in tables if not without_rowid] == []
    assert {name for (name,) in indexes} == {"instance_alarm", "item_lane", "receipt_without_item"}


async def test_partition_keys(host: Host, prefix: str, opened: AsyncExitStack):
    """The index of lanes has a row for each event that has a key."""

    async def note(ctx: QueueExecuteContext[str]) -> None: ...

    plain = Queue.make("plain", event_schema=str, execute=note)
    keyed = Queue.make("keyed", event_schema=str, execute=note, partition_key=lambda event: event[-1])
    application = create_durable_primitives(plain, keyed)
    rows: list[float] = []
    async with application.open(host.backend(prefix)) as running:
        observer = await _observer(host, prefix, opened)
        for queue in (plain, keyed):
            meter = await Meter.start(observer)
            await running.client.queue(queue).enqueue_many([f"event {n}" for n in range(500)])
            await meter.until_idle()
            await meter.sweep()
            rows.append((await meter.read(f"queue {queue.name}, 500 at once", 500))[0])

    assert 0.5 < rows[1] - rows[0] < 2.5


async def test_buffer(host: Host, prefix: str, opened: AsyncExitStack):
    """Batches of twenty."""
    flushed = 0

    async def send(ctx: BufferExecuteContext[list[str]]) -> None:
        nonlocal flushed
        flushed += len(ctx.state)

    digest = Buffer.make("digest", event_schema=str, execute=send, flush_after="1 hour", max_events=20)
    application = create_durable_primitives(digest)
    async with (
        application.open(host.backend(prefix)),
        application.open(host.backend(prefix, listen=None), worker=False) as producer,
    ):
        observer = await _observer(host, prefix, opened)
        meter = await Meter.start(observer)
        buffer = producer.client.buffer(digest)
        for number in range(200):
            await buffer.add("one", f"event {number}")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while flushed < 200:
                await asyncio.sleep(0.02)
        await meter.until_idle()
        await meter.sweep()
        rows, requests = await meter.read("buffer, one event at a time, in batches of twenty", 200)

    assert rows <= 6
    assert requests <= 2


async def _observer(host: Host, prefix: str, opened: AsyncExitStack) -> RemoteBackend:
    backend = host.backend(prefix, listen=None)
    opened.push_async_callback(backend.close)
    await backend.open("default")
    return backend
