"""Processes of `test_crowd.py`: ``python -m tests.acceptance.crowd workers FOLDER`` or ``… producer FOLDER NAME``.

Handlers write a line to one file as they begin and as they end; a line is written as a whole, so the file is the order
in which things happened in all processes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from durable_primitives import Enqueue, Queue, QueueExecuteContext, WorkerOptions, create_durable_primitives
from tests.acceptance.stores import url

WORKERS = 4
INSTANCES = 16
KEYS = 8
"""Of each producer."""
EVENTS = 25
"""Of each key."""

# A worker that has this many instances in hand leaves the others to the others.
FEW = WorkerOptions(max_instances=INSTANCES // WORKERS)


def application(folder: Path) -> Any:
    """An event is ``key:number``, or ``meet``, which ends when all workers have begun something."""
    trace = os.open(folder / "trace", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(what: str, event: str) -> None:
        os.write(trace, f"{what} {os.getpid()} {event}\n".encode())

    @Queue.make("crowd", event_schema=str, concurrency=INSTANCES, per_instance=4)
    async def crowd(ctx: QueueExecuteContext[str]) -> None:
        event = ctx.event
        if event == "meet":
            (folder / f"{os.getpid()}.met").touch()
            while len(list(folder.glob("*.met"))) < WORKERS:
                await asyncio.sleep(0.005)
            return
        note("began", event)
        await asyncio.sleep(0)
        note("ended", event)

    return create_durable_primitives(crowd)


async def produce(folder: Path, name: str) -> None:
    """Events of its own keys, in the order of their numbers: some alone, some in bulk."""
    async with application(folder).connect(url(folder)) as client:
        queue = client.queue("crowd")
        for number in range(0, EVENTS, 5):
            for key in (f"{name}-{n}" for n in range(KEYS)):
                await queue.enqueue(f"{key}:{number}", partition_key=key)
                await queue.enqueue_many([Enqueue(f"{key}:{number + more}", partition_key=key) for more in range(1, 5)])


if __name__ == "__main__":
    role, where = sys.argv[1], Path(sys.argv[2])
    if role == "workers":
        application(where).run(url(where), processes=WORKERS, options=FEW)
    else:
        asyncio.run(produce(where, sys.argv[3]))
