"""How a batch is handed over, fails, waits, dies and comes back, on a clock that the test owns."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from durable_primitives.durations import to_datetime
from durable_primitives.errors import InvalidStateError
from durable_primitives.events import (
    BufferCleared,
    BufferDeadLettered,
    BufferDiscarded,
    BufferFlushed,
    BufferFlushFailed,
    BufferFlushRequested,
    BufferRedriven,
    ErrorInfo,
    InstanceParked,
    InstanceRecovered,
)
from durable_primitives.kernel.transition import ClaimRequest, Put, Transition
from durable_primitives.primitives.buffer import (
    Buffer,
    BufferDeadLetterContext,
    BufferEventContext,
    BufferExecuteContext,
    Reduce,
)
from durable_primitives.primitives.buffer.stored import read
from durable_primitives.primitives.queue import Queue
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Cancel, DeadLetter, Retry, Snooze
from tests.primitives.driver import EPOCH_MS, Driver

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
THREE = RetryPolicy(max_attempts=3, backoff=Backoff.constant("10 seconds", jitter="none"))


class Handler:
    """Notes every call; raises what it is told to, one after the other; None lets one pass."""

    def __init__(self, *raises: BaseException | None) -> None:
        self.raises = list(raises)
        self.calls: list[BufferExecuteContext[Any]] = []

    @property
    def states(self) -> list[Any]:
        return [ctx.state for ctx in self.calls]

    async def __call__(self, ctx: BufferExecuteContext[Any]) -> None:
        self.calls.append(ctx)
        error = self.raises.pop(0) if self.raises else None
        if error is not None:
            raise error


async def start(handler: Any, **options: Any) -> tuple[Driver, Any]:
    defaults = {"event_schema": str, "flush_after": "1 minute", "max_events": 3, "retry": THREE}
    definition = Buffer.make("b", execute=handler, **(defaults | options))
    driver = await Driver(definition).open()
    return driver, driver.client(definition)


# What execute sees.


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


# Failing and waiting.


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


# Dead letters.


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


# Crashes, shutdowns, deploys.


class Gate:
    """A handler that hangs until it is let go."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.calls: list[BufferExecuteContext[Any]] = []

    async def __call__(self, ctx: BufferExecuteContext[Any]) -> None:
        self.calls.append(ctx)
        self.entered.set()
        await self.open.wait()


async def test_a_batch_whose_worker_died_is_handed_over_again_after_the_lease() -> None:
    gate = Gate()
    driver, client = await start(gate)
    await client.add_many("a", ["1", "2", "3"])
    dying = asyncio.create_task(driver.run_due())
    await gate.entered.wait()
    lost = driver.worker

    driver.restart()
    gate.entered.clear()
    await driver.run_due()
    assert len(gate.calls) == 1
    gate.open.set()
    driver.runtime.ms += 30 * SECOND
    await driver.run_due()
    await dying

    assert lost is not driver.worker
    assert [(ctx.attempt, ctx.state) for ctx in gate.calls] == [(1, ["1", "2", "3"])] * 2
    assert len({ctx.flush_id for ctx in gate.calls}) == 1
    assert len(driver.tracker.of_type(BufferFlushed)) == 1
    assert await driver.backend.next_due() is None


async def test_a_batch_that_keeps_killing_its_worker_becomes_a_dead_letter() -> None:
    gate = Gate()
    driver, client = await start(gate, on_dead_letter=Handler())
    await client.add_many("a", ["1", "2", "3"])
    await client.add("a", "4")
    tasks = []
    for _ in range(5):
        gate.entered.clear()
        tasks.append(asyncio.create_task(driver.run_due()))
        await gate.entered.wait()
        driver.restart()
        driver.runtime.ms += 30 * SECOND
    gate.open.set()
    await asyncio.gather(*tasks)
    await driver.run_due()

    assert [ctx.state for ctx in gate.calls] == [["1", "2", "3"]] * 5 + [["4"]]
    (letter,) = (await client.dead_letters.list()).items
    assert (letter.state, letter.attempts) == (["1", "2", "3"], 0)
    assert [event.reason for event in driver.tracker.of_type(BufferDeadLettered)] == ["crash_loop"]


