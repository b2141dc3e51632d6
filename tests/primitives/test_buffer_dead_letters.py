"""What becomes of a batch that was given up on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_primitives.durations import to_datetime
from durable_primitives.errors import InvalidStateError
from durable_primitives.events import (
    BufferDiscarded,
    BufferRedriven,
)
from durable_primitives.primitives.buffer import (
    BufferDeadLetterContext,
)
from durable_primitives.retry import RetryPolicy
from durable_primitives.signals import Cancel, DeadLetter, Retry
from tests.primitives.buffer_handler import DAY, HOUR, MINUTE, SECOND, Handler, start
from tests.primitives.driver import EPOCH_MS, Driver


async def dead(driver: Driver, client: Any, id: str, *events: str) -> str:
    """The flush id of a batch that died."""
    await client.add_many(id, events)
    await driver.advance(MINUTE)
    return (await client.dead_letters.list(id)).items[-1].flush_id


async def test_a_redriven_batch_runs_with_the_same_identity_and_content_and_all_attempts() -> None:
    handler = Handler(*[OSError()] * 5)
    driver, client = await start(handler)
    flush_id = await dead(driver, client, "a", "1", "2", "3")
    assert await client.dead_letters.redrive(flush_id) == 1
    assert await client.dead_letters.redrive(flush_id) == 0
    await client.add_many("a", ["4", "5", "6"])
    await driver.run_due()
    assert await client.dead_letters.redrive(flush_id) == 0
    await driver.advance(20 * SECOND)

    assert handler.states == [["1", "2", "3"]] * 6 + [["4", "5", "6"]]
    assert [ctx.attempt for ctx in handler.calls] == [1, 2, 3, 1, 2, 3, 1]
    assert {ctx.flush_id for ctx in handler.calls[:6]} == {flush_id}
    assert handler.calls[5].flush_reason == "max_events"
    assert (await client.dead_letters.list()).items == ()
    assert [event.event_count for event in driver.tracker.of_type(BufferRedriven)] == [3]


async def test_a_redriven_batch_that_fails_again_is_a_dead_letter_again() -> None:
    handler = Handler(*[OSError()] * 6)
    driver, client = await start(handler)
    flush_id = await dead(driver, client, "a", "1", "2", "3")
    await client.dead_letters.redrive(flush_id)
    await driver.advance(MINUTE)

    (letter,) = (await client.dead_letters.list()).items
    assert (letter.flush_id, letter.state, letter.attempts) == (flush_id, ["1", "2", "3"], 3)
    assert len(handler.calls) == 6


async def test_redriven_batches_run_in_the_order_in_which_they_were_redriven() -> None:
    handler = Handler(*[DeadLetter()] * 3)
    driver, client = await start(handler, max_events=1)
    await client.add_many("a", ["1", "2", "3"])
    await driver.run_due()
    ids = [letter.flush_id for letter in (await client.dead_letters.list()).items]
    driver.restart()
    for index in (2, 0, 1):
        await driver.client(driver.definitions[0]).dead_letters.redrive(ids[index])
    await driver.run_due()

    assert handler.states[3:] == [["3"], ["1"], ["2"]]


async def test_redrive_and_discard_take_a_choice() -> None:
    handler = Handler(*[DeadLetter()] * 4)
    driver, client = await start(handler)
    for id in ("a", "b", "c", "d"):
        await dead(driver, client, id, "1", "2", "3")

    assert await client.dead_letters.redrive(lambda letter: letter.id in "ab") == 2
    assert await client.dead_letters.discard(lambda letter: letter.id == "c") == 1
    await driver.run_due()
    assert [letter.id for letter in (await client.dead_letters.list()).items] == ["d"]
    assert [event.event_count for event in driver.tracker.of_type(BufferDiscarded)] == [3]


async def test_a_redriven_batch_can_be_discarded_until_its_turn_comes() -> None:
    handler = Handler(DeadLetter(), Retry(after="1 hour"))
    driver, client = await start(handler)
    flush_id = await dead(driver, client, "a", "1", "2", "3")
    await client.add_many("a", ["4", "5", "6"])
    await driver.run_due()
    assert await client.dead_letters.redrive(flush_id) == 1
    assert await client.dead_letters.discard(flush_id) == 1
    await driver.advance(HOUR)

    assert handler.states == [["1", "2", "3"], ["4", "5", "6"], ["4", "5", "6"]]


async def test_a_batch_that_is_being_flushed_cannot_be_discarded() -> None:
    handler = Handler(DeadLetter(), Retry(after="1 hour"))
    driver, client = await start(handler)
    flush_id = await dead(driver, client, "a", "1", "2", "3")
    await client.dead_letters.redrive(flush_id)
    await driver.run_due()
    with pytest.raises(InvalidStateError, match="discard needs the state dead, and the state is flushing"):
        await client.dead_letters.discard(flush_id)


async def test_dead_letters_are_listed_page_by_page_in_the_order_of_their_batches() -> None:
    handler = Handler(*[DeadLetter()] * 5)
    driver, client = await start(handler, max_events=1)
    await client.add_many("b", ["1", "2", "3"])
    await client.add_many("a", ["4", "5"])
    await client.add("c", "6")
    await driver.run_due()

    seen: list[str] = []
    cursor = None
    while True:
        page = await client.dead_letters.list(limit=2, cursor=cursor)
        seen += [letter.state[0] for letter in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == ["4", "5", "1", "2", "3"]
    assert [letter.state for letter in (await client.dead_letters.list("b", limit=2)).items] == [["1"], ["2"]]
    assert [letter.id for letter in (await client.dead_letters.list(limit=3)).items] == ["a", "a", "b"]
    first = (await client.dead_letters.list("b", limit=2)).cursor
    assert [letter.state for letter in (await client.dead_letters.list("b", limit=2, cursor=first)).items] == [["3"]]


async def test_a_dead_letter_is_found_by_its_flush_id() -> None:
    handler = Handler(DeadLetter())
    driver, client = await start(handler)
    flush_id = await dead(driver, client, "a", "1", "2", "3")
    found = await client.dead_letters.get(flush_id)

    assert found.state == ["1", "2", "3"]
    for unknown in (flush_id + "0", "buffer:other:a/1.1/1", "nonsense", "queue:b:a/1.1/1"):
        assert await client.dead_letters.get(unknown) is None
        assert await client.dead_letters.redrive(unknown) == 0
        assert await client.dead_letters.discard(unknown) == 0


async def test_dead_letters_go_after_thirty_days_and_the_instance_with_them() -> None:
    driver, client = await start(Handler(DeadLetter()))
    await dead(driver, client, "a", "1", "2", "3")
    await driver.advance(29 * DAY)
    await driver.backend.sweep(driver.now, 100)
    assert len((await client.dead_letters.list()).items) == 1
    await driver.advance(DAY)
    await driver.backend.sweep(driver.now, 100)
    await driver.backend.sweep(driver.now, 100)

    assert (await client.dead_letters.list()).items == ()
    assert await driver.backend.scan("", "", 10) == []


async def test_a_redriven_letter_that_has_outlived_its_retention_holds_nothing_back() -> None:
    handler = Handler(DeadLetter())
    driver, client = await start(handler)
    flush_id = await dead(driver, client, "a", "1", "2", "3")
    await driver.advance(30 * DAY)
    await client.dead_letters.redrive(flush_id)
    await driver.backend.sweep(driver.now, 100)
    await client.add_many("a", ["4", "5", "6"])
    await driver.run_due()

    assert handler.states == [["1", "2", "3"], ["4", "5", "6"]]
    assert (await client.status("a")).status == "idle"


async def test_on_dead_letter_is_told_once_the_batch_is_safe() -> None:
    told: list[tuple[Any, BaseException, BufferDeadLetterContext, int]] = []

    async def hook(state: Any, error: BaseException, ctx: BufferDeadLetterContext) -> None:
        told.append((state, error, ctx, len((await client.dead_letters.list()).items)))
        raise RuntimeError("the pager is down")

    error = OSError("no route")
    handler = Handler(error)
    driver, client = await start(handler, retry=RetryPolicy(max_attempts=1), on_dead_letter=hook)
    await client.add_many("a", ["1", "2", "3"])
    await client.add_many("a", ["4", "5", "6"])
    await driver.run_due()

    ((state, caused, ctx, kept),) = told
    assert (state, caused, kept) == (["1", "2", "3"], error, 1)
    assert (ctx.flush_id, ctx.attempts, ctx.event_count) == (handler.calls[0].flush_id, 1, 3)
    assert (ctx.instance_id, ctx.id, ctx.name, ctx.failed_at) == ("buffer:b:a", "a", "b", to_datetime(EPOCH_MS))
    assert handler.states == [["1", "2", "3"], ["4", "5", "6"]]
    assert (await client.status("a")).status == "idle"
    assert await driver.backend.next_due() is None


@pytest.mark.parametrize("failure", [Retry(), asyncio.CancelledError(), BaseExceptionGroup("group", [Cancel()])])
async def test_whatever_on_dead_letter_raises_stops_nothing(failure: BaseException) -> None:
    async def hook(state: Any, error: BaseException, ctx: BufferDeadLetterContext) -> None:
        raise failure

    handler = Handler(DeadLetter())
    driver, client = await start(handler, on_dead_letter=hook, max_events=1)
    await client.add_many("a", ["1", "2"])
    await driver.run_due()

    assert handler.states == [["1"], ["2"]]
    assert await driver.backend.next_due() is None


async def test_on_dead_letter_runs_under_the_lease() -> None:
    owners: list[str | None] = []

    async def hook(state: Any, error: BaseException, ctx: BufferDeadLetterContext) -> None:
        record = (await driver.backend.load(ctx.instance_id)).record
        assert record is not None
        owners.append(record.owner)

    driver, client = await start(Handler(DeadLetter()), on_dead_letter=hook)
    await client.add_many("a", ["1", "2", "3"])
    await driver.run_due()

    assert owners != [None]
    assert len(owners) == 1
    assert await driver.backend.next_due() is None
