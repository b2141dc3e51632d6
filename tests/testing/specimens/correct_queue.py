"""Queues that are right, some of them in ways that look wrong."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NotRequired, TypedDict

from msgspec import Struct
from pydantic import BaseModel, Field

from durable_primitives import (
    Buffer,
    BufferExecuteContext,
    Cancel,
    DeadLetter,
    Queue,
    QueueDeadLetterContext,
    QueueExecuteContext,
    Retry,
    RetryPolicy,
    Snooze,
)
from durable_primitives.logs import get_logger
from durable_primitives.testing import Effects
from tests.testing.specimens.specimen import Collection

specimens = Collection()
effects = Effects()


class Payment(BaseModel):
    account: str
    cents: int = Field(ge=0, le=10_000)


@specimens.keeps(effects=effects)
@Queue.make("charges", event_schema=Payment, retry=RetryPolicy(max_attempts=3, give_up_on=(ValueError,)))
async def charges(ctx: QueueExecuteContext[Payment]) -> None:
    """Checks first, and its provider knows the idempotency key: what it was asked before, it does not do again."""
    if ctx.event.cents > 5_000:
        raise ValueError("over the limit")
    await asyncio.sleep(1)
    if (ctx.idempotency_key, "charge") not in effects:
        effects.record(ctx.idempotency_key, "charge")
    await asyncio.sleep(1)


class Job(Struct):
    kind: Literal["now", "later", "never", "broken", "flaky"]


@specimens.keeps()
@Queue.make("jobs", event_schema=Job, per_instance=3)
async def jobs(ctx: QueueExecuteContext[Job]) -> None:
    """Every signal that there is, each where it belongs."""
    match ctx.event.kind:
        case "flaky" if ctx.attempt < 3:
            raise Retry(after="30 seconds")
        case "never":
            raise Cancel("nobody wants it")
        case "broken":
            raise DeadLetter("it cannot be read")
        case _:
            await asyncio.sleep(1)


class Slot(TypedDict):
    room: int
    note: NotRequired[str]


opens: dict[str, int] = {}


@specimens.keeps()
@Queue.make("slots", event_schema=Slot, partition_key=lambda slot: str(slot["room"] % 3), concurrency=2)
async def slots(ctx: QueueExecuteContext[Slot]) -> None:
    """Asks again in a minute, but not for ever: how often it asked is a hint, and may get lost."""
    asked = opens[ctx.event_id] = opens.get(ctx.event_id, 0) + 1
    if asked % 3:
        raise Snooze("1 minute")
    opens.pop(ctx.event_id)
    ctx.log.info("opened", note=ctx.event.get("note", ""))


class Step(Struct):
    id: str
    step: Literal["received", "checked", "stored"] = "received"


NEXT: dict[str, Literal["checked", "stored"]] = {"received": "checked", "checked": "stored"}


@specimens.keeps()
@Queue.make("steps", event_schema=Step)
async def steps(ctx: QueueExecuteContext[Step]) -> None:
    """Sends itself the next step, under the id that it gets by default."""
    if ctx.event.step in NEXT:
        await ctx.client.queue(steps).enqueue(Step(ctx.event.id, NEXT[ctx.event.step]))


@specimens.keeps()
@Queue.make("files", event_schema=str, timeout="30 seconds")
def files(ctx: QueueExecuteContext[str]) -> None:
    """A plain function may block: it has a thread to itself."""
    time.sleep(0.001)


@specimens.keeps()
@Queue.make("watched", event_schema=str, timeout="10 seconds", retry=RetryPolicy(max_attempts=2))
async def watched(ctx: QueueExecuteContext[str]) -> None:
    """Takes too long, cleans up when it is cancelled, which takes a moment too, and passes the cancellation on."""
    try:
        await asyncio.sleep(1 if ctx.is_retry else 60)
    except asyncio.CancelledError:
        await asyncio.sleep(0.1)
        raise


@lru_cache(maxsize=100)
def normalised(text: str) -> str:
    return text.strip().casefold()


recent: OrderedDict[str, str] = OrderedDict()


@specimens.keeps(effects=effects)
@Queue.make("indexed", event_schema=str, concurrency=3)
async def indexed(ctx: QueueExecuteContext[str]) -> None:
    """Two caches in memory, which cost time when they are lost and nothing else; writing the same again is no harm."""
    text = recent.setdefault(ctx.event, normalised(ctx.event))
    while len(recent) > 5:
        recent.popitem(last=False)
    if (ctx.event_id, f"index {text}") not in effects:
        effects.record(ctx.event_id, f"index {text}")


@dataclass
class Mail:
    to: str
    text: str = ""


async def bounced(event: Mail, error: BaseException, ctx: QueueDeadLetterContext) -> None:
    get_logger(__name__).warning("a mail was given up", to=event.to, attempts=ctx.attempts, error=repr(error))


@specimens.keeps()
@Queue.make("mails", event_schema=Mail, on_dead_letter=bounced, expires_after="1 hour", max_pending=50)
async def mails(ctx: QueueExecuteContext[Mail]) -> None:
    """Refuses what has no address, with an error and three attempts: nothing to be ashamed of."""
    if "@" not in ctx.event.to:
        raise ValueError(f"no address: {ctx.event.to!r}")
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(1))
        group.create_task(asyncio.sleep(2))


gate = asyncio.Semaphore(2)


@specimens.keeps()
@Queue.make("limited", event_schema=str, concurrency=2, per_instance=4)
async def limited(ctx: QueueExecuteContext[str]) -> None:
    """At most two calls at once in this process: a semaphore is gone with its process, and so is what held it."""
    async with gate:
        await asyncio.sleep(1)


@specimens.keeps()
@Queue.make("patient", event_schema=str, partition_key=lambda text: text[:1], ordering="relaxed")
async def patient(ctx: QueueExecuteContext[str]) -> None:
    """Looks whether it should come to an end, between its steps, and goes on later if so."""
    for _ in range(3):
        if ctx.cancelled:
            raise Snooze("5 seconds")
        await asyncio.sleep(1)


class Delivery(Struct):
    delivery: str
    kind: str


@Buffer.make("noted_kinds", event_schema=str, flush_after="1 minute", max_events=5)
async def noted_kinds(ctx: BufferExecuteContext[list[str]]) -> None:
    """What the queue below sends to."""


@specimens.keeps()
@Queue.make("noted", event_schema=Delivery, concurrency=2, partition_key=lambda event: event.kind)
async def noted(ctx: QueueExecuteContext[Delivery]) -> None:
    """Sends on under the id that the sender gave: a delivery that comes in twice is noted once, whichever is first."""
    await ctx.client.buffer(noted_kinds).add("all", ctx.event.kind, event_id=ctx.event.delivery)