async def test_a_shutdown_gives_the_batch_back_and_counts_no_attempt() -> None:
    gate = Gate()
    driver, client = await start(gate)
    await client.add_many("a", ["1", "2", "3"])
    driver.worker.start()
    await gate.entered.wait()
    await driver.worker.stop(grace_s=0)
    assert await driver.backend.next_due() == driver.now

    driver.restart()
    gate.open.set()
    await driver.run_due()
    assert [ctx.attempt for ctx in gate.calls] == [1, 1]
    assert driver.tracker.of_type(BufferFlushFailed) == []


async def test_a_draining_worker_finishes_its_batch_and_leaves_the_next_to_others() -> None:
    gate = Gate()
    driver, client = await start(gate)
    await client.add_many("a", [str(number) for number in range(6)])
    driver.worker.start()
    await gate.entered.wait()
    assert not gate.calls[0].cancelled
    stopping = asyncio.create_task(driver.worker.stop())
    await asyncio.sleep(0)
    assert gate.calls[0].cancelled
    gate.open.set()
    await stopping
    assert [ctx.state for ctx in gate.calls] == [["0", "1", "2"]]
    assert await driver.backend.next_due() == driver.now

    driver.restart()
    await driver.run_due()
    assert [ctx.state for ctx in gate.calls] == [["0", "1", "2"], ["3", "4", "5"]]


async def test_a_worker_that_stops_before_it_began_gives_the_instance_back() -> None:
    handler = Handler()
    driver, client = await start(handler)
    driver.worker.start()
    await client.add_many("a", ["1", "2", "3"])
    await driver.worker.stop()
    assert (handler.calls, await driver.backend.next_due()) == ([], driver.now)

    driver.restart()
    await driver.run_due()
    assert handler.states == [["1", "2", "3"]]


async def test_claims_that_were_lost_before_a_batch_began_are_not_held_against_it() -> None:
    handler = Handler()
    driver, client = await start(handler, flush_after="1 minute")
    await client.add("a", "1")
    driver.runtime.ms += MINUTE
    for number in range(7):
        driver.backend.commit_now((), ClaimRequest(owner=f"w{number}", at=driver.now, lease_ms=1000, limit=1, take=0))
        driver.runtime.ms += SECOND
    await driver.run_due()

    assert handler.states == [["1"]]
    assert (await client.dead_letters.list()).items == ()


async def test_events_that_no_longer_decode_are_kept_and_hold_nothing_back() -> None:
    told: list[Any] = []

    async def hook(state: Any, error: BaseException, ctx: BufferDeadLetterContext) -> None:
        told.append(state)

    old, handler = Handler(), Handler()
    driver, client = await start(old, event_schema=str)
    await client.add_many("a", ["1", "2"])
    later = Buffer.make(
        "b", event_schema=int, flush_after="1 minute", retry=THREE, execute=handler, on_dead_letter=hook
    )
    driver.restart(later)
    await driver.advance(MINUTE)
    await driver.client(later).add_many("a", [4, 5, 6])
    await driver.advance(2 * MINUTE)

    assert (old.calls, handler.states) == ([], [[4, 5, 6]])
    (letter,) = (await driver.client(later).dead_letters.list()).items
    assert (letter.state, letter.attempts, letter.event_count) == (None, 3, 2)
    assert letter.error.type == "durable_primitives.errors.SerializationError"
    assert told == [None]

    driver.restart()
    client = driver.client(driver.definitions[0])
    assert await client.dead_letters.redrive(letter.flush_id) == 1
    await driver.run_due()
    assert old.states == [["1", "2"]]


