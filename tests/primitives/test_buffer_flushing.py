"""How a batch is handed over: what `execute` sees, and what it leaves behind."""

from __future__ import annotations

import time
from typing import Any

import pytest

from durable_primitives.durations import to_datetime
from durable_primitives.events import (
    BufferFlushed,
    BufferFlushFailed,
    BufferFlushRequested,
)
from durable_primitives.kernel.transition import Transition
from durable_primitives.primitives.buffer import (
    Buffer,
    BufferExecuteContext,
    Reduce,
)
from durable_primitives.primitives.buffer.stored import read
from durable_primitives.primitives.queue import Queue
from tests.primitives.buffer_handler import DAY, HOUR, MINUTE, SECOND, THREE, Handler, start
from tests.primitives.driver import EPOCH_MS, Driver


async def test_execute_sees_the_batch_and_how_it_came_about() -> None:
    handler = Handler()
    driver, client = await start(handler)
    await client.add("a", "one")
    await driver.advance(5 * SECOND)
    await client.add("a", "two")
    await driver.advance(MINUTE)

    (ctx,) = handler.calls
    assert (ctx.instance_id, ctx.id, ctx.name, ctx.state) == ("buffer:b:a", "a", "b", ["one", "two"])
    assert (ctx.event_count, ctx.flush_reason, ctx.attempt, ctx.is_retry) == (2, "flush_after", 1, False)
    assert (ctx.first_event_at, ctx.last_event_at) == (to_datetime(EPOCH_MS), to_datetime(EPOCH_MS + 5 * SECOND))
    assert ctx.idempotency_key == ctx.flush_id
    assert ctx.flush_id.startswith("buffer:b:a/")
    assert not ctx.cancelled
    assert ctx.resources is None
    ctx.log.debug("seen")


async def test_execute_sees_when_the_events_of_a_state_came() -> None:
    handler = Handler()
    driver, client = await start(handler, on_event=Reduce.latest())
    await client.add("a", "one")
    await driver.advance(5 * SECOND)
    await client.add("a", "two")
    await driver.advance(MINUTE)

    (ctx,) = handler.calls
    assert (ctx.first_event_at, ctx.last_event_at) == (to_datetime(EPOCH_MS), to_datetime(EPOCH_MS + 5 * SECOND))


@pytest.mark.parametrize("on_event", [None, Reduce.latest()])
async def test_the_reason_says_what_sealed_the_batch(on_event: Any) -> None:
    handler = Handler()
    driver, client = await start(handler, on_event=on_event)
    await client.add_many("a", ["1", "2", "3"])
    await driver.run_due()
    await client.add("a", "4")
    await client.flush("a")
    await driver.run_due()
    await client.add("a", "5")
    await driver.advance(MINUTE)

    assert [ctx.flush_reason for ctx in handler.calls] == ["max_events", "manual", "flush_after"]
    assert [ctx.event_count for ctx in handler.calls] == [3, 1, 1]
    assert len({ctx.flush_id for ctx in handler.calls}) == 3


async def test_reasons_stay_with_their_batches_while_they_wait() -> None:
    handler = Handler()
    driver, client = await start(handler)
    await client.add("a", "1")
    await client.flush("a")
    await client.add_many("a", ["2", "3", "4", "5"])
    await driver.advance(MINUTE)

    assert [ctx.flush_reason for ctx in handler.calls] == ["manual", "max_events", "flush_after"]
    assert handler.states == [["1"], ["2", "3", "4"], ["5"]]


async def test_a_plain_function_runs_in_a_thread() -> None:
    names: list[str] = []

    def handler(ctx: BufferExecuteContext[list[str]]) -> None:
        names.extend(ctx.state)

    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3"])
    await driver.run_due()

    assert names == ["1", "2", "3"]


async def test_a_batch_of_several_pages_is_handed_over_whole_and_in_order() -> None:
    handler = Handler()
    driver, client = await start(handler, max_events=1200)
    events = [str(number) for number in range(1200)]
    await client.add_many("a", events)
    await driver.run_due()

    assert handler.states == [events]


async def test_a_batch_that_was_flushed_leaves_nothing_but_its_receipts() -> None:
    driver, client = await start(Handler())
    await client.add_many("a", ["1", "2", "3"], event_ids=["e1", "e2", "e3"])
    await driver.run_due()

    assert (await driver.backend.tally("buffer:b:a", driver.now)).oldest_at is None
    assert await driver.backend.next_due() is None
    assert (await client.status("a")).status == "idle"
    await driver.advance(DAY)
    assert await driver.backend.sweep(driver.now, 100) == 4
    assert await driver.backend.scan("", "", 10) == []


