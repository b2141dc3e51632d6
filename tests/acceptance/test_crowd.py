"""Four processes that send, four that work: per-key order, nothing twice, a share for everybody."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path

from durable_primitives import Enqueue
from tests.acceptance.child import Child
from tests.acceptance.crowd import EVENTS, INSTANCES, KEYS, WORKERS, application
from tests.acceptance.stores import url

MODULE = "tests.acceptance.crowd"
PRODUCERS = ("a", "b", "c", "d")


async def test_a_crowd_shares_the_work_in_order_and_nothing_runs_twice(tmp_path: Path) -> None:
    async with application(tmp_path).connect(url(tmp_path)) as client, AsyncExitStack() as stack:
        queue = client.queue("crowd")
        # No worker gets past these before all four have begun something.
        await queue.enqueue_many([Enqueue("meet", id=f"meet-{n}") for n in range(8 * INSTANCES)])
        parent = await stack.enter_async_context(Child(MODULE, "workers", tmp_path))
        producers = [await stack.enter_async_context(Child(MODULE, "producer", tmp_path, name)) for name in PRODUCERS]
        assert await asyncio.gather(*(producer.ended() for producer in producers)) == [0] * len(PRODUCERS)
        assert (await queue.drain("60 seconds")).drained
        parent.send(signal.SIGTERM)
        assert await parent.ended() == 0
        status = await queue.status()
    sent = len(PRODUCERS) * KEYS * EVENTS
    assert (status.processed, status.dead) == (sent + 8 * INSTANCES, 0)
    assert len(list(tmp_path.glob("*.met"))) == WORKERS
    lines: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for line in (tmp_path / "trace").read_text().splitlines():
        what, pid, event = line.split()
        key, _, number = event.partition(":")
        lines[key].append((what, pid, int(number)))
    assert len(lines) == len(PRODUCERS) * KEYS
    for key, seen in lines.items():
        assert [(what, number) for what, _, number in seen] == [
            (what, number) for number in range(EVENTS) for what in ("began", "ended")
        ], f"{key} ran out of order, twice, or two at once"