async def test_old_events_are_brought_forward_by_migrations() -> None:
    handler = Handler()
    driver, client = await start(Handler())
    await client.add("a", "1")
    later = Buffer.make(
        "b", event_schema=int, flush_after="1 minute", execute=handler, schema_version=2, migrate={1: int}
    )
    driver.restart(later)
    await driver.client(later).add("a", 2)
    await driver.advance(MINUTE)

    assert handler.states == [[1, 2]]


def joined(ctx: BufferEventContext[str, str]) -> str:
    return (ctx.state or "") + ctx.event


async def test_events_of_a_list_are_folded_if_a_reducer_is_deployed_before_they_are_flushed() -> None:
    handler = Handler()
    driver, client = await start(Handler())
    await client.add_many("a", ["1", "2"])
    later = Buffer.make(
        "b", event_schema=str, state_schema=str, on_event=joined, flush_after="1 minute", execute=handler
    )
    driver.restart(later)
    result = await driver.client(later).add("a", "3")
    await driver.advance(MINUTE)

    assert result.event_count == 1
    assert handler.states == ["12", "3"]


async def test_a_folded_state_is_kept_if_its_reducer_is_no_longer_deployed() -> None:
    driver, client = await start(Handler(), state_schema=str, on_event=joined)
    await client.add_many("a", ["1", "2"])
    handler = Handler()
    later = Buffer.make("b", event_schema=str, flush_after="1 minute", retry=THREE, execute=handler)
    driver.restart(later)
    await driver.client(later).add("a", "3")
    await driver.advance(2 * MINUTE)

    assert handler.calls == []
    (letter,) = (await driver.client(later).dead_letters.list()).items
    assert (letter.event_count, letter.state) == (3, None)
    driver.restart()
    assert (await client.dead_letters.get(letter.flush_id)).state == "123"


async def test_a_record_that_cannot_be_read_is_parked_and_resumed_by_a_deploy_that_can() -> None:
    handler = Handler()
    driver, client = await start(handler)
    await client.add("a", "1")
    newer = b"\x91\x63"
    driver.backend.commit_now(
        (Transition(instance="buffer:b:a", at=driver.now, put=Put(status="open", data=newer, linger_ms=DAY)),)
    )
    await driver.advance(MINUTE)

    assert (await client.status("a")).status == "failed"
    assert [item.status.status for item in (await client.list()).items] == ["failed"]
    assert len(driver.tracker.of_type(InstanceParked)) == 1
    assert not (await client.add("a", "2")).duplicate
    driver.backend.commit_now(
        (
            Transition(
                instance="buffer:b:a", at=driver.now, put=Put(status="failed", data=b"", held=True, linger_ms=DAY)
            ),
        )
    )
    await driver.advance(5 * MINUTE)
    assert handler.states == [["1", "2"]]
    assert len(driver.tracker.of_type(InstanceRecovered)) == 1


async def test_an_instance_without_its_definition_keeps_everything_until_it_is_back() -> None:
    handler = Handler()
    driver, client = await start(handler)
    await client.add_many("a", ["1", "2"])
    driver.restart(Buffer.make("other", event_schema=str, max_events=2, execute=Handler()))
    await driver.advance(MINUTE)
    driver.restart()
    client = driver.client(driver.definitions[0])
    assert (await client.flush("a")).flushed
    assert (await client.status("a")).status == "orphaned"
    await driver.advance(5 * MINUTE - 1)
    assert handler.states == []
    await driver.advance(1)
    assert handler.states == [["1", "2"]]


async def test_an_old_name_finds_its_instances() -> None:
    handler = Handler(DeadLetter())
    driver, client = await start(Handler())
    await client.add_many("a", ["1", "2"])
    renamed = Buffer.make("new", event_schema=str, max_events=3, aliases=("b",), execute=handler)
    driver.restart(renamed)
    await driver.advance(MINUTE)

    assert [ctx.name for ctx in handler.calls] == ["b"]
    assert await driver.client(renamed).dead_letters.redrive(handler.calls[0].flush_id) == 1
    await driver.run_due()
    assert handler.states == [["1", "2"]] * 2


# Telling.


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
