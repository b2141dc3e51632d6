"""What an event takes in the store: while it waits, and after its end, for as long as its id is remembered."""

from __future__ import annotations

from uuid import uuid4

from durable_primitives import Enqueue
from tests.benchmarks.limits import Limits
from tests.benchmarks.report import Figure, Report
from tests.benchmarks.stores import Store
from tests.benchmarks.throughput import application, event, queue

EVENTS = 20_000


async def footprint(store: Store, limits: Limits | None, report: Report) -> None:
    """Events of 200 bytes, with ids of 36 characters."""
    url = store.fresh()
    empty = store.size()
    if empty is None:
        return
    async with application.connect(url) as client:
        for start in range(0, EVENTS, 1000):
            await client.queue(queue).enqueue_many([Enqueue(event(start + n), id=str(uuid4())) for n in range(1000)])
    _add(report, "a waiting event with an id", store, empty[1])
    async with application.open(url) as running:
        await running.client.queue(queue).drain()
    _add(report, "the id of an event that ended", store, empty[1])


def _add(report: Report, what: str, store: Store, empty: int) -> None:
    size = store.size()
    assert size is not None
    report.add(Figure(f"{size[0]} of {what}", store.backend, (size[1] - empty) / EVENTS, "bytes"))


CASES = (footprint,)
