"""How a batch fails, waits and is tried again, on a clock that the test owns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_primitives.durations import to_datetime
from durable_primitives.events import (
    BufferCleared,
    BufferDeadLettered,
    ErrorInfo,
)
from durable_primitives.primitives.buffer import (
    BufferExecuteContext,
)
from durable_primitives.retry import RetryPolicy
from durable_primitives.signals import Cancel, DeadLetter, Retry, Snooze
from tests.primitives.buffer_handler import HOUR, MINUTE, SECOND, THREE, Handler, start
from tests.primitives.driver import EPOCH_MS


async def test_a_failed_batch_is_tried_again_with_the_same_content_and_identity() -> None:
    handler = Handler(OSError("no route"), OSError("no route"))
    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3"])
    await driver.run_due()
    waiting = await client.status("a")
    await driver.advance(MINUTE)

    assert [(ctx.attempt, ctx.is_retry) for ctx in handler.calls] == [(1, False), (2, True), (3, True)]
    assert len({ctx.flush_id for ctx in handler.calls}) == 1
    assert handler.states == [["1", "2", "3"]] * 3
    assert (waiting.status, waiting.attempt, waiting.flushing) == ("retrying", 1, True)
    assert waiting.retry_at == to_datetime(EPOCH_MS + 10 * SECOND)
    assert waiting.last_error == ErrorInfo("OSError", "no route")
    after = await client.status("a")
    assert (after.status, after.attempt, after.last_error) == ("idle", 0, None)


async def test_each_attempt_gets_a_state_of_its_own() -> None:
    async def handler(ctx: BufferExecuteContext[list[str]]) -> None:
        seen.append(list(ctx.state))
        ctx.state.clear()
        if len(seen) == 1:
            raise OSError

    seen: list[list[str]] = []
    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3"])
    await driver.advance(MINUTE)

    assert seen == [["1", "2", "3"]] * 2


async def test_a_batch_in_backoff_holds_back_those_behind_it_in_order() -> None:
    handler = Handler(OSError())
    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3"])
    await driver.run_due()
    await client.add_many("a", ["4", "5", "6", "7"])
    await client.flush("a")
    await driver.run_due()
    assert len(handler.calls) == 1
    await driver.advance(10 * SECOND)

    assert handler.states == [["1", "2", "3"], ["1", "2", "3"], ["4", "5", "6"], ["7"]]


async def test_a_batch_whose_time_comes_while_another_waits_is_sealed_and_goes_after_it() -> None:
    handler = Handler(Retry(after="10 minutes"))
    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3", "4"])
    await driver.advance(2 * MINUTE)
    assert await client.get_state("a") is None
    await client.add("a", "5")
    await driver.advance(10 * MINUTE)

    assert handler.states == [["1", "2", "3"], ["1", "2", "3"], ["4"], ["5"]]
    assert handler.calls[2].flush_reason == "flush_after"


async def test_an_exhausted_batch_becomes_a_dead_letter_and_the_next_proceeds() -> None:
    handler = Handler(OSError("1"), OSError("2"), OSError("3"))
    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3"], event_ids=["e1", "e2", "e3"])
    await client.add_many("a", ["4", "5", "6"])
    await driver.advance(20 * SECOND)

    assert handler.states == [["1", "2", "3"]] * 3 + [["4", "5", "6"]]
    (letter,) = (await client.dead_letters.list()).items
    assert letter.flush_id == handler.calls[0].flush_id
    assert (letter.state, letter.event_count, letter.attempts) == (["1", "2", "3"], 3, 3)
    assert (letter.error, letter.flush_reason) == (ErrorInfo("OSError", "3"), "max_events")
    assert (letter.id, letter.instance_id) == ("a", "buffer:b:a")
    assert letter.failed_at == to_datetime(EPOCH_MS + 20 * SECOND)
    assert letter.first_event_at == letter.last_event_at == to_datetime(EPOCH_MS)
    assert (await client.add("a", "1", event_id="e1")).duplicate


@pytest.mark.parametrize(
    ("policy", "error", "attempts", "reason"),
    [
        (RetryPolicy(max_attempts=1), OSError(), 1, "max_attempts"),
        (RetryPolicy(max_attempts=5, give_up_on=(KeyError,)), KeyError(), 1, "give_up_on"),
        (RetryPolicy(max_attempts=5, retry_on=(OSError,)), KeyError(), 1, "give_up_on"),
        (RetryPolicy(max_attempts=2, backoff=THREE.backoff, retry_on=(OSError,)), Retry(), 2, "max_attempts"),
        (RetryPolicy(max_attempts=5), DeadLetter("poison"), 1, "poison"),
        (RetryPolicy(max_attempts=5), DeadLetter(), 1, "dead_letter"),
    ],
)
async def test_a_batch_is_given_up_on_for_a_stated_reason(
    policy: RetryPolicy, error: BaseException, attempts: int, reason: str
) -> None:
    handler = Handler(*[error] * 5)
    driver, client = await start(handler, retry=policy)
    await client.add_many("a", ["1", "2", "3"])
    await driver.advance(HOUR)

    assert len(handler.calls) == attempts
    assert [event.reason for event in driver.tracker.of_type(BufferDeadLettered)] == [reason]
    assert (await client.status("a")).last_error is not None


async def test_a_signal_says_how_to_go_on() -> None:
    handler = Handler(Retry(after="1 minute"), Snooze("2 minutes"), Snooze("2 minutes"))
    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3"])
    await driver.run_due()
    for wait in (MINUTE, 2 * MINUTE, 2 * MINUTE):
        calls = len(handler.calls)
        await driver.advance(wait - 1)
        assert len(handler.calls) == calls
        await driver.advance(1)
        assert len(handler.calls) == calls + 1

    assert [ctx.attempt for ctx in handler.calls] == [1, 2, 2, 2]
    assert (await client.status("a")).status == "idle"


async def test_cancel_drops_the_batch() -> None:
    handler = Handler(Cancel("obsolete"))
    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3"], event_ids=["e1", "e2", "e3"])
    await driver.advance(MINUTE)

    assert len(handler.calls) == 1
    assert (await client.dead_letters.list()).items == ()
    assert [event.event_count for event in driver.tracker.of_type(BufferCleared)] == [3]
    receipt = (await driver.backend.load("buffer:b:a", ("e1",))).receipts["e1"]
    assert receipt.settlement == "cleared"


async def test_an_attempt_that_takes_too_long_fails() -> None:
    async def handler(ctx: BufferExecuteContext[list[str]]) -> None:
        await asyncio.Event().wait()

    driver, client = await start(handler, timeout="5ms", retry=RetryPolicy(max_attempts=1))
    await client.add_many("a", ["1", "2", "3"])
    await driver.run_due()

    (letter,) = (await client.dead_letters.list()).items
    assert letter.error == ErrorInfo("TimeoutError", "execute took longer than its timeout of 5ms")


async def test_a_timeout_of_the_handler_s_own_is_told_as_it_is() -> None:
    driver, client = await start(Handler(TimeoutError("upstream")), timeout="1 hour")
    await client.add_many("a", ["1", "2", "3"])
    await driver.run_due()

    assert (await client.status("a")).last_error == ErrorInfo("TimeoutError", "upstream")


async def test_returning_anything_but_none_fails_the_attempt() -> None:
    async def handler(ctx: BufferExecuteContext[list[str]]) -> Any:
        return {"failed": []}

    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3"])
    await driver.advance(MINUTE)

    (letter,) = (await client.dead_letters.list()).items
    assert letter.attempts == 3
    assert letter.error.type == "durable_primitives.errors.DefinitionError"
    assert "execute of buffer 'b' returned dict, and must return None" in letter.error.message


async def test_something_cancelled_that_the_handler_awaits_is_a_failure_like_others() -> None:
    async def handler(ctx: BufferExecuteContext[list[str]]) -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3"])
    await driver.advance(MINUTE)

    assert [letter.attempts for letter in (await client.dead_letters.list()).items] == [3]


async def test_a_signal_wrapped_by_a_task_group_is_a_failure_and_not_a_crash() -> None:
    async def handler(ctx: BufferExecuteContext[list[str]]) -> None:
        raise BaseExceptionGroup("unhandled errors in a TaskGroup", [Snooze("1 minute")])

    driver, client = await start(handler)
    await client.add_many("a", ["1", "2", "3"])
    await driver.advance(MINUTE)

    assert [letter.attempts for letter in (await client.dead_letters.list()).items] == [3]
