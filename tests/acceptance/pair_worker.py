"""A worker of the two-process tests: ``python -m tests.acceptance.pair_worker FOLDER NAME [OPTION=VALUE …]``.

It says ``ready`` when it begins, ``started ID AT`` and ``ran ID AT`` around each event (`AT` is the monotonic clock's
time of its start in nanoseconds), ``lost INSTANCE`` when it hears that a lease is another's now, and leaves when it is
told to.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from durable_primitives import (
    Continuous,
    ContinuousContext,
    DeadLetter,
    PrimitiveEvent,
    Queue,
    QueueExecuteContext,
    WorkerOptions,
    create_durable_primitives,
)
from durable_primitives.spi import open_backend
from tests.acceptance.stores import url

NEVER_SECONDS = 3600.0


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def appears(path: Path) -> None:
    exists = path.exists
    while not exists():
        await asyncio.sleep(0.002)


class Loud:
    """Says which leases are lost."""

    enabled = True
    dropped = 0

    def track(self, event: PrimitiveEvent) -> None:
        if event.type == "instance.lease_lost":
            say(f"lost {event.instance_id}")

    async def close(self) -> None:
        return None


def application(folder: Path, name: str) -> Any:
    """What an event does is in its text: ``quick``, ``meet``, ``hold``, ``cling`` or ``sleepwalk``."""

    @asynccontextmanager
    async def resources() -> AsyncGenerator[None]:
        say("ready")
        yield

    @Queue.make("work", event_schema=str, concurrency=8)
    async def work(ctx: QueueExecuteContext[str]) -> None:
        at = time.monotonic_ns()
        say(f"started {ctx.event_id} {at}")
        match ctx.event:
            case "meet":
                # Goes on when both workers have got something to do.
                (folder / f"{name}.met").touch()
                await asyncio.gather(*(appears(folder / f"{other}.met") for other in ("one", "two")))
            case "hold":
                while not ctx.cancelled:
                    await asyncio.sleep(0.002)
            case "cling" if name == "one":
                await asyncio.Event().wait()
            case "sleepwalk" if name == "one":
                await appears(folder / "awake")
                raise DeadLetter("too late")
            case _:
                pass
        say(f"ran {ctx.event_id} {at}")

    @Continuous.make("job", state_schema=str, schedule=Continuous.every("1 hour"))
    async def job(ctx: ContinuousContext[str]) -> None:
        say(f"started {ctx.id}")
        if name == "one":
            await appears(folder / "awake")
        ctx.set_state(f"set by {name}")
        say(f"ran {ctx.id} 0")

    return create_durable_primitives(work, job, tracker=Loud(), resources=resources)


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    given = dict(argument.split("=") for argument in sys.argv[3:])
    # Nobody looks by itself: a wake-up that is lost is lost for good, and a test that waits for it fails.
    store = open_backend(url(folder))
    vars(sys.modules[type(store).__module__])["RECHECK_SECONDS"] = NEVER_SECONDS
    lease_ms = int(given.get("lease_ms", 30_000))
    options = WorkerOptions(
        max_instances=int(given.get("max_instances", 100)),
        lease=f"{lease_ms}ms",
        heartbeat=f"{lease_ms // 3}ms",
        grace=f"{given.get('grace_s', '20')}s",
        longest_wait=timedelta(seconds=NEVER_SECONDS),
    )
    application(folder, name).run(store, options=options)
    say("left")


if __name__ == "__main__":
    main()
