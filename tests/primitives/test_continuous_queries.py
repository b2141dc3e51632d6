"""What can be asked about a continuous: status, state, listing."""

from __future__ import annotations

from typing import Any

import pytest

from durable_primitives.durations import to_datetime
from durable_primitives.errors import DefinitionError
from durable_primitives.primitives.continuous import (
    ContinuousStatus,
)
from tests.primitives.continuous_job import MINUTE, Job


async def test_absent_instance_has_a_status_and_no_state() -> None:
    job = Job()
    await job.driver.open()
    assert await job.client.status("a") == ContinuousStatus("not_found")
    assert await job.client.get_state("a") is None


async def test_status_while_running() -> None:
    job = Job()
    flight = job.in_flight()
    await job.started()
    async with flight:
        status = await job.client.status("a")
        assert (status.status, status.run_count, status.attempt) == ("running", 1, 1)
        assert status.last_run_at == to_datetime(job.epoch)
        assert status.next_run_at == to_datetime(job.epoch + 10 * MINUTE)


async def test_history_comes_later() -> None:
    job = await Job().started()
    with pytest.raises(DefinitionError, match="history is not available in this release"):
        await job.client.history("a")


async def test_list_goes_through_all_instances_page_by_page() -> None:
    job = Job(start_immediately=False)
    await job.driver.open()
    for n in range(7):
        await job.client.start(f"user-{n}", n)
    await job.client.start("other", 0)
    await job.client.terminate("user-3")
    await job.client.stop("user-5")

    found: list[str] = []
    cursor = None
    while True:
        page = await job.client.list(prefix="user-", limit=2, cursor=cursor)
        found += [item.id for item in page.items]
        cursor = page.cursor
        if cursor is None:
            break

    assert found == [f"user-{n}" for n in (0, 1, 2, 4, 5, 6)]


async def test_list_by_status() -> None:
    job = Job(start_immediately=False)
    await job.driver.open()
    for id in "abc":
        await job.client.start(id, 0)
    await job.client.stop("b")
    page = await job.client.list(status="stopped")
    assert [(item.id, item.instance_id, item.status) for item in page.items] == [("b", "continuous:job:b", "stopped")]
    assert page.cursor is None
    (first, *_) = (await job.client.list(limit=1)).items
    assert (first.id, first.next_run_at) == ("a", to_datetime(job.driver.now + 10 * MINUTE))


@pytest.mark.parametrize("arguments", [{"limit": 0}, {"limit": "many"}, {"status": "asleep"}])
async def test_list_refuses_what_cannot_be_meant(arguments: dict[str, Any]) -> None:
    job = await Job().started()
    with pytest.raises(DefinitionError):
        await job.client.list(**arguments)