async def test_what_sealed_a_batch_is_forgotten_with_it() -> None:
    driver, client = await start(Handler())
    for _ in range(3):
        await client.add("a", "1")
        await client.flush("a")
        await driver.run_due()
    record = (await driver.backend.load("buffer:b:a")).record

    assert record is not None
    assert read(record).reasons == {}


async def test_a_batch_costs_two_commits() -> None:
    driver, client = await start(Handler(), max_events=1)
    commit_now, commits = driver.backend.commit_now, list[Transition]()

    def counted(transitions: Any, request: Any = None) -> Any:
        commits.extend(one for one in transitions if one.guard is not None and one.guard.token is not None)
        return commit_now(transitions, request)

    driver.backend.commit_now = counted  # type: ignore[method-assign]
    await client.add_many("a", [str(number) for number in range(10)])
    await driver.run_due()

    assert len(commits) == 20


async def test_a_batch_whose_time_has_come_is_sealed_by_the_commit_that_begins_it() -> None:
    driver, client = await start(Handler())
    await client.add("a", "1")
    before = (await driver.backend.load("buffer:b:a")).record
    await driver.advance(MINUTE)
    after = (await driver.backend.load("buffer:b:a")).record

    assert before is not None
    assert after is not None
    assert after.version - before.version == 2


async def test_a_flush_id_is_not_given_again_after_the_instance_was_purged() -> None:
    handler = Handler()
    driver, client = await start(handler, dedupe_window="1 hour")
    for _ in range(2):
        await client.add_many("a", ["1", "2", "3"])
        await driver.advance(HOUR)
        await driver.backend.sweep(driver.now, 100)

    assert len({ctx.flush_id for ctx in handler.calls}) == 2


async def test_what_a_handler_sends_is_sent_once_however_often_it_runs() -> None:
    queue = Queue.make("q", event_schema=str, execute=Handler())

    async def handler(ctx: BufferExecuteContext[list[str]]) -> None:
        await ctx.client.queue(queue).enqueue(ctx.state[0])
        await ctx.client.queue(queue).enqueue(ctx.state[1])
        if not ctx.is_retry:
            raise OSError

    definition = Buffer.make("b", event_schema=str, max_events=2, retry=THREE, execute=handler)
    driver = await Driver(definition, queue).open()
    await driver.client(definition).add_many("a", ["1", "2"])
    await driver.advance(MINUTE)

    assert (await driver.client(queue).status()).processed == 2


async def test_what_a_handler_adds_to_another_buffer_is_added_once() -> None:
    digests = Buffer.make("digests", event_schema=str, flush_after="1 hour", execute=Handler())

    async def handler(ctx: BufferExecuteContext[list[str]]) -> None:
        await ctx.client.buffer(digests).add("all", ctx.state[0])
        await ctx.client.buffer(digests).add_many("all", ctx.state)
        if not ctx.is_retry:
            raise OSError

    definition = Buffer.make("b", event_schema=str, max_events=2, retry=THREE, execute=handler)
    driver = await Driver(definition, digests).open()
    await driver.client(definition).add_many("a", ["1", "2"])
    await driver.advance(MINUTE)

    assert await driver.client(digests).get_state("all") == ["1", "1", "2"]


async def test_every_attempt_is_told() -> None:
    handler = Handler(OSError("1"), None, OSError("2"), OSError("3"), OSError("4"))
    driver, client = await start(handler)
    await client.add_many("a", ["1", "2"])
    receipt = await client.flush("a")
    await driver.advance(MINUTE)
    await client.add_many("a", ["3", "4", "5"])
    await driver.advance(MINUTE)

    assert driver.tracker.types[2:] == [
        "buffer.flush_requested",
        "buffer.flush_failed",
        "buffer.flushed",
        "buffer.event_received",
        "buffer.event_received",
        "buffer.event_received",
        "buffer.flush_failed",
        "buffer.flush_failed",
        "buffer.flush_failed",
        "buffer.dead_lettered",
    ]
    (requested,) = driver.tracker.of_type(BufferFlushRequested)
    assert (requested.event_count, requested.flush_id) == (2, receipt.flush_id)
    failed = driver.tracker.of_type(BufferFlushFailed)
    assert [(event.attempt, event.error.message) for event in failed] == [(1, "1"), (1, "2"), (2, "3"), (3, "4")]
    assert failed[0].next_due_ms == EPOCH_MS + 10 * SECOND
    assert failed[-1].next_due_ms is None
    (flushed,) = driver.tracker.of_type(BufferFlushed)
    assert (flushed.flush_id, flushed.flush_reason, flushed.attempt) == (receipt.flush_id, "manual", 2)


async def test_a_broken_handler_does_not_spin() -> None:
    driver, client = await start(Handler(*[OSError()] * 3))
    await client.add_many("a", ["1", "2", "3"])
    began = time.monotonic()
    await driver.advance(DAY)

    assert time.monotonic() - began < 5
    assert await driver.backend.next_due() is None
