"""A handler for the tests of a queue that notes what it runs, and steps to drive a worker with it."""

from __future__ import annotations

import asyncio
from typing import Any

from durable_primitives.primitives.queue import QueueExecuteContext
from durable_primitives.retry import Backoff, RetryPolicy
from tests.primitives.driver import Driver

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
LEASE = 30 * SECOND


class Log:
    """Notes each run, stops at `gate` with the events of `stops_at`, then raises what `answers` lists for the event."""

    def __init__(self, **answers: list[BaseException]) -> None:
        self.ran: list[Any] = []
        self.contexts: list[QueueExecuteContext[Any]] = []
        self.answers = answers
        self.stops_at: set[Any] = set()
        self.gate = asyncio.Event()
        self._began = asyncio.Event()

    async def __call__(self, ctx: QueueExecuteContext[Any]) -> None:
        self.ran.append(ctx.event)
        self.contexts.append(ctx)
        self._began.set()
        if ctx.event in self.stops_at:
            await self.gate.wait()
        if self.answers.get(ctx.event):
            raise self.answers[ctx.event].pop(0)

    async def has_begun(self, runs: int) -> None:
        """Wait for that many runs."""
        while len(self.ran) < runs:
            self._began.clear()
            await self._began.wait()


def tries(max_attempts: int) -> RetryPolicy:
    """So many attempts, ten seconds apart."""
    return RetryPolicy(max_attempts, Backoff.constant("10 seconds", jitter="none"))


async def at_work(driver: Driver, log: Log, runs: int = 1) -> asyncio.Task[int]:
    """A worker that has begun its `runs`-th run, in which the handler stops at its gate."""
    work = asyncio.create_task(driver.run_due())
    await log.has_begun(runs)
    return work


def producer(driver: Driver, queue: Any) -> Any:
    """The client of a process that runs no worker; `driver.restart()` brings one."""
    driver.engine.commits.claimant = lambda: None
    return driver.client(queue)


def types(driver: Driver) -> list[str]:
    """What the tracker was told, in order."""
    return [event.type for event in driver.events]
