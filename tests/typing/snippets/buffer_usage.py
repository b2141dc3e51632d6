"""What type checkers infer for a buffer: events and state flow from the schemas into handlers, clients and results."""

from __future__ import annotations

from typing import Any, assert_type

from msgspec import Struct

from durable_primitives.client import PrimitivesClient
from durable_primitives.kernel.page import Page
from durable_primitives.primitives.buffer import (
    AddResult,
    Buffer,
    BufferClient,
    BufferDeadLetter,
    BufferDeadLetterContext,
    BufferDefinition,
    BufferEventContext,
    BufferExecuteContext,
    FlushReceipt,
    Reduce,
)


class Order(Struct):
    amount: int


async def notify(ctx: BufferExecuteContext[list[Order]]) -> None:
    assert_type(ctx.state, list[Order])
    assert_type(ctx.event_count, int)


async def report(ctx: BufferExecuteContext[int]) -> None:
    assert_type(ctx.state, int)


def keep(ctx: BufferExecuteContext[Order]) -> None:
    assert_type(ctx.state, Order)


def total(ctx: BufferEventContext[Order, int]) -> int:
    assert_type(ctx.event, Order)
    assert_type(ctx.state, int | None)
    return (ctx.state or 0) + ctx.event.amount


def large(ctx: BufferEventContext[Order, list[Order]]) -> list[Order]:
    return [*(ctx.state or []), ctx.event] if ctx.event.amount > 100 else ctx.state or []


async def page_somebody(state: int | None, error: BaseException, ctx: BufferDeadLetterContext) -> None:
    assert_type(ctx.attempts, int)


# The list of events.

orders = Buffer.make("orders", event_schema=Order, flush_after="5 minutes", execute=notify)
assert_type(orders, BufferDefinition[Order, list[Order]])

appended = Buffer.make("orders", event_schema=Order, max_events=20, on_event=Reduce.append(), execute=notify)
assert_type(appended, BufferDefinition[Order, list[Order]])

filtered = Buffer.make("orders", event_schema=Order, max_events=20, on_event=large, execute=notify)
assert_type(filtered, BufferDefinition[Order, list[Order]])

unions = Buffer.make("unions", event_schema=Order | int, max_events=20)


@unions
async def either(ctx: BufferExecuteContext[list[Order | int]]) -> None:
    assert_type(ctx.state, list[Order | int])


assert_type(either, BufferDefinition[Order | int, list[Order | int]])


@Buffer.make("orders", event_schema=Order, flush_after="5 minutes", max_events=20, dedupe_window="1 hour")
async def decorated(ctx: BufferExecuteContext[list[Order]]) -> None:
    assert_type(ctx.state, list[Order])


assert_type(decorated, BufferDefinition[Order, list[Order]])

# The last event.

latest = Buffer.make("latest", event_schema=Order, flush_after="5 minutes", on_event=Reduce.latest(), execute=keep)
assert_type(latest, BufferDefinition[Order, Order])


@Buffer.make("latest", event_schema=Order, flush_after="5 minutes", on_event=Reduce.latest())
async def decorated_latest(ctx: BufferExecuteContext[Order]) -> None:
    assert_type(ctx.state, Order)


assert_type(decorated_latest, BufferDefinition[Order, Order])

# A state of its own type.

totals = Buffer.make(
    "totals",
    event_schema=Order,
    state_schema=int,
    flush_after="5 minutes",
    on_event=total,
    execute=report,
    on_dead_letter=page_somebody,
)
assert_type(totals, BufferDefinition[Order, int])


@Buffer.make("totals", event_schema=Order, state_schema=int, flush_after="5 minutes", on_event=total)
async def decorated_totals(ctx: BufferExecuteContext[int]) -> None:
    assert_type(ctx.state, int)


assert_type(decorated_totals, BufferDefinition[Order, int])

# What is refused.

Buffer.make("orders", event_schema=Order, flush_after="5 minutes", execute=keep)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Buffer.make("orders", event_schema=Order, flush_after=300, execute=notify)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
Buffer.make("orders", event_schema=Order, flush_aftr="5 minutes", execute=notify)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
Buffer.make("totals", event_schema=Order, state_schema=int, max_events=2, execute=report)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def use(client: PrimitivesClient) -> None:
    buffer = client.buffer(totals)
    assert_type(buffer, BufferClient[Order, int])
    assert_type(await buffer.add("a", Order(1), event_id="e1"), AddResult)
    assert_type(await buffer.add_many("a", [Order(1)]), list[AddResult])
    assert_type(await buffer.flush("a"), FlushReceipt)
    assert_type(await buffer.get_state("a"), int | None)
    assert_type(await buffer.dead_letters.list(), Page[BufferDeadLetter[int]])
    assert_type(await buffer.dead_letters.redrive(lambda letter: letter.attempts > 2), int)
    assert_type(await client.buffer(orders).get_state("a"), list[Order] | None)
    assert_type(client.buffer("orders"), BufferClient[Any, Any])
    await buffer.add("a", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
