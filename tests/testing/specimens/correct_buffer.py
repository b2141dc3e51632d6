"""Buffers that are right, some of them in ways that look wrong."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypedDict

from msgspec import Struct
from pydantic import BaseModel

from durable_primitives import (
    Buffer,
    BufferDeadLetterContext,
    BufferEventContext,
    BufferExecuteContext,
    Reduce,
    RetryPolicy,
)
from durable_primitives.logs import get_logger
from durable_primitives.testing import Effects
from tests.testing.specimens.specimen import Collection

specimens = Collection()
effects = Effects()


class Note(Struct, frozen=True):
    to: str
    text: str


@specimens.keeps(effects=effects)
@Buffer.make("digests", event_schema=Note, flush_after="5 minutes", max_events=4)
async def digests(ctx: BufferExecuteContext[list[Note]]) -> None:
    """Empties the list that it was given, which is a fresh one each time, and asks before it sends."""
    place = 0
    while ctx.state:
        note = ctx.state.pop()
        key = f"{ctx.flush_id}/{place}"
        if (key, note.to) not in effects:
            effects.record(key, note.to)
        await asyncio.sleep(1)
        place += 1


class Profile(BaseModel):
    name: str
    tags: list[str] = []


@specimens.keeps()
@Buffer.make("profiles", event_schema=Profile, on_event=Reduce.latest(), flush_after="1 minute", timeout="5 seconds")
async def profiles(ctx: BufferExecuteContext[Profile]) -> None:
    """Takes longer than its timeout at the first attempt, and is cut off; asks to be left alone in `finally`."""
    try:
        await asyncio.sleep(1 if ctx.is_retry else 10)
    finally:
        ctx.state.tags.clear()


@dataclass
class Totals:
    events: int = 0
    cents: int = 0
    kinds: dict[str, int] = field(default_factory=dict[str, int])


class Sale(TypedDict):
    kind: str
    cents: int


def total(ctx: BufferEventContext[Sale, Totals]) -> Totals:
    """Makes a new state, and raises for nothing that the schema allows."""
    before = ctx.state or Totals()
    kinds = {**before.kinds, ctx.event["kind"]: before.kinds.get(ctx.event["kind"], 0) + 1}
    cents = max(-(2**60), min(2**60, before.cents + ctx.event["cents"]))
    return Totals(before.events + 1, cents, kinds)


def kinds_add_up(totals: Totals) -> bool:
    return totals.events == sum(totals.kinds.values())


async def note(state: Totals | None, error: BaseException, ctx: BufferDeadLetterContext) -> None:
    cents = None if state is None else state.cents
    get_logger(__name__).warning("a batch was given up", id=ctx.id, attempts=ctx.attempts, cents=cents, error=error)


@specimens.keeps(invariants=[kinds_add_up])
@Buffer.make(
    "totals",
    event_schema=Sale,
    state_schema=Totals,
    on_event=total,
    max_events=10,
    flush_after="1 minute",
    on_dead_letter=note,
)
def totals(ctx: BufferExecuteContext[Totals]) -> None:
    """A plain function, in a thread, that refuses some batches: they are dead letters, and that is how it should be."""
    if ctx.state.cents < 0:
        raise ValueError("more was given back than sold")


@specimens.keeps(effects=effects)
@Buffer.make("drafts", event_schema=str, max_events=3, retry=RetryPolicy(max_attempts=1))
async def drafts(ctx: BufferExecuteContext[list[str]]) -> None:
    """Sends on into another id of its own; the ids of what it sends are derived from the batch."""
    if ctx.id != "sent":
        for draft in ctx.state:
            await ctx.client.buffer(drafts).add("sent", draft)


class Tags(Struct, frozen=True):
    names: frozenset[str] = frozenset()


@specimens.keeps()
@Buffer.make(
    "tags",
    event_schema=str,
    state_schema=Tags,
    on_event=lambda ctx: Tags((ctx.state or Tags()).names | {ctx.event}),
    max_events=20,
    flush_after="1 minute",
)
async def tags(ctx: BufferExecuteContext[Tags]) -> None:
    """Keeps a set that its schema declares: its order is another one in each process, and nobody depends on it."""
    await asyncio.sleep(len(ctx.state.names) / 10)
