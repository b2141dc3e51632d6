"""Buffers with a bug in how they hand a batch over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from msgspec import Struct
from pydantic import BaseModel

from durable_primitives import Buffer, BufferDeadLetterContext, BufferExecuteContext, RetryPolicy
from durable_primitives.testing import Effects
from tests.testing.specimens.specimen import Collection

specimens = Collection()
effects = Effects()


class Note(Struct, frozen=True):
    to: str
    text: str


@specimens.breaks("handler_is_repeatable", effects=effects)
@Buffer.make("notices", event_schema=Note, max_events=3, flush_after="1 minute")
async def notices(ctx: BufferExecuteContext[list[Note]]) -> None:
    """Sends one mail after the other: when one fails, the retry sends those before it again."""
    for place, note in enumerate(ctx.state):
        effects.record(f"{ctx.flush_id}/{place}", f"mail to {note.to}")
        await asyncio.sleep(1)


@specimens.breaks("handler_is_repeatable", effects=effects)
@Buffer.make("uploads", event_schema=str, max_events=5, flush_after="1 minute")
async def uploads(ctx: BufferExecuteContext[list[str]]) -> None:
    """Names the file after the attempt: each retry leaves another copy of the batch in the bucket."""
    effects.record(f"{ctx.id}/{ctx.first_event_at:%H%M%S}-{ctx.attempt}.json", "upload")
    await asyncio.sleep(1)


class Click(BaseModel):
    page: str
    seconds: int = 0


@specimens.breaks("accepts_events")
@Buffer.make("clicks", event_schema=Click, max_events=10, flush_after="1 minute")
async def clicks(ctx: BufferExecuteContext[list[Click]]) -> Any:
    """Returns how many it sent, which fails the attempt: each batch is sent three times and ends as a dead letter."""
    await asyncio.sleep(1)
    return len(ctx.state)


async def alert(state: list[str] | None, error: BaseException, ctx: BufferDeadLetterContext) -> None:
    body: Any = error
    assert body.status_code


@specimens.breaks("hook_does_not_raise")
@Buffer.make("exports", event_schema=str, max_events=5, flush_after="1 minute", on_dead_letter=alert)
async def exports(ctx: BufferExecuteContext[list[str]]) -> None:
    """Its dead-letter hook expects an HTTP error: of a timeout nobody is told."""
    await asyncio.sleep(1)


outbox: list[str] = []


@specimens.breaks("memory_is_lost", "effect_is_not_lost", effects=effects)
@Buffer.make("bulk", event_schema=str, max_events=2, flush_after="1 minute")
async def bulk(ctx: BufferExecuteContext[list[str]]) -> None:
    """Gathers batches in a list of the process until it is worth a request: a restart loses what is in it."""
    outbox.extend(ctx.state)
    if len(outbox) >= 5:
        effects.record(ctx.flush_id, f"insert {len(outbox)} rows")
        outbox.clear()


class Point(TypedDict):
    metric: str
    value: float
    unit: NotRequired[str]


@specimens.breaks("comes_to_rest")
@Buffer.make("points", event_schema=Point, max_events=5, flush_after="1 minute")
async def points(ctx: BufferExecuteContext[list[Point]]) -> None:
    """Puts what it cannot send back into the buffer: a point without a unit goes round for ever."""
    for place, point in enumerate(ctx.state):
        if "unit" not in point:
            await ctx.client.buffer(points).add(ctx.id, point, event_id=f"{ctx.flush_id}/{place}")


@dataclass
class Measure:
    sensor: str
    celsius: float = 0.0
    place: str = ""


def to_celsius(raw: Any) -> Any:
    return {"sensor": raw["sensor"], "celsius": (raw.get("fahrenheit", 32) - 32) * 5 / 9}


@specimens.breaks("migration_keeps_fields")
@Buffer.make("measures", event_schema=Measure, max_events=5, schema_version=2, migrate={1: to_celsius})
async def measures(ctx: BufferExecuteContext[list[Measure]]) -> None:
    """Its migration names the fields that it keeps, and forgets one: old measures lose their place at a deploy."""


@specimens.breaks("honours_cancellation")
@Buffer.make("archives", event_schema=str, max_events=5, flush_after="1 minute", timeout="30 seconds")
async def archives(ctx: BufferExecuteContext[list[str]]) -> None:
    """Takes being cancelled for a failed try of its own, and tries again: the timeout never ends it."""
    for _ in range(100):
        try:
            await asyncio.sleep(60)
        except BaseException as error:
            ctx.log.warning("archive failed, trying again", error=repr(error))
        else:
            return


@specimens.breaks("effect_is_not_lost", effects=effects)
@Buffer.make("letters", event_schema=str, max_events=5, flush_after="1 minute", retry=RetryPolicy(max_attempts=3))
async def letters(ctx: BufferExecuteContext[list[str]]) -> None:
    """Gives up by itself at the last attempt, so that nobody is paged: the batch counts as sent, and is nowhere."""
    if ctx.attempt == 3:
        return
    await asyncio.sleep(1)
    if (ctx.flush_id, "print") not in effects:
        effects.record(ctx.flush_id, "print")


@specimens.breaks("sends_once")
@Buffer.make("stages", event_schema=Note, max_events=3, flush_after="1 minute")
async def stages(ctx: BufferExecuteContext[list[Note]]) -> None:
    """Sends on under an id that holds the attempt: a retry sends everything once more."""
    for place, note in enumerate(ctx.state):
        if ctx.id != "archive":
            await ctx.client.buffer(stages).add("archive", note, event_id=f"{ctx.flush_id}-{ctx.attempt}-{place}")
