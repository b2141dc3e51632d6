"""What the bare machine does: the limits that our figures stand beside."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from pathlib import Path

from tests.benchmarks import bare_redis
from tests.benchmarks.limits import COMMITS, PAYLOAD, REST_SECONDS, SECONDS, Limits
from tests.benchmarks.report import Figure, percentile
from tests.benchmarks.stores import RedisStore, Store


def measure(folder: Path, stores: list[Store]) -> tuple[dict[str, Limits], list[Figure]]:
    """The limits by backend, and all figures about the machine."""
    sqlite = Limits("bare inserts", {batch: _inserts(folder, batch) for batch in (1, 100, 1000)}, _rested(folder))
    limits, figures = {"sqlite": sqlite}, [Figure("machine: 4 KiB append + fdatasync", "disk", _fsyncs(folder), "/s")]
    for batch, rate in sqlite.writes.items():
        figures.append(Figure(f"machine: bare sqlite3 inserts, {batch} a commit", "sqlite FULL", rate, "/s"))
    figures += [
        Figure("machine: bare commit after 5 ms of rest, p50", "sqlite FULL", sqlite.rested_ms, "ms"),
        Figure("machine: future resolved and awaited", "asyncio", asyncio.run(_futures()), "/s"),
        Figure("machine: create_task and await", "asyncio", asyncio.run(_tasks()), "/s"),
    ]
    for store in stores:
        if isinstance(store, RedisStore):
            limits[store.backend], found = bare_redis.measure(store)
            figures += found
    return limits, figures


def _fsyncs(folder: Path) -> float:
    page, count = os.urandom(4096), 0
    with open(folder / "fsync.bin", "wb", buffering=0) as file:
        start = time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            file.write(page)
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - start)


def _inserts(folder: Path, batch: int) -> float:
    """Rows of 200 bytes with one index, distinct values, WAL and synchronous=FULL."""
    connection = sqlite3.connect(folder / f"bare-{batch}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE q (id INTEGER PRIMARY KEY, key TEXT, due INTEGER, data BLOB)")
    connection.execute("CREATE INDEX q_due ON q (due)")
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        rows = [(count + n, "key", count + n, PAYLOAD) for n in range(batch)]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO q VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
        count += batch
    rate = count / (time.perf_counter() - start)
    connection.close()
    return rate


def _rested(folder: Path) -> float:
    connection = sqlite3.connect(folder / "rested.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE q (id INTEGER PRIMARY KEY, data BLOB)")
    took: list[float] = []
    for _ in range(COMMITS):
        time.sleep(REST_SECONDS)
        start = time.perf_counter()
        connection.execute("INSERT INTO q (data) VALUES (?)", (PAYLOAD,))
        took.append((time.perf_counter() - start) * 1000)
    connection.close()
    return percentile(took, 0.5)


async def _futures() -> float:
    loop, count, start = asyncio.get_running_loop(), 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS / 2:
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future
        count += 1
    return count / (time.perf_counter() - start)


async def _tasks() -> float:
    async def nothing() -> None:
        return None

    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS / 2:
        await asyncio.create_task(nothing())
        count += 1
    return count / (time.perf_counter() - start)
