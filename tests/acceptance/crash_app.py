"""The application that the crash tests kill: all three primitives, and a trace of what their handlers did.

Handlers append to one file; a write of one line is whole or absent, also when its process is killed right then.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec

from durable_primitives import (
    Backoff,
    Buffer,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    Queue,
    QueueExecuteContext,
    RetryPolicy,
    WorkerOptions,
)

SHORT_LEASE = WorkerOptions(lease="200ms", heartbeat="50ms")
"""So that what a dead worker owned is taken over soon."""

SOON = RetryPolicy(max_attempts=5, backoff=Backoff.constant("10ms", jitter="none"))
KEYS = tuple(f"key-{n}" for n in range(6))
GATHERED = ("left", "right")
"""The instances of the buffer that the producer fills."""
JOBS = tuple(f"job-{n}" for n in range(4))
"""The instances of the Continuous."""


class Event(msgspec.Struct):
    key: str
    n: int

    @property
    def fails_once(self) -> bool:
        return self.n % 7 == 3

    @property
    def is_delayed(self) -> bool:
        return self.n % 5 == 1

    @property
    def is_sent_on(self) -> bool:
        """Its handler adds it to another buffer."""
        return self.n % 3 == 0

    @property
    def is_sent_twice(self) -> bool:
        return self.n % 11 == 5


class Balance(msgspec.Struct):
    """A state whose parts must agree."""

    n: int = 0
    square: int = 0
    last: tuple[int, ...] = ()

    def next(self) -> Balance:
        n = self.n + 1
        return Balance(n, n * n, (*self.last[-9:], n))

    @property
    def is_whole(self) -> bool:
        return self.square == self.n**2 and self.last == tuple(range(max(1, self.n - 9), self.n + 1))


class Trace:
    """What happened, in order, in all processes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "trace.jsonl"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.first = asyncio.Event()
        """A handler has run in this process."""

    def write(self, what: str, **facts: object) -> None:
        os.write(self._file, msgspec.json.encode({"what": what, "pid": os.getpid(), **facts}) + b"\n")
        self.first.set()

    def read(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self._path.read_bytes().splitlines()]


def definitions(trace: Trace) -> tuple[Any, ...]:
    """The primitives, with handlers that note what they do and take a moment in which they can be killed."""

    @Queue.make(
        "deliveries",
        event_schema=Event,
        concurrency=3,
        per_instance=2,
        retry=SOON,
        partition_key=lambda event: event.key,
    )
    async def deliveries(ctx: QueueExecuteContext[Event]) -> None:
        event = ctx.event
        trace.write("start", id=ctx.event_id, key=event.key, n=event.n, attempt=ctx.attempt, delivery=ctx.delivery)
        await asyncio.sleep(0.001)
        if event.fails_once and ctx.attempt == 1:
            trace.write("end", id=ctx.event_id, key=event.key, n=event.n, well=False)
            raise ConnectionError("once")
        if event.is_sent_on:
            await ctx.client.buffer("digests").add(event.key, ctx.event_id)
        trace.write("end", id=ctx.event_id, key=event.key, n=event.n, well=True)

    @Buffer.make("digests", event_schema=str, max_events=10, flush_after="50ms", retry=SOON)
    async def digests(ctx: BufferExecuteContext[list[str]]) -> None:
        await flush(ctx)

    @Buffer.make("batches", event_schema=str, max_events=7, flush_after="40ms", retry=SOON)
    async def batches(ctx: BufferExecuteContext[list[str]]) -> None:
        await flush(ctx)

    async def flush(ctx: BufferExecuteContext[list[str]]) -> None:
        facts = {"buffer": ctx.instance_id, "flush_id": ctx.flush_id, "content": ctx.state}
        trace.write("flush", attempt=ctx.attempt, **facts)
        await asyncio.sleep(0.001)
        if ctx.attempt == 1 and len(ctx.state) % 2 == 0:
            raise ConnectionError("once")
        trace.write("flushed", **facts)

    @Continuous.make("balance", state_schema=Balance, schedule=Continuous.every("10ms"))
    async def balance(ctx: ContinuousContext[Balance]) -> None:
        trace.write("run", id=ctx.id, run=ctx.run_count, n=ctx.state.n, whole=ctx.state.is_whole)
        await asyncio.sleep(0.003)
        ctx.set_state(ctx.state.next())

    return deliveries, digests, batches, balance
