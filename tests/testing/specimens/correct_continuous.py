"""Repeating jobs that are right, some of them in ways that look wrong."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TypedDict

from hypothesis import strategies as st
from msgspec import Struct, structs
from pydantic import BaseModel

from durable_primitives import Continuous, ContinuousContext, RetryPolicy, Snooze
from durable_primitives.testing import Effects
from tests.testing.specimens.specimen import Collection

specimens = Collection()
effects = Effects()


class Meter(Struct):
    since: datetime | None = None
    until: datetime | None = None
    minutes: int = 0


def minutes_add_up(meter: Meter) -> bool:
    if meter.since is None or meter.until is None:
        return meter.minutes == 0
    return meter.minutes == int((meter.until - meter.since) / timedelta(minutes=1))


@specimens.keeps(inputs=st.just(Meter()), invariants=[minutes_add_up])
@Continuous.make("metering", state_schema=Meter, schedule=Continuous.every("1 minute"))
async def metering(ctx: ContinuousContext[Meter]) -> None:
    """Bills by the time that the run stands for, however many ticks were missed or triggers came."""
    since = ctx.state.since or ctx.scheduled_for
    ctx.set_state(Meter(since, ctx.scheduled_for, int((ctx.scheduled_for - since) / timedelta(minutes=1))))


class Reminder(Struct):
    sent: bool = False


@specimens.keeps(effects=effects)
@Continuous.make("reminded", state_schema=Reminder, schedule=Continuous.every("1 day"))
async def reminded(ctx: ContinuousContext[Reminder]) -> None:
    """At most once: it notes the mail as sent, has that stored, and only then sends it."""
    if ctx.state.sent:
        return
    ctx.set_state(Reminder(sent=True))
    await ctx.checkpoint()
    effects.record(ctx.idempotency_key, "mail")


@dataclass
class Runs:
    latest: list[datetime] = field(default_factory=list[datetime])


@specimens.keeps()
@Continuous.make("latest", state_schema=Runs, schedule=Continuous.every("1 minute"), on_exhausted="pause")
async def latest(ctx: ContinuousContext[Runs]) -> None:
    """A history that keeps its last ten entries; and it gives up, for good, at some of its runs."""
    if ctx.run_count % 7 == 6:
        raise ConnectionError("the service is away")
    ctx.set_state(Runs([*ctx.state.latest, ctx.scheduled_for][-10:]))


class Trial(BaseModel):
    days: int = 0


@specimens.keeps(inputs=st.just(Trial()), invariants=[lambda trial: trial.days <= 14])
@Continuous.make("trials", state_schema=Trial, schedule=Continuous.every("1 day"))
async def trials(ctx: ContinuousContext[Trial]) -> None:
    """Ends by itself on its 14th day."""
    if ctx.state.days >= 13:
        ctx.set_state(Trial(days=14))
        ctx.stop("the trial is over")
    ctx.set_state(Trial(days=ctx.state.days + 1))


class Level(Enum):
    LOW = "low"
    HIGH = "high"


class Rich(Struct):
    amount: Decimal = Decimal(0)
    level: Level = Level.LOW
    tags: frozenset[str] = frozenset()
    pair: tuple[int, str] = (0, "")
    by_number: dict[int, str] = {}
    at: datetime = datetime(2030, 1, 1, tzinfo=UTC)


@specimens.keeps()
@Continuous.make("rich", state_schema=Rich, schedule=Continuous.every("1 hour"))
async def rich(ctx: ContinuousContext[Rich]) -> None:
    """Sets, tuples, decimals and number keys that its schema declares, and that come back as what they were."""
    ctx.set_state(
        structs.replace(
            ctx.state,
            amount=Decimal(ctx.run_count).scaleb(-2),
            level=Level.HIGH,
            tags=frozenset({"a", f"{ctx.run_count % 3}"}),
            pair=(ctx.run_count, "x"),
            by_number={ctx.run_count % 3: "x"},
            at=ctx.now(),
        )
    )


class Poll(TypedDict):
    empty: int


@specimens.keeps(inputs=st.just({"empty": 0}))
@Continuous.make("polling", state_schema=Poll, schedule=Continuous.every("1 minute"), timeout="1 minute")
async def polling(ctx: ContinuousContext[Poll]) -> None:
    """Begins late, rolls dice from a seed of its own, and looks less often while there is nothing."""
    dice = random.Random(ctx.idempotency_key)
    await asyncio.sleep(dice.random())
    if ctx.now() - ctx.scheduled_for < timedelta(seconds=10):
        raise Snooze("10 seconds")
    empty = min(ctx.state["empty"] + 1, 10)
    ctx.schedule(f"{empty * 5} minutes")
    ctx.set_state({"empty": empty})


def office_hours(previous: datetime | None, now: datetime) -> datetime | None:
    tick = (previous or now).replace(minute=0, second=0, microsecond=0)
    while tick <= (previous or now) or not 9 <= tick.hour < 17:
        tick += timedelta(hours=1)
    return tick


seen: Counter[str] = Counter()


@specimens.keeps()
@Continuous.make("office", state_schema=int, schedule=office_hours, retry=RetryPolicy(max_attempts=2))
async def office(ctx: ContinuousContext[int]) -> None:
    """A schedule of its own, and a metric in memory that nothing depends on."""
    seen[ctx.id] += 1
    ctx.set_state(ctx.run_count)


class Import(Struct):
    run: int = 0
    page: int = 0


PAGES = 3


@specimens.keeps(effects=effects, inputs=st.just(Import()), invariants=[lambda state: state.page <= PAGES])
@Continuous.make("imported", state_schema=Import, schedule=Continuous.every("1 day"))
async def imported(ctx: ContinuousContext[Import]) -> None:
    """Goes on at the page where the attempt before it stopped; a page that was fetched twice is written once."""
    if ctx.state.run != ctx.run_count:
        ctx.set_state(Import(run=ctx.run_count))
    for page in range(ctx.state.page, PAGES):
        await asyncio.sleep(1)
        if (f"{ctx.idempotency_key}/{page}", "write") not in effects:
            effects.record(f"{ctx.idempotency_key}/{page}", "write")
        ctx.set_state(Import(ctx.run_count, page + 1))
        await ctx.checkpoint()
