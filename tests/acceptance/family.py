"""A program for `test_processes.py`: ``python -m tests.acceptance.family URL PROCESSES``."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from durable_primitives import Queue, QueueExecuteContext, WorkerOptions, create_durable_primitives


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


@asynccontextmanager
async def resources() -> AsyncGenerator[None]:
    say(f"ready {os.getpid()}")
    yield
    say(f"left {os.getpid()}")


@Queue.make("work", event_schema=str, concurrency=8)
async def work(ctx: QueueExecuteContext[str]) -> None:
    say(f"ran {ctx.event}")


application = create_durable_primitives(work, resources=resources)

if __name__ == "__main__":
    application.run(sys.argv[1], processes=int(sys.argv[2]), options=WorkerOptions(lease="1 second", heartbeat="300ms"))
    say("over")
