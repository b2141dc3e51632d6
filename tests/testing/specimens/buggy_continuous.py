"""Repeating jobs with a bug in what they do: to the world outside, to time, to their process."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict
from uuid import uuid4

from hypothesis import strategies as st
from msgspec import Struct
from pydantic import BaseModel

from durable_primitives import Continuous, ContinuousContext, RetryPolicy
from durable_primitives.testing import Effects
from tests.testing.specimens.specimen import Collection

specimens = Collection()
effects = Effects()


@dataclass
class Licence:
    expires: datetime | None = None


@specimens.breaks("real_world")
@Continuous.make("licences", state_schema=Licence, schedule=Continuous.every("1 day"))
async def licences(ctx: ContinuousContext[Licence]) -> None:
    """Asks the machine's clock: a run that was due on Friday and comes on Monday counts from Monday."""
    ctx.set_state(Licence(expires=datetime.now(UTC) + timedelta(days=30)))


class Session(BaseModel):
    key: str = ""


@specimens.breaks("real_world")
@Continuous.make("sessions", state_schema=Session, schedule=Continuous.every("1 hour"))
async def sessions(ctx: ContinuousContext[Session]) -> None:
    """A new random key on every attempt: the key that was handed out by a failed attempt is not the stored one."""
    ctx.set_state(Session(key=uuid4().hex))


class Subscription(Struct):
    charged: bool = False


@specimens.breaks("handler_is_repeatable", effects=effects)
@Continuous.make("subscriptions", state_schema=Subscription, schedule=Continuous.every("1 day"))
async def subscriptions(ctx: ContinuousContext[Subscription]) -> None:
    """Charges, and notes it in the state, which is stored later: a crash in between charges the customer twice."""
    if not ctx.state.charged:
        effects.record(ctx.id, "charge")
        ctx.set_state(Subscription(charged=True))


class Renewal(TypedDict):
    domain: str


@specimens.breaks("handler_is_repeatable", effects=effects)
@Continuous.make("renewals", state_schema=Renewal, schedule=Continuous.every("1 day"))
async def renewals(ctx: ContinuousContext[Renewal]) -> None:
    """The idempotency key contains the attempt, so the registrar takes each retry for another order."""
    effects.record(f"{ctx.id}/{ctx.run_count}/{ctx.attempt}", f"renew {ctx.state['domain']}")


@specimens.breaks("honours_cancellation")
@Continuous.make("stubborn", state_schema=int, schedule=Continuous.every("1 hour"), timeout="10 seconds")
async def stubborn(ctx: ContinuousContext[int]) -> None:
    """Goes on when it is cancelled: the timeout never ends it, and a deploy waits for it until it is killed."""
    for _ in range(60):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    ctx.set_state(ctx.state + 1)


@specimens.breaks("real_world")
@Continuous.make("polls", state_schema=int, schedule=Continuous.every("1 minute"))
async def polls(ctx: ContinuousContext[int]) -> None:
    """Sleeps with `time.sleep`: every other handler of the process stands still meanwhile."""
    time.sleep(2)  # noqa: ASYNC251 - that is the bug
    ctx.set_state(ctx.state + 1)


ran = 0


@specimens.breaks("memory_is_lost")
@Continuous.make("counted", state_schema=int, schedule=Continuous.every("1 minute"))
async def counted(ctx: ContinuousContext[int]) -> None:
    """Counts in a variable of the module: after a restart the stored count begins again at 1."""
    global ran  # noqa: PLW0603 - that is the bug
    ran += 1
    ctx.set_state(ran)


class Usage(Struct):
    since: datetime | None = None
    until: datetime | None = None
    minutes: int = 0


def minutes_add_up(usage: Usage) -> bool:
    if usage.since is None or usage.until is None:
        return usage.minutes == 0
    return usage.minutes == round((usage.until - usage.since) / timedelta(minutes=1))


@specimens.breaks("invariant", inputs=st.just(Usage()), invariants=[minutes_add_up])
@Continuous.make("metered", state_schema=Usage, schedule=Continuous.every("1 minute"))
async def metered(ctx: ContinuousContext[Usage]) -> None:
    """Bills one minute per run and ignores `ctx.missed`: the minutes of an outage are never billed."""
    since, minutes = ctx.state.since, ctx.state.minutes + 1
    if since is None:
        since, minutes = ctx.scheduled_for, 0
    ctx.set_state(Usage(since, ctx.scheduled_for, minutes))


class Lamp(Struct):
    switched: datetime | None = None
    on: bool = False


def on_in_even_hours(lamp: Lamp) -> bool:
    return lamp.switched is None or lamp.on == (lamp.switched.hour % 2 == 0)


@specimens.breaks("invariant", inputs=st.just(Lamp()), invariants=[on_in_even_hours])
@Continuous.make("lamps", state_schema=Lamp, schedule=Continuous.every("1 hour"))
async def lamps(ctx: ContinuousContext[Lamp]) -> None:
    """Counts on exactly one run per tick: a trigger or a missed tick, and the lamp is on by day from then on."""
    on = ctx.scheduled_for.hour % 2 == 0 if ctx.state.switched is None else not ctx.state.on
    ctx.set_state(Lamp(ctx.scheduled_for, on))


@specimens.breaks("comes_to_rest")
@Continuous.make("reminders", state_schema=str, schedule=Continuous.every("1 day"))
async def reminders(ctx: ContinuousContext[str]) -> None:
    """Schedules the next run for the moment that this one was for, which is past: it runs without a pause."""
    ctx.schedule(ctx.scheduled_for)


def hourly(previous: datetime | None, now: datetime) -> datetime | None:
    return previous + timedelta(hours=1)  # pyright: ignore[reportOptionalOperand]


@specimens.breaks("schedule_is_pure")
@Continuous.make("tides", state_schema=int, schedule=hourly)
async def tides(ctx: ContinuousContext[int]) -> None:
    """Its schedule forgets that there is no previous tick at a start: no instance can ever be started."""
    ctx.set_state(ctx.state + 1)


def whenever(previous: datetime | None, now: datetime) -> datetime | None:
    return now + timedelta(seconds=random.randint(60, 600))


@specimens.breaks("schedule_is_pure", "real_world")
@Continuous.make("spread", state_schema=int, schedule=whenever)
async def spread(ctx: ContinuousContext[int]) -> None:
    """Its schedule draws lots, and is asked again after each crash: ticks move, and some never come."""
    ctx.set_state(ctx.state + 1)


async def report(error: Exception, ctx: ContinuousContext[int]) -> None:
    body: Any = error
    ctx.log.warning("failed", status=body.response.status)


@specimens.breaks("hook_does_not_raise")
@Continuous.make("fetched", state_schema=int, schedule=Continuous.every("5 minutes"), on_error=report)
async def fetched(ctx: ContinuousContext[int]) -> None:
    """Its `on_error` expects an HTTP error: with any other the report of the failure is lost in a second failure."""
    await asyncio.sleep(1)
    ctx.set_state(ctx.state + 1)


@specimens.breaks("effect_is_not_lost", effects=effects)
@Continuous.make("statements", state_schema=int, schedule=Continuous.every("1 day"), retry=RetryPolicy(max_attempts=3))
async def statements(ctx: ContinuousContext[int]) -> None:
    """Takes a retry for a sign that the mail is out: if the first attempt never got so far, there is no mail."""
    if not ctx.is_retry:
        await asyncio.sleep(1)
        effects.record(ctx.idempotency_key, "mail")
    ctx.set_state(ctx.state + 1)
