"""What the bare machine does: the limits that our figures stand beside."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from pathlib import Path

from tests.benchmarks.report import Figure, Report

SECONDS = 1.0
PAYLOAD = b"x" * 200


class Limits:
    """Measured once per run."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.fsyncs = _fsyncs(folder)
        self.inserts = {batch: _inserts(folder, batch) for batch in (1, 100, 1000)}
        self.futures = asyncio.run(_futures())
        self.tasks = asyncio.run(_tasks())
        report.add(Figure("machine: 4 KiB append + fdatasync", "disk", self.fsyncs, "/s"))
        for batch, rate in self.inserts.items():
            report.add(Figure(f"machine: bare sqlite3 inserts, {batch} a commit", "sqlite FULL", rate, "/s"))
        report.add(Figure("machine: future resolved and awaited", "asyncio", self.futures, "/s"))
        report.add(Figure("machine: create_task and await", "asyncio", self.tasks, "/s"))


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
