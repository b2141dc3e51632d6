"""``run(url, processes=N)``: one parent, N workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from durable_primitives.errors import DefinitionError
from durable_primitives.supervisor import NO_START
from tests.acceptance.child import Child
from tests.acceptance.family import application
from tests.acceptance.stores import url

MODULE = "tests.acceptance.family"


async def workers(parent: Child, count: int) -> set[int]:
    return {int(await parent.hear("ready")) for _ in range(count)}


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_that_dies_is_replaced_and_all_leave_when_told(tmp_path: Path, told: signal.Signals) -> None:
    async with Child(MODULE, url(tmp_path), 3) as parent:
        first = await workers(parent, 3)
        assert len(first) == 3
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        (successor,) = await workers(parent, 1)
        parent.send(told)
        assert await parent.ended() == 0
        said = await parent.rest()
    left = {int(line.split()[1]) for line in said if line.startswith("left ")}
    assert left == first - {victim} | {successor}
    assert said[-1] == "over"


async def test_work_that_was_due_is_done_by_some_of_them(tmp_path: Path) -> None:
    async with application.connect(url(tmp_path)) as client:
        await client.queue("work").enqueue_many([f"e{n}" for n in range(100)])
        async with Child(MODULE, url(tmp_path), 2) as parent:
            ran = [await parent.hear("ran") for _ in range(100)]
        assert sorted(ran) == sorted(f"e{n}" for n in range(100))


async def test_workers_whose_parent_is_killed_leave(tmp_path: Path) -> None:
    async with Child(MODULE, url(tmp_path), 2) as parent:
        family = await workers(parent, 2)
        parent.send(signal.SIGKILL)
        left = {int(line.split()[1]) for line in await parent.rest() if line.startswith("left ")}
    assert left == family


async def test_a_store_that_cannot_be_opened_ends_them_all(tmp_path: Path) -> None:
    async with Child(MODULE, f"sqlite:///{tmp_path}/no-such-folder/app.db", 2) as parent:
        assert await parent.ended() == NO_START


@pytest.mark.parametrize("processes", [0, -1, True, "2"])
def test_a_number_of_processes_that_is_none_is_refused(tmp_path: Path, processes: int) -> None:
    with pytest.raises(DefinitionError, match="processes"):
        application.run(url(tmp_path), processes=processes)


def test_memory_is_not_shared_by_processes() -> None:
    with pytest.raises(DefinitionError, match="lives in one process"):
        application.run("memory://", processes=2)
