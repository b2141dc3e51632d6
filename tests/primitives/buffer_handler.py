"""What the tests of a buffer share: a handler that does as it is told, and a buffer that calls it."""

from __future__ import annotations

import asyncio
from typing import Any

from durable_primitives.primitives.buffer import Buffer, BufferExecuteContext
from durable_primitives.retry import Backoff, RetryPolicy
from tests.primitives.driver import Driver

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
THREE = RetryPolicy(max_attempts=3, backoff=Backoff.constant("10 seconds", jitter="none"))


class Handler:
    """Notes every call; raises what it is told to, one after the other; None lets one pass."""

    def __init__(self, *raises: BaseException | None) -> None:
        self.raises = list(raises)
        self.calls: list[BufferExecuteContext[Any]] = []

    @property
    def states(self) -> list[Any]:
        return [ctx.state for ctx in self.calls]

    async def __call__(self, ctx: BufferExecuteContext[Any]) -> None:
        self.calls.append(ctx)
        error = self.raises.pop(0) if self.raises else None
        if error is not None:
            raise error


class Gate:
    """A handler that hangs until it is let go."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.calls: list[BufferExecuteContext[Any]] = []

    async def __call__(self, ctx: BufferExecuteContext[Any]) -> None:
        self.calls.append(ctx)
        self.entered.set()
        await self.open.wait()


async def start(handler: Any, **options: Any) -> tuple[Driver, Any]:
    """A buffer of strings called ``b``, due after three events or a minute, and its client."""
    defaults = {"event_schema": str, "flush_after": "1 minute", "max_events": 3, "retry": THREE}
    make: Any = Buffer.make
    definition = make("b", execute=handler, **(defaults | options))
    driver = await Driver(definition).open()
    return driver, driver.client(definition)
