"""A worker is killed at random moments, again and again; nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import msgspec
import pytest

from tests.acceptance.crash_app import Trace
from tests.acceptance.crash_invariants import Entry, check

ROOT = Path(__file__).parents[2]
FEWEST_KILLS = 50
PATIENCE_SECONDS = 30


class Child:
    """A process that is told things in lines and answers in lines."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.heard = Counter[str]()

    @classmethod
    async def start(cls, role: str, folder: Path) -> Self:
        arguments = (sys.executable, "-m", "tests.acceptance.crash_processes", role, str(folder))
        return cls(await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, stdin=PIPE, stdout=PIPE))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def hear(self, word: str) -> str:
        """The rest of the next line that begins with `word`."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self._process.stdout.readline()).decode().strip():
                first, _, rest = line.partition(" ")
                self.heard[first] += 1
                if first == word:
                    return rest
        raise AssertionError(f"the process ended before it said {word!r}")


def entries(path: Path) -> list[Entry]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


async def kill_a_worker(nursery: Child, trace: Trace, draws: random.Random) -> None:
    """Most are killed shortly after they began to work, some while they still start."""
    nursery.tell("worker")
    victim = int(await nursery.hear("born"))
    if draws.random() < 0.8:
        await nursery.hear("busy")
    await asyncio.sleep(draws.uniform(0, 0.03))  # the moment of death is what is drawn here
    os.kill(victim, signal.SIGKILL)
    await nursery.hear("dead")
    trace.write("killed", victim=victim)


@pytest.mark.crash
@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_however_often_the_worker_is_killed(
    tmp_path: Path, crash_rounds: int
) -> None:
    rounds, seed = max(crash_rounds, FEWEST_KILLS), int.from_bytes(os.urandom(4), "big")
    print(f"{seed=}")
    draws, trace = random.Random(seed), Trace(tmp_path)
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(await Child.start("nursery", tmp_path))
        producer = await stack.enter_async_context(await Child.start("producer", tmp_path))
        await producer.hear("ready")
        for _ in range(rounds):
            producer.tell("batch")
            await kill_a_worker(nursery, trace, draws)
        for _ in range(rounds):
            await producer.hear("sent")
        nursery.tell("finish")
        await nursery.hear("done")
        await nursery.hear("dead")
    assert Counter(entry["what"] for entry in trace.read())["killed"] == rounds
    (report,) = entries(tmp_path / "report.json")
    check(entries(tmp_path / "journal.jsonl"), trace.read(), report)
