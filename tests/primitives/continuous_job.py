"""A Continuous whose handler notes what it is given and does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from durable_primitives.primitives.continuous import Continuous, ContinuousClient, ContinuousContext
from durable_primitives.primitives.continuous.definition import ContinuousDefinition
from durable_primitives.retry import Backoff, RetryPolicy
from tests.primitives.driver import Driver

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000

Context = ContinuousContext[int]
Act = Callable[[Context], Awaitable[None] | None]


class Killed(BaseException):
    """The process dies here: nothing that follows is committed."""


class Seen:
    """What one attempt was given."""

    def __init__(self, ctx: Context, at: int) -> None:
        self.at = at
        self.run = ctx.run_count
        self.attempt = ctx.attempt
        self.missed = ctx.missed
        self.state = ctx.state
        self.scheduled_for = ctx.scheduled_for
        self.key = ctx.idempotency_key


class Job:
    """A definition that counts its runs in its state, with a driver for it.

    `acts` says what the next attempts do instead of counting; `default` what all others do.
    """

    def __init__(self, **options: Any) -> None:
        self.seen: list[Seen] = []
        self.acts: list[Act] = []
        self.options = options
        self.definition = self.make()
        self.driver = Driver(self.definition)
        self.client: ContinuousClient[int] = self.driver.client(self.definition)

    def make(self) -> ContinuousDefinition[int]:
        defaults: dict[str, Any] = {
            "state_schema": int,
            "schedule": Continuous.every("10 minutes"),
            "retry": RetryPolicy(max_attempts=3, backoff=Backoff.constant("1 minute", jitter="none")),
            "execute": self,
        }
        return Continuous.make("job", **(defaults | self.options))

    async def __call__(self, ctx: Context) -> None:
        self.seen.append(Seen(ctx, self.driver.now))
        act = self.acts.pop(0) if self.acts else count
        result = act(ctx)
        if result is not None:
            await result

    def deploy(self, **changes: Any) -> None:
        """A new process, with another definition."""
        self.options |= changes
        self.definition = self.make()
        self.driver.restart(self.definition)
        self.client = self.driver.client(self.definition)

    async def started(self, id: str = "a", state: int = 0) -> Job:
        """Open the store and start one instance."""
        await self.driver.open()
        self.epoch = self.driver.now
        await self.client.start(id, state)
        return self

    @property
    def minutes(self) -> list[float]:
        """When attempts began, in minutes since the start."""
        return [(seen.at - self.epoch) / MINUTE for seen in self.seen]

    @property
    def attempts(self) -> list[tuple[int, int]]:
        """Run and attempt of each execution."""
        return [(seen.run, seen.attempt) for seen in self.seen]

    async def advance(self, minutes: float) -> None:
        await self.driver.advance(round(minutes * MINUTE))

    def in_flight(self) -> InFlight:
        """Make the next attempt wait until the test lets it go."""
        flight = InFlight(self)
        self.acts.insert(0, flight.act)
        return flight


class InFlight:
    """One attempt that is under way for the length of a ``async with`` block."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.begun = asyncio.Event()
        self._go = asyncio.Event()
        self.then: Act = count
        """What it does in the end."""
        self.ctx: Context

    async def act(self, ctx: Context) -> None:
        self.ctx = ctx
        self.begun.set()
        await self._go.wait()
        result = self.then(ctx)
        if result is not None:
            await result

    async def __aenter__(self) -> InFlight:
        self._worker = asyncio.create_task(self._job.driver.run_due())
        await self.begun.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._go.set()
        await self._worker


def count(ctx: Context) -> None:
    ctx.update_state(lambda number: number + 1)


def fail(ctx: Context) -> None:
    raise ValueError("boom")


def kill(ctx: Context) -> None:
    raise Killed
