"""Several processes on one file: they wake each other, lose nothing, and may die at any moment."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from durable_primitives.backends.sqlite import SQLiteBackend
from durable_primitives.backends.sqlite import backend as backend_module
from durable_primitives.backends.sqlite.doorbell import Doorbell

from .sqlite_process import BATCH, BATCHES, QUEUES
from .sqlite_store import QUEUE, enqueue, look, opened, stored_ids

pytestmark = pytest.mark.usefixtures("sqlite_writer")

PROGRAM = Path(__file__).with_name("sqlite_process.py")
HANG_GUARD_SECONDS = 60.0
"""Bounds a broken backend; a sound one is never measured against it."""


@asynccontextmanager
async def another(what: str, path: Path, name: str = "other") -> AsyncGenerator[Process]:
    """A process that uses the file, killed at the end if it is still there."""
    process = await asyncio.create_subprocess_exec(sys.executable, PROGRAM, what, path, name, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert process._transport is not None  # type: ignore[attr-defined]
        process._transport.close()  # type: ignore[attr-defined]


async def line(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), HANG_GUARD_SECONDS)).decode().strip()


async def test_commit_wakes_a_worker_of_another_process(tmp_path: Path):
    path = tmp_path / "app.db"
    async with opened(path) as backend, another("sleep", path) as worker:
        assert await line(worker) == "asleep"
        await enqueue(backend, "a")

        assert await line(worker) == "awake"


async def test_commit_of_another_namespace_wakes_nobody(tmp_path: Path):
    path = tmp_path / "app.db"
    async with opened(path) as sleeper, opened(path) as friend, opened(path, "elsewhere") as stranger:
        await sleeper.wait(0)
        waiting = asyncio.ensure_future(sleeper.wait(3600.0))
        await enqueue(stranger, "a")
        await rung(stranger)
        await turns()
        assert not waiting.done()

        await enqueue(friend, "a")
        await asyncio.wait_for(waiting, HANG_GUARD_SECONDS)


async def rung(backend: SQLiteBackend) -> None:
    """The bell rings after its commit was reported, and before whatever the writer does next."""
    await backend.sweep(0, 0)


async def turns() -> None:
    """Enough of the event loop for a byte that has arrived to be noticed."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_bell_of_a_killed_worker_is_taken_down(tmp_path: Path):
    path = tmp_path / "app.db"
    async with opened(path) as backend, another("sleep", path) as worker:
        await line(worker)
        folder = backend._doorbell._folder
        assert folder is not None
        hung = names(folder)
        worker.kill()
        await worker.wait()
        await enqueue(backend, "a")
        await rung(backend)

        assert (len(hung), names(folder)) == (1, [])


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_lost_wake_up_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where no bell can ring, whoever sleeps looks again."""
    monkeypatch.setattr(Doorbell, "listen", lambda self, on_ring: False)
    monkeypatch.setattr(backend_module, "RECHECK_SECONDS", 0.01)
    path = tmp_path / "app.db"
    async with opened(path) as sleeper, opened(path) as other:
        await sleeper.wait(0)
        await sleeper.next_due()
        waiting = asyncio.ensure_future(sleeper.wait(3600.0))
        await enqueue(other, "a")

        await asyncio.wait_for(waiting, HANG_GUARD_SECONDS)


async def test_processes_that_write_at_once_lose_nothing(tmp_path: Path):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        async with another("write", path, "x") as x, another("write", path, "y") as y:
            for process in (x, y):
                assert await line(process) == "ready"
            for process in (x, y):
                assert process.stdin is not None
                process.stdin.write(b"go\n")
            mine = [enqueue(backend, f"mine-{n}", instance=f"queue:orders:{n % QUEUES}") for n in range(100)]
            await asyncio.gather(*mine)
            assert [await asyncio.wait_for(process.wait(), HANG_GUARD_SECONDS) for process in (x, y)] == [0, 0]

        found: list[str | None] = []
        for queue in range(QUEUES):
            instance = f"queue:orders:{queue}"
            items = await backend.items(instance, 0, 0, 10_000)
            assert [item.seq for item in items] == list(range(1, len(items) + 1))
            record = (await backend.load(instance)).record
            assert record is not None
            assert record.count == len(items)
            found += [item.id for item in items]

    theirs = [f"{name}-{n}-{k}" for name in "xy" for n in range(BATCHES) for k in range(BATCH)]
    assert sorted(map(str, found)) == sorted([*theirs, *(f"mine-{n}" for n in range(100))])
    assert look(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.crash
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, crash_rounds: int):
    path = tmp_path / "app.db"
    acknowledged: list[str] = []
    for round in range(crash_rounds):
        async with another("acknowledge", path, f"round{round}") as victim:
            for _ in range(7 + 13 * round % 40):
                acknowledged.append(await line(victim))
            victim.kill()
            assert victim.stdout is not None
            acknowledged += (await victim.stdout.read()).decode().splitlines()

        async with opened(path) as backend:
            stored = await stored_ids(backend, QUEUE)
        assert not set(acknowledged) - set(stored)
        assert len(stored) == len(set(stored))
    assert look(path, "PRAGMA integrity_check") == [("ok",)]
