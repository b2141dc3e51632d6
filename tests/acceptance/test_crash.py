"""A worker is killed at random moments, again and again; nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.acceptance.child import Child
from tests.acceptance.crash_app import Trace
from tests.acceptance.crash_invariants import Entry, check

PROCESSES = "tests.acceptance.crash_processes"
FEWEST_KILLS = 50


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
    async with (
        Child(PROCESSES, "nursery", tmp_path) as nursery,
        Child(PROCESSES, "producer", tmp_path) as producer,
    ):
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
