"""What went wrong in systems of this kind, each as the test that would have found it.

The first ones were reproduced in the design that this one descends from; those at the end by a simulator, in rewrites.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_primitives.durations import to_datetime
from durable_primitives.errors import DefinitionError, ReducerError, ValidationError
from durable_primitives.kernel.transition import ClaimRequest
from durable_primitives.primitives.buffer import Buffer, BufferEventContext, BufferExecuteContext
from durable_primitives.retry import Backoff, RetryPolicy
from tests.primitives.buffer_handler import HOUR, MINUTE, SECOND, Handler
from tests.primitives.driver import EPOCH_MS, Driver

TEN_MINUTES = RetryPolicy(max_attempts=3, backoff=Backoff.constant("10 minutes", jitter="none"))


def failing(times: int) -> Handler:
    return Handler(*[OSError("the sink is down")] * times)


async def start(handler: Any, **options: Any) -> tuple[Driver, Any]:
    make: Any = Buffer.make
    definition = make("b", execute=handler, **({"event_schema": str, "flush_after": "5 minutes"} | options))
    driver = await Driver(definition).open()
    return driver, driver.client(definition)


async def test_an_invalid_first_event_left_an_instance_that_never_flushed() -> None:
    handler = Handler()
    driver, client = await start(handler)
    with pytest.raises(ValidationError):
        await client.add("a", 42)
    valid = await client.add("a", "one")

    assert valid.created
    assert valid.will_flush_at == to_datetime(EPOCH_MS + 5 * MINUTE)
    await driver.advance(5 * MINUTE)
    assert handler.states == [["one"]]


async def test_a_first_event_that_the_reducer_refused_left_an_instance_that_never_flushed() -> None:
    def strict(ctx: BufferEventContext[str, str]) -> str:
        if not ctx.event:
            raise ValueError
        return ctx.event

    handler = Handler()
    driver, client = await start(handler, state_schema=str, on_event=strict)
    with pytest.raises(ReducerError):
        await client.add("a", "")
    assert (await client.status("a")).status == "not_found"
    assert (await client.add("a", "one")).created
    await driver.advance(5 * MINUTE)
    assert handler.states == ["one"]


async def test_an_event_that_came_during_a_flush_was_deleted_with_the_batch() -> None:
    async def execute(ctx: BufferExecuteContext[list[str]]) -> None:
        states.append(ctx.state)
        if len(states) == 1:
            result = await client.add("a", "late")
            assert (result.event_count, result.created) == (1, False)

    states: list[list[str]] = []
    driver, client = await start(execute)
    await client.add("a", "one")
    await driver.advance(5 * MINUTE)
    assert await client.get_state("a") == ["late"]
    await driver.advance(5 * MINUTE)

    assert states == [["one"], ["late"]]


async def test_filling_the_buffer_bypassed_the_backoff_and_burnt_the_attempts() -> None:
    handler = failing(1)
    driver, client = await start(handler, max_events=1, retry=TEN_MINUTES)
    await client.add("a", "0")
    await driver.run_due()
    for number in range(1, 6):
        await client.add("a", str(number))
        await driver.run_due()
    assert len(handler.calls) == 1
    assert (await client.status("a")).retry_at == to_datetime(EPOCH_MS + 10 * MINUTE)
    await driver.advance(10 * MINUTE)

    assert handler.states == [["0"], ["0"], ["1"], ["2"], ["3"], ["4"], ["5"]]


async def test_a_retry_moved_when_events_came_in() -> None:
    handler = failing(1)
    driver, client = await start(handler, max_events=2, retry=TEN_MINUTES)
    await client.add_many("a", ["1", "2"])
    await driver.advance(9 * MINUTE)
    await client.add_many("a", ["3", "4", "5"])
    await client.flush("a")
    await driver.advance(MINUTE - 1)
    assert len(handler.calls) == 1
    await driver.advance(1)

    assert handler.states == [["1", "2"], ["1", "2"], ["3", "4"], ["5"]]


@pytest.mark.parametrize("option", ["flush_after", "dedupe_window", "timeout"])
def test_a_bare_number_meant_an_instant_in_1970_and_spun(option: str) -> None:
    with pytest.raises(DefinitionError, match=f"{option} is 5000, and a number alone has no unit"):
        Buffer.make("b", **{"event_schema": str, "max_events": 2, "execute": Handler(), option: 5000})  # type: ignore[call-overload]


async def test_a_failed_flush_without_retries_left_a_zombie() -> None:
    handler = failing(1)
    driver, client = await start(handler, retry=RetryPolicy(max_attempts=1))
    await client.add("a", "1")
    await driver.advance(5 * MINUTE)
    again = await client.add("a", "2")
    assert again.will_flush_at == to_datetime(EPOCH_MS + 10 * MINUTE)
    await driver.advance(5 * MINUTE)

    assert handler.states == [["1"], ["2"]]
    assert [letter.state for letter in (await client.dead_letters.list()).items] == [["1"]]


async def test_exhausted_retries_deleted_the_batch() -> None:
    handler = failing(3)
    driver, client = await start(handler, retry=TEN_MINUTES)
    await client.add("a", "1")
    await driver.advance(HOUR)
    (letter,) = (await client.dead_letters.list()).items
    await client.dead_letters.redrive(letter.flush_id)
    await driver.run_due()

    assert handler.states == [["1"]] * 4
    assert (await client.dead_letters.list()).items == ()


async def test_an_id_was_accepted_twice_while_its_event_was_pending() -> None:
    handler = Handler()
    driver, client = await start(handler, max_events=2)
    assert not (await client.add("a", "1", event_id="e1")).duplicate
    assert (await client.add("a", "1", event_id="e1")).duplicate
    await driver.advance(5 * MINUTE)

    assert handler.states == [["1"]]


async def test_a_flush_forgot_the_ids_of_its_events() -> None:
    handler = failing(1)
    driver, client = await start(handler, max_events=1, retry=TEN_MINUTES)
    await client.add("a", "1", event_id="e1")
    await driver.run_due()
    assert (await client.add("a", "1", event_id="e1")).duplicate
    await driver.advance(10 * MINUTE)
    assert (await client.add("a", "1", event_id="e1")).duplicate
    await driver.run_due()

    assert handler.states == [["1"], ["1"]]
    assert len({ctx.flush_id for ctx in handler.calls}) == 1


async def test_the_first_event_was_given_to_the_reducer_as_its_own_state() -> None:
    states: list[Any] = []

    def note(ctx: BufferEventContext[str, str]) -> str:
        states.append(ctx.state)
        return ctx.event

    _, client = await start(Handler(), state_schema=str, on_event=note)
    await client.add_many("a", ["1", "2"])

    assert states == [None, "1"]


async def test_the_event_count_of_a_flush_was_read_live_and_exceeded_its_batch() -> None:
    async def execute(ctx: BufferExecuteContext[list[str]]) -> None:
        await client.add("a", "late")
        counts.append((ctx.event_count, len(ctx.state)))

    counts: list[tuple[int, int]] = []
    driver, client = await start(execute, max_events=2)
    await client.add_many("a", ["1", "2"])
    await driver.advance(MINUTE)

    assert counts[0] == (2, 2)


async def test_each_attempt_saw_another_batch() -> None:
    handler = failing(2)
    driver, client = await start(handler, max_events=2, retry=TEN_MINUTES)
    for number in range(9):
        await client.add("a", str(number))
        await driver.advance(3 * MINUTE)

    assert handler.states[:3] == [["0", "1"]] * 3
    assert len({ctx.flush_id for ctx in handler.calls[:3]}) == 1


async def test_a_producer_paid_for_the_work_of_the_consumer() -> None:
    gate = asyncio.Event()

    async def execute(ctx: BufferExecuteContext[list[str]]) -> None:
        await gate.wait()

    driver, client = await start(execute, max_events=1)
    for number in range(3):
        assert (await client.add("a", str(number))).event_count == 1
    gate.set()
    await driver.run_due()


async def test_a_crash_between_the_writes_of_an_add_left_events_without_a_timer() -> None:
    """There are no writes to be between: whatever is stored of an event is stored with its due time."""
    handler = Handler()
    driver, client = await start(handler)
    commit_now = driver.backend.commit_now

    def lose_the_reply(transitions: Any, request: Any = None) -> Any:
        driver.backend.commit_now = commit_now  # type: ignore[method-assign]
        commit_now(transitions, request)
        raise ConnectionResetError

    driver.backend.commit_now = lose_the_reply  # type: ignore[method-assign]
    with pytest.raises(ConnectionResetError):
        await client.add("a", "1", event_id="e1")
    driver.restart()
    again = await driver.client(driver.definitions[0]).add("a", "1", event_id="e1")
    assert (again.duplicate, again.created) == (True, False)
    assert again.will_flush_at == to_datetime(EPOCH_MS + 5 * MINUTE)
    await driver.advance(5 * MINUTE)

    assert handler.states == [["1"]]


async def test_an_add_during_a_flush_moved_the_alarm_of_the_lease_and_a_crash_then_stranded_the_batch() -> None:
    entered, dead = asyncio.Event(), asyncio.Event()

    async def hang(ctx: BufferExecuteContext[list[str]]) -> None:
        entered.set()
        await dead.wait()

    handler = Handler()
    driver, client = await start(hang, max_events=2)
    await client.add_many("a", ["1", "2"])
    dying = asyncio.create_task(driver.run_due())
    await entered.wait()
    await client.add_many("a", ["3", "4", "5"])
    assert await driver.backend.next_due() == EPOCH_MS + 30 * SECOND

    definition = Buffer.make("b", event_schema=str, flush_after="5 minutes", max_events=2, execute=handler)
    driver.restart(definition)
    await driver.advance(5 * MINUTE)
    assert handler.states == [["1", "2"], ["3", "4"], ["5"]]
    assert await driver.backend.next_due() is None
    dead.set()
    await dying
    assert (await driver.client(definition).status("a")).status == "idle"


async def test_a_worker_that_was_paused_came_back_and_ended_a_batch_that_another_had_taken_over() -> None:
    entered, resumed = asyncio.Event(), asyncio.Event()

    async def pause(ctx: BufferExecuteContext[list[str]]) -> None:
        entered.set()
        await resumed.wait()

    driver, client = await start(pause, max_events=2)
    await client.add_many("a", ["1", "2"], event_ids=["e1", "e2"])
    paused = asyncio.create_task(driver.run_due())
    await entered.wait()
    driver.runtime.ms += 30 * SECOND
    driver.restart()
    driver.backend.commit_now((), ClaimRequest(owner="other", at=driver.now, lease_ms=30_000, limit=1, take=0))
    before = await driver.backend.load("buffer:b:a", ("e1", "e2"))
    resumed.set()
    await paused

    assert await driver.backend.load("buffer:b:a", ("e1", "e2")) == before


async def test_work_that_was_due_needed_a_call_to_start_again_after_a_restart() -> None:
    handler = Handler()
    driver, client = await start(handler)
    await client.add("a", "1")
    driver.restart()
    driver.runtime.ms += HOUR
    await driver.run_due()

    assert handler.states == [["1"]]
