"""Assertions about what was sent say what was found instead."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from durable_primitives import (
    Buffer,
    BufferEventContext,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    DefinitionError,
    Queue,
    QueueExecuteContext,
)
from durable_primitives.testing import TestPrimitives, create_test_primitives


async def nothing(ctx: object) -> None:
    """A handler that does nothing."""


async def forward(ctx: QueueExecuteContext[str]) -> None:
    await ctx.client.queue(sms).enqueue(f"{ctx.event}!")
    await ctx.client.buffer(carts).add("ada", ctx.event)


def total(ctx: BufferEventContext[int, int]) -> int:
    return (ctx.state or 0) + ctx.event


async def count(ctx: BufferExecuteContext[int]) -> None:
    """A handler that does nothing."""


async def tick(ctx: ContinuousContext[int]) -> None:
    """A handler that does nothing."""


mails = Queue.make("mails", event_schema=str, execute=forward, partition_key=lambda mail: mail[0])
sms = Queue.make("sms", event_schema=str, execute=nothing)
carts = Buffer.make("carts", event_schema=str, flush_after="5 minutes", execute=nothing)
totals = Buffer.make("totals", event_schema=int, state_schema=int, max_events=3, on_event=total, execute=count)
job = Continuous.make("job", state_schema=int, schedule=Continuous.every("1 hour"), execute=tick)


@pytest.fixture
async def t() -> AsyncGenerator[TestPrimitives]:
    async with create_test_primitives(mails, sms, carts, totals, job) as t:
        yield t


def fails(assertion: Callable[[], object], message: str) -> None:
    with pytest.raises(AssertionError, match=f"^{re.escape(message)}$"):
        assertion()


async def test_enqueued(t: TestPrimitives):
    fails(lambda: t.assert_enqueued(mails), "nothing was enqueued to 'mails'; no queue has got any event")
    t.refute_enqueued(mails)
    await t.client.queue(sms).enqueue("one", id="1")
    await t.client.queue(sms).enqueue("two")
    fails(lambda: t.assert_enqueued(mails), "nothing was enqueued to 'mails'; enqueued to 'sms': 2 events")
    assert t.assert_enqueued(sms) == ["one", "two"]
    assert t.assert_enqueued("sms", "two") == ["two"]
    assert t.assert_enqueued(sms, id="1") == ["one"]
    assert t.assert_enqueued(sms, where=lambda text: text.startswith("t"), count=1) == ["two"]
    fails(lambda: t.assert_enqueued(sms, "three"), "'three' was not enqueued to 'sms'; enqueued to it: 'one', 'two'")
    fails(
        lambda: t.assert_enqueued(sms, "one", count=2),
        "'one' was expected to be 2 times enqueued to 'sms', and was 1 times: 'one'",
    )
    fails(
        lambda: t.refute_enqueued(sms, "one"),
        "'one' was expected not to be enqueued to 'sms', and was 1 times: 'one'",
    )


async def test_what_handlers_send_counts(t: TestPrimitives):
    await t.client.queue(mails).enqueue("ada")
    t.refute_enqueued(sms)
    await t.run_until_idle()
    t.assert_enqueued(mails, partition_key="a")
    t.assert_enqueued(sms, "ada!")
    t.assert_buffered(carts, "ada", "ada")
    await t.advance("10 minutes")
    t.assert_buffered(carts, "ada", "ada", count=1)


async def test_a_duplicate_counts_once(t: TestPrimitives):
    for _ in range(2):
        await t.client.queue(sms).enqueue("one", id="1")
        await t.client.buffer(carts).add("ada", "tea", event_id="1")
    t.assert_enqueued(sms, count=1)
    t.assert_buffered(carts, "ada", count=1)


async def test_buffered(t: TestPrimitives):
    fails(lambda: t.assert_buffered(carts, "ada"), "nothing was added to 'carts' 'ada'; no buffer has got any event")
    await t.client.buffer(carts).add("bob", "milk")
    fails(
        lambda: t.assert_buffered(carts, "ada"),
        "nothing was added to 'carts' 'ada'; added to 'carts' 'bob': 1 event",
    )
    t.refute_buffered(carts, "ada")
    fails(
        lambda: t.refute_buffered(carts, "bob"),
        "something was expected not to be added to 'carts' 'bob', and was 1 times: 'milk'",
    )


async def test_events_that_are_folded_into_a_state_count(t: TestPrimitives):
    for number in (1, 2, 3):
        await t.client.buffer(totals).add("ada", number)
    assert t.assert_buffered(totals, "ada", count=3) == [1, 2, 3]
    t.fail("commit", when="after")
    with pytest.raises(Exception, match="the reply was lost"):
        await t.client.buffer(totals).add("ada", 4, event_id="4")
    assert (await t.client.buffer(totals).add("ada", 4, event_id="4")).duplicate
    t.assert_buffered(totals, "ada", 4, count=1)


async def test_scheduled(t: TestPrimitives):
    begin = datetime(2030, 1, 1, tzinfo=UTC)
    client = t.client.continuous(job)
    fails(
        lambda: t.assert_scheduled(job, "u1"),
        "no run of 'job' 'u1' is scheduled: there is none; nothing of 'job' is scheduled",
    )
    t.refute_scheduled(job, "u1")
    await client.start("u1", 0)
    assert t.assert_scheduled(job, "u1", within="1 second") == begin
    await t.run_until_idle()
    following = begin + timedelta(hours=1)
    assert t.assert_scheduled(job, "u1", at=following, within="1 hour") == following
    fails(
        lambda: t.assert_scheduled(job, "u1", at=begin),
        f"the next run of 'job' 'u1' is scheduled for {following}, not for {begin}",
    )
    fails(
        lambda: t.assert_scheduled("job", "u1", within="5 minutes"),
        f"the next run of 'job' 'u1' is scheduled for {following}, in 1h, not within 5 minutes",
    )
    fails(lambda: t.refute_scheduled(job, "u1"), f"a run of 'job' 'u1' is scheduled for {following}")
    await client.start("u2", 0)
    await client.stop("u1")
    fails(lambda: t.assert_scheduled(job, "u1"), "no run of 'job' 'u1' is scheduled: it is stopped; scheduled are 'u2'")


async def test_a_name_that_is_none_of_the_application_is_refused(t: TestPrimitives):
    with pytest.raises(DefinitionError, match="did you mean 'mails'"):
        t.assert_enqueued("mail")
