"""Queues with a bug in what they do to the world outside: twice, never, or under a wrong key."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Literal, TypedDict
from uuid import uuid4

from msgspec import Struct
from pydantic import BaseModel, Field

from durable_primitives import Queue, QueueExecuteContext, RetryPolicy, StorageError
from durable_primitives.testing import Effects
from tests.testing.specimens.specimen import Collection

specimens = Collection()
effects = Effects()


class Payment(BaseModel):
    account: str
    cents: int = Field(ge=0)


@specimens.breaks("handler_is_repeatable", effects=effects)
@Queue.make("payments", event_schema=Payment)
async def payments(ctx: QueueExecuteContext[Payment]) -> None:
    """Charges before it checks the limit: a payment over the limit is charged by each of its three attempts."""
    effects.record(ctx.event_id, f"charge {ctx.event.cents}")
    if ctx.event.cents > 100:
        raise ValueError("over the limit")


@specimens.breaks("handler_is_repeatable", effects=effects)
@Queue.make("parcels", event_schema=str)
async def parcels(ctx: QueueExecuteContext[str]) -> None:
    """No idempotency key at all: a crash after the call and before its outcome is stored sends a second parcel."""
    await asyncio.sleep(1)
    effects.record(ctx.event_id, "ship")


@specimens.breaks("real_world", "handler_is_repeatable", effects=effects)
@Queue.make("refunds", event_schema=Payment)
async def refunds(ctx: QueueExecuteContext[Payment]) -> None:
    """Draws a new idempotency key for each attempt: the bank sees no duplicate, and refunds again."""
    effects.record(str(uuid4()), f"refund {ctx.event.cents}")
    await asyncio.sleep(1)


@specimens.breaks("handler_is_repeatable", effects=effects)
@Queue.make("invoices", event_schema=str)
async def invoices(ctx: QueueExecuteContext[str]) -> None:
    """Its key counts deliveries: whoever takes over after a crash writes a second invoice."""
    effects.record(f"{ctx.event_id}-{ctx.delivery}", "invoice")
    await asyncio.sleep(1)


class Signup(TypedDict):
    user: Literal["ada", "bob"]
    plan: str


@specimens.breaks("handler_is_repeatable", effects=effects)
@Queue.make("signups", event_schema=Signup)
async def signups(ctx: QueueExecuteContext[Signup]) -> None:
    """Its key is the user and not the event: of two changes of plan the provider takes the second for a repetition."""
    effects.record(ctx.event["user"], "change plan")


@specimens.breaks("effect_is_not_lost", effects=effects)
@Queue.make("welcomes", event_schema=str)
async def welcomes(ctx: QueueExecuteContext[str]) -> None:
    """Does nothing on a retry, for fear of a second mail: if the first attempt failed early, there is none at all."""
    if ctx.is_retry or ctx.delivery > 1:
        return
    await asyncio.sleep(1)
    effects.record(ctx.event_id, "mail")


known: set[str] = set()


@specimens.breaks("effect_is_not_lost", "memory_is_lost", "handler_is_repeatable", effects=effects)
@Queue.make("deduped", event_schema=str)
async def deduped(ctx: QueueExecuteContext[str]) -> None:
    """Notes an event as done before it is, in a set of the process: when it fails, its retry does nothing."""
    if ctx.event_id in known:
        return
    known.add(ctx.event_id)
    await asyncio.sleep(1)
    effects.record(ctx.event_id, "post")


@dataclass
class Row:
    table: str
    value: int = 0


rows: list[Row] = []


@specimens.breaks("effect_is_not_lost", "memory_is_lost", effects=effects)
@Queue.make("rows", event_schema=Row)
async def inserted(ctx: QueueExecuteContext[Row]) -> None:
    """Gathers rows in a list until there are three: the events count as processed, and a restart loses them."""
    rows.append(ctx.event)
    if len(rows) == 3:
        effects.record(ctx.event_id, "insert 3 rows")
        rows.clear()


pending: set[asyncio.Task[None]] = set()


@specimens.breaks("effect_is_not_lost", "leaves_no_tasks", effects=effects)
@Queue.make("pushes", event_schema=str)
async def pushes(ctx: QueueExecuteContext[str]) -> None:
    """Sends in a task that it does not wait for: the event is processed before it is sent, and a crash loses it."""

    async def push(id: str) -> None:
        await asyncio.sleep(1)
        if (id, "push") not in effects:
            effects.record(id, "push")

    task = asyncio.create_task(push(ctx.event_id))
    pending.add(task)
    task.add_done_callback(pending.discard)


@specimens.breaks("real_world")
@Queue.make("thumbnails", event_schema=str)
async def thumbnails(ctx: QueueExecuteContext[str]) -> None:
    """Hands the work to a thread and returns: the event is processed before the work is done, or failed."""
    threading.Thread(target=len, args=(ctx.event,), daemon=True).start()


class Stage(Struct):
    id: str
    step: Literal["received", "checked", "stored"] = "received"


@specimens.breaks("real_world", "sends_once")
@Queue.make("pipeline", event_schema=Stage)
async def pipeline(ctx: QueueExecuteContext[Stage]) -> None:
    """Draws an id for what it sends on, where the default is safe: a retry sends the next step twice."""
    if ctx.event.step == "received":
        await ctx.client.queue(pipeline).enqueue(Stage(ctx.event.id, "checked"), id=str(uuid4()))


@specimens.breaks("sends_once")
@Queue.make("escalations", event_schema=Stage, retry=RetryPolicy(max_attempts=5))
async def escalations(ctx: QueueExecuteContext[Stage]) -> None:
    """The id of what it sends on holds the attempt: five attempts escalate five times."""
    if ctx.event.step == "received":
        id = f"{ctx.event_id}:{ctx.attempt}"
        await ctx.client.queue(escalations).enqueue(Stage(ctx.event.id, "stored"), id=id)
        await asyncio.sleep(1)


@specimens.breaks("effect_is_not_lost", "send_is_not_lost")
@Queue.make("forwarded", event_schema=Stage)
async def forwarded(ctx: QueueExecuteContext[Stage]) -> None:
    """Logs an error of the store and goes on: while it was away, every event ended here without its next step."""
    if ctx.event.step != "received":
        return
    try:
        await ctx.client.queue(forwarded).enqueue(Stage(ctx.event.id, "checked"))
    except StorageError as error:
        ctx.log.warning("not sent on", error=repr(error))
