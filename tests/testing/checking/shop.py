"""Definitions that the tests of `check` break, as a user would have them in a module."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Struct

from durable_primitives import (
    Buffer,
    BufferEventContext,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    Queue,
    QueueExecuteContext,
    RetryPolicy,
)
from durable_primitives.testing import Effects

effects = Effects()


class Order(Struct):
    id: int
    cents: int = 0


@Queue.make("charges", event_schema=Order)
async def charges(ctx: QueueExecuteContext[Order]) -> None:
    effects.record(ctx.event_id, "charge")
    await asyncio.sleep(1)


@Queue.make("safe_charges", event_schema=Order)
async def safe_charges(ctx: QueueExecuteContext[Order]) -> None:
    await asyncio.sleep(1)
    if (ctx.event_id, "charge") not in effects:
        effects.record(ctx.event_id, "charge")


@Queue.make("mails", event_schema=str, retry=RetryPolicy(max_attempts=2))
async def mails(ctx: QueueExecuteContext[str]) -> None:
    if not ctx.is_retry:
        await asyncio.sleep(1)
        effects.record(ctx.event_id, "mail")


def total(ctx: BufferEventContext[Order, list[int]]) -> list[int]:
    sums = ctx.state or [0]
    sums[0] += ctx.event.cents
    return sums


async def report(ctx: BufferExecuteContext[Any]) -> None: ...


totals = Buffer.make(
    "totals", event_schema=Order, state_schema=list[int], on_event=total, max_events=5, flush_after="1h", execute=report
)

safe_totals = Buffer.make("safe_totals", event_schema=Order, max_events=5, flush_after="1h", execute=report)

ran = 0


@Continuous.make("counted", state_schema=int, schedule=Continuous.every("1 minute"))
async def counted(ctx: ContinuousContext[int]) -> None:
    global ran  # noqa: PLW0603 - that is the bug
    ran += 1
    ctx.set_state(ran)


@Continuous.make("bills", state_schema=int, schedule=Continuous.every("1 minute"))
async def bills(ctx: ContinuousContext[int]) -> None:
    ctx.set_state(ctx.state + 1)


def at_most_five(state: int) -> bool:
    return state <= 5


@Queue.make("steps", event_schema=Order)
async def steps(ctx: QueueExecuteContext[Order]) -> None:
    await ctx.client.queue(charges).enqueue(ctx.event, id=f"{ctx.event_id}-{ctx.attempt}")
    await asyncio.sleep(1)
