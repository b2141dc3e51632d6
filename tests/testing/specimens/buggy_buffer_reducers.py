"""Buffers with a bug in their reducer, or in what it makes."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import count
from typing import Any, NotRequired, TypedDict

from msgspec import Struct
from pydantic import BaseModel

from durable_primitives import Buffer, BufferEventContext, BufferExecuteContext
from tests.testing.specimens.specimen import Collection

specimens = Collection()


async def send(ctx: BufferExecuteContext[Any]) -> None:
    """The handler of all of these: it does nothing, the bug is in the reducer."""


class Stamped(BaseModel):
    texts: list[str]
    updated: datetime


def stamp(ctx: BufferEventContext[str, Stamped]) -> Stamped:
    """Asks the machine's clock: the stored time is that of the last try of the commit, not of the event."""
    texts = ctx.state.texts if ctx.state else []
    return Stamped(texts=[*texts, ctx.event], updated=datetime.now(UTC))


stamped = specimens.breaks("reducer_is_pure")(
    Buffer.make("stamped", event_schema=str, state_schema=Stamped, on_event=stamp, execute=send, max_events=20)
)


def sample(ctx: BufferEventContext[int, list[int]]) -> list[int]:
    """Throws dice: an event that is folded again after a conflict may be in the sample, or not."""
    kept = ctx.state or []
    return [*kept, ctx.event] if random.random() < 0.5 else kept


sampled = specimens.breaks("reducer_is_pure")(
    Buffer.make("sampled", event_schema=int, state_schema=list[int], on_event=sample, execute=send, max_events=20)
)


def distinct(ctx: BufferEventContext[str, list[str]]) -> list[str]:
    """Goes through a set, whose order is another one in each process: two workers disagree on one batch."""
    return list({*(ctx.state or []), ctx.event})


distinct_tags = specimens.breaks("reducer_is_pure")(
    Buffer.make(
        "distinct_tags", event_schema=str, state_schema=list[str], on_event=distinct, execute=send, max_events=20
    )
)


EMPTY: list[str] = []


def gather(ctx: BufferEventContext[str, list[str]]) -> list[str]:
    """Appends to the list that it begins every batch with: a customer's digest begins with those of all others."""
    state = EMPTY if ctx.state is None else ctx.state
    state.append(ctx.event)
    return state


gathered = specimens.breaks("reducer_is_pure")(
    Buffer.make("gathered", event_schema=str, state_schema=list[str], on_event=gather, execute=send, max_events=20)
)


class Tally(TypedDict):
    events: int


def tally(ctx: BufferEventContext[str, Tally]) -> Tally:
    """Changes the state that it was given: who still holds that, a test or a cache, sees it change."""
    if ctx.state is None:
        return {"events": 1}
    ctx.state["events"] += 1
    return ctx.state


tallies = specimens.breaks("reducer_is_pure")(
    Buffer.make("tallies", event_schema=str, state_schema=Tally, on_event=tally, execute=send, max_events=20)
)


class Order(TypedDict):
    price: int
    quantity: int
    coupon: NotRequired[str]


def coupons(ctx: BufferEventContext[Order, list[str]]) -> list[str]:
    """Takes an optional key for granted: an order without a coupon is refused, and its sender gets the error."""
    return sorted({*(ctx.state or []), ctx.event["coupon"]})  # pyright: ignore[reportTypedDictNotRequiredAccess]


coupons_used = specimens.breaks("accepts_events")(
    Buffer.make(
        "coupons_used", event_schema=Order, state_schema=list[str], on_event=coupons, execute=send, max_events=20
    )
)


def unit_price(ctx: BufferEventContext[Order, int]) -> int:
    """Divides by a quantity that may be 0: a free sample in the cart, and `add` raises."""
    return max(ctx.state or 0, ctx.event["price"] // ctx.event["quantity"])


unit_prices = specimens.breaks("accepts_events")(
    Buffer.make("unit_prices", event_schema=Order, state_schema=int, on_event=unit_price, execute=send, max_events=20)
)


def quote(ctx: BufferEventContext[str, str]) -> str:
    """Quotes all there was before, twice: forty messages fill the disk."""
    before = ctx.state or ""
    return f"{before}\n> {before}\n{ctx.event}"


quotes = specimens.breaks("state_is_bounded")(
    Buffer.make("quotes", event_schema=str, state_schema=str, on_event=quote, execute=send, max_events=20)
)


class Seen(TypedDict):
    users: Any


def users(ctx: BufferEventContext[str, Seen]) -> Seen:
    """Keeps a set where anything may stand: what comes back is a list, and the second event is refused."""
    before = ctx.state["users"] if ctx.state else set()
    return {"users": before | {ctx.event}}


active_users = specimens.breaks("state_round_trips")(
    Buffer.make("active_users", event_schema=str, state_schema=Seen, on_event=users, execute=send, max_events=20)
)


numbers = count(1)


class Numbered(Struct):
    number: int
    text: str


def number(ctx: BufferEventContext[str, list[Numbered]]) -> list[Numbered]:
    """Numbers from a counter of the process: they begin again after a restart, and a retried commit skips one."""
    return [*(ctx.state or []), Numbered(next(numbers), ctx.event)]


numbered = specimens.breaks("reducer_is_pure")(
    Buffer.make("numbered", event_schema=str, state_schema=list[Numbered], on_event=number, execute=send, max_events=20)
)


class Range(Struct):
    first: int
    low: int


def first_is_no_lower(range: Range) -> bool:
    return range.low <= range.first


def lowest(ctx: BufferEventContext[int, Range]) -> Range:
    """Takes 0 for nothing: after a reading of 0 degrees the lowest temperature is whatever comes next."""
    if ctx.state is None:
        return Range(ctx.event, ctx.event)
    return Range(ctx.state.first, min(ctx.state.low or ctx.event, ctx.event))


readings = specimens.breaks("invariant", invariants=[first_is_no_lower])(
    Buffer.make("readings", event_schema=int, state_schema=Range, on_event=lowest, execute=send, max_events=20)
)
