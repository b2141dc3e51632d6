"""Queues with a bug in how they work: with poison, order, cancelling, and keys."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from msgspec import Struct
from pydantic import BaseModel

from durable_primitives import Backoff, Queue, QueueDeadLetterContext, QueueExecuteContext, RetryPolicy, Snooze
from tests.testing.specimens.specimen import Collection

specimens = Collection()


class Order(BaseModel):
    customer: str
    items: list[int] = []


@specimens.breaks("comes_to_rest")
@Queue.make("orders", event_schema=Order, partition_key=lambda order: order.customer)
async def orders(ctx: QueueExecuteContext[Order]) -> None:
    """Waits for an empty order to become a full one: it never does, and the customer's next orders wait behind it."""
    if not ctx.event.items:
        raise Snooze("1 minute")


FOR_EVER = RetryPolicy(max_attempts=1_000_000, backoff=Backoff.constant("1 minute"))


@specimens.breaks("comes_to_rest")
@Queue.make("ratings", event_schema=int, retry=FOR_EVER, partition_key=lambda _: "all")
async def ratings(ctx: QueueExecuteContext[int]) -> None:
    """Never gives up: one rating that is not allowed holds back all others for two years."""
    if not 1 <= ctx.event <= 5:
        raise ValueError(f"a rating of {ctx.event}")


@specimens.breaks("honours_cancellation")
@Queue.make("syncs", event_schema=str, timeout="20 seconds")
async def syncs(ctx: QueueExecuteContext[str]) -> None:
    """A bare `except` around each step catches the cancellation too: the timeout never ends it."""
    for step in range(50):
        try:
            await asyncio.sleep(30)
        except:  # noqa: E722 - that is the bug
            ctx.log.warning("step failed", step=step)


async def park(event: Any, error: BaseException, ctx: QueueDeadLetterContext) -> None:
    reasons: dict[type, str] = {ValueError: "invalid", ConnectionError: "unreachable"}
    assert reasons[type(error)]


@specimens.breaks("hook_does_not_raise")
@Queue.make("hooks", event_schema=str, on_dead_letter=park)
async def hooks(ctx: QueueExecuteContext[str]) -> None:
    """Its dead-letter hook knows two kinds of errors: of a third one nobody is told."""
    await asyncio.sleep(1)


class Change(TypedDict):
    document: int
    version: int
    note: NotRequired[str]


@specimens.breaks("accepts_events")
@Queue.make("changes", event_schema=Change)
async def changes(ctx: QueueExecuteContext[Change]) -> None:
    """Takes an optional key for granted: every change without a note is a dead letter."""
    ctx.log.info("changed", note=ctx.event["note"].strip())  # pyright: ignore[reportTypedDictNotRequiredAccess]


@dataclass
class Entry:
    document: int
    version: int


latest: dict[int, int] = {}


@specimens.breaks("memory_is_lost", "accepts_events")
@Queue.make("versions", event_schema=Entry, per_instance=4)
async def versions(ctx: QueueExecuteContext[Entry]) -> None:
    """Counts on the order of events without a key, and on its memory: versions overtake each other, and it gives up."""
    await asyncio.sleep(1)
    assert ctx.event.version >= latest.get(ctx.event.document, ctx.event.version), "an older version after a newer one"
    latest[ctx.event.document] = ctx.event.version


class Job(Struct):
    name: str
    depth: int = 0


@specimens.breaks("comes_to_rest")
@Queue.make("crawl", event_schema=Job)
async def crawl(ctx: QueueExecuteContext[Job]) -> None:
    """Follows every link and has no depth at which it ends: the queue never gets empty again."""
    for link in ("a", "b"):
        await ctx.client.queue(crawl).enqueue(Job(f"{ctx.event.name[:20]}/{link}", ctx.event.depth + 1))


@specimens.breaks("real_world")
@Queue.make("renders", event_schema=str)
async def renders(ctx: QueueExecuteContext[str]) -> None:
    """Calls a blocking client from an `async def`: heartbeats and all other handlers wait for it."""
    time.sleep(3)  # noqa: ASYNC251 - that is the bug


class Tick(Struct):
    price: float
    at: float = 0.0


@specimens.breaks("real_world")
@Queue.make("ticks", event_schema=Tick)
async def ticks(ctx: QueueExecuteContext[Tick]) -> None:
    """Drops what is old by the clock of the machine: after an outage it drops everything that had waited."""
    if time.time() - ctx.event.at > 60:
        return
    await asyncio.sleep(1)


class Author(BaseModel):
    id: int


class Comment(BaseModel):
    text: str
    author: Author | None = None


def author(comment: Comment) -> str:
    return str(comment.author.id)  # pyright: ignore[reportOptionalMemberAccess]


@specimens.breaks("partition_key_is_pure")
@Queue.make("comments", event_schema=Comment, partition_key=author)
async def comments(ctx: QueueExecuteContext[Comment]) -> None:
    """Its partition key takes an author for granted: an anonymous comment cannot even be enqueued."""


@specimens.breaks("partition_key_is_pure")
@Queue.make("shards", event_schema=str, concurrency=4, partition_key=lambda _: str(random.randrange(4)))
async def shards(ctx: QueueExecuteContext[str]) -> None:
    """Draws the partition key: events that belong together run at once, and an id that comes again is not known."""


@specimens.breaks("partition_key_is_pure")
@Queue.make("buckets", event_schema=Job, concurrency=4, partition_key=lambda job: str(hash(job.name) % 4))
async def buckets(ctx: QueueExecuteContext[Job]) -> None:
    """`hash` of a text is another number in each process: two producers put one name into two lanes."""
