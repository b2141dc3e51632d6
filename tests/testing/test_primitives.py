"""`create_test_primitives` in an ordinary asyncio test."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_primitives import (
    Backoff,
    Buffer,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    DefinitionError,
    Queue,
    QueueExecuteContext,
    RetryPolicy,
    StorageError,
)
from durable_primitives.events import BufferFlushFailed, QueueCompleted, QueueFailed
from durable_primitives.testing import InjectedError, PendingAlarm, SimulationError, create_test_primitives

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
ONCE_A_MINUTE = RetryPolicy(max_attempts=3, backoff=Backoff.constant("1 minute", jitter="none"))


class Tokens:
    """A Continuous that counts, a queue and a buffer that note what they get."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        every = Continuous.every("25 minutes")
        self.refresher = Continuous.make("refresher", state_schema=int, schedule=every, execute=self._refresh)
        self.mails = Queue.make("mails", event_schema=str, execute=self._send, retry=ONCE_A_MINUTE)
        self.digests = Buffer.make("digests", event_schema=str, flush_after="5 minutes", execute=self._digest)
        self.definitions = (self.refresher, self.mails, self.digests)

    async def _refresh(self, ctx: ContinuousContext[int]) -> None:
        self.done.append(ctx.now())
        ctx.set_state(ctx.state + 1)

    async def _send(self, ctx: QueueExecuteContext[str]) -> None:
        self.done.append(ctx.event)

    async def _digest(self, ctx: BufferExecuteContext[list[str]]) -> None:
        self.done.append(ctx.state)


@pytest.fixture
def app() -> Tokens:
    return Tokens()


async def test_advance_runs_everything_due_in_order(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:
        client = t.client.continuous(app.refresher)
        await client.start("u1", 0)
        assert app.done == [], "a call runs no handler"
        await t.advance("55 minutes")
        assert app.done == [BEGIN, BEGIN + timedelta(minutes=25), BEGIN + timedelta(minutes=50)]
        assert t.now == BEGIN + timedelta(minutes=55)
        assert await client.get_state("u1") == 3


async def test_sleeping_costs_nothing(app: Tokens):
    async def execute(ctx: QueueExecuteContext[str]) -> None:
        await asyncio.sleep(3600)
        app.done.append(ctx.event)

    slow = Queue.make("slow", event_schema=str, execute=execute)
    started = time.perf_counter()
    async with create_test_primitives(slow) as t:
        await t.client.queue(slow).enqueue("a")
        await t.advance("59 minutes")
        assert app.done == [], "it is where it is"
        await t.run_until_idle()
        assert app.done == ["a"]
        assert t.now == BEGIN + timedelta(hours=1)
    assert time.perf_counter() - started < 5


async def test_run_until_idle_leaves_what_is_due_later(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:
        await t.client.queue(app.mails).enqueue("now")
        await t.client.queue(app.mails).enqueue("later", delay="1 hour")
        await t.run_until_idle()
        assert (app.done, t.now) == (["now"], BEGIN)


async def test_run_next_goes_from_alarm_to_alarm(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:
        assert t.pending_alarms() == []
        assert await t.run_next() is None
        await t.client.continuous(app.refresher).start("u1", 0)
        await t.client.buffer(app.digests).add("ada", "tea")
        expected = [
            PendingAlarm(BEGIN, "continuous:refresher:u1", "run"),
            PendingAlarm(BEGIN + timedelta(minutes=5), "buffer:digests:ada", "window"),
        ]
        assert t.pending_alarms() == expected
        assert [await t.run_next() for _ in range(2)] == expected
        assert app.done == [BEGIN, ["tea"]]
        assert t.pending_alarms() == [PendingAlarm(BEGIN + timedelta(minutes=25), "continuous:refresher:u1", "run")]


async def test_advance_to(app: Tokens):
    async with create_test_primitives(*app.definitions, start=datetime(2025, 2, 28, tzinfo=UTC)) as t:
        await t.advance_to(datetime(2025, 3, 1, tzinfo=UTC))
        assert t.now == datetime(2025, 3, 1, tzinfo=UTC)
        with pytest.raises(DefinitionError, match="time does not go back"):
            await t.advance_to(BEGIN - timedelta(days=3650))


async def test_a_call_that_waits_lets_time_pass(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:
        await t.client.queue(app.mails).enqueue("a")
        t.fail("handler", times=2)
        assert (await t.client.queue(app.mails).drain()).drained
        assert app.done == ["a"]
        assert timedelta(minutes=2) <= t.now - BEGIN < timedelta(minutes=2, seconds=1)


async def test_the_rest_of_the_test_has_a_loop_of_its_own(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:
        loop = asyncio.get_running_loop()
        results = await asyncio.gather(*(t.client.queue(app.mails).enqueue(str(n)) for n in range(3)))
        assert [result.position for result in results] == [1, 2, 3]
        await t.run_until_idle()
        await asyncio.sleep(0)
        assert asyncio.get_running_loop() is loop


async def test_a_test_can_wait_for_a_handler_inside_of_the_simulation():
    begun, go = asyncio.Event(), asyncio.Event()

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        begun.set()
        await go.wait()

    queue = Queue.make("q", event_schema=str, execute=execute)
    async with create_test_primitives(queue) as t:
        await t.client.queue(queue).enqueue("a")
        await t.run(begun.wait())
        assert (await t.client.queue(queue).status()).running == 1
        go.set()
        await t.run_until_idle()
        assert (await t.client.queue(queue).status()).processed == 1


async def test_calls_inside_of_the_simulation_are_concurrent(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:

        async def both() -> list[Any]:
            queue = t.client.queue(app.mails)
            return [*await asyncio.gather(queue.enqueue("a", id="x"), queue.enqueue("a", id="x"))]

        assert sorted(result.duplicate for result in await t.run(both())) == [False, True]


# When things go wrong.


async def test_a_crash_loses_the_process_and_keeps_the_store(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:
        await t.client.continuous(app.refresher).start("u1", 0)
        await t.run_until_idle()
        t.crash()
        with pytest.raises(SimulationError, match="crashed already"):
            t.crash()
        await t.client.queue(app.mails).enqueue("while nobody ran")
        await t.advance("1 hour")
        assert len(app.done) == 1
        t.restart()
        await t.run_until_idle()
        assert app.done[1:] == ["while nobody ran", BEGIN + timedelta(hours=1)], "in the order in which they were due"


async def test_a_handler_can_crash_its_process():
    lives: list[str] = []

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        lives.append("begun")
        if len(lives) == 1:
            t.crash()
        lives.append("ended")

    queue = Queue.make("q", event_schema=str, execute=execute)
    async with create_test_primitives(queue) as t:
        await t.client.queue(queue).enqueue("a")
        await t.run_until_idle()
        assert lives == ["begun"]
        t.restart()
        await t.advance("30 seconds")
        assert lives == ["begun", "begun", "ended"]


async def test_a_restart_can_be_a_deploy(app: Tokens):
    async def loudly(ctx: QueueExecuteContext[str]) -> None:
        app.done.append(ctx.event.upper())

    async with create_test_primitives(*app.definitions) as t:
        await t.client.queue(app.mails).enqueue("a")
        t.restart(Queue.make("mails", event_schema=str, execute=loudly))
        await t.run_until_idle()
        assert app.done == ["A"]


async def test_the_reply_of_a_commit_is_lost(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:
        t.fail("commit", times=1, when="after")
        with pytest.raises(StorageError) as caught:
            await t.client.queue(app.mails).enqueue("a", id="1")
        assert caught.value.outcome == "unknown"
        assert (await t.client.queue(app.mails).enqueue("a", id="1")).duplicate
        assert t.assert_enqueued(app.mails) == ["a"]


@pytest.mark.parametrize(("when", "outcome"), [("before", "not_applied"), ("during", "unknown")])
async def test_a_commit_does_not_arrive(app: Tokens, when: Any, outcome: str):
    async with create_test_primitives(*app.definitions) as t:
        t.fail("commit", when=when)
        with pytest.raises(StorageError) as caught:
            await t.client.queue(app.mails).enqueue("a", id="1")
        assert caught.value.outcome == outcome
        assert not (await t.client.queue(app.mails).enqueue("a", id="1")).duplicate


async def test_handlers_fail_on_demand(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:
        t.fail("handler", of=app.mails, error=ConnectionError("no bank"))
        t.fail("handler", of="buffer:digests:ada", when="after")
        await t.client.buffer(app.digests).add("ada", "tea")
        await t.client.queue(app.mails).enqueue("a")
        await t.run_until_idle()
        assert app.done == []
        assert (await t.client.queue(app.mails).status()).retrying == 1
        await t.advance("10 minutes")
        assert app.done == ["a", ["tea"], ["tea"]], "the buffer's handler failed at its end"
        failures = [event.error.type for event in t.events if isinstance(event, QueueFailed | BufferFlushFailed)]
        assert failures[0] == "ConnectionError"
        assert failures[1].endswith(InjectedError.__name__)


async def test_misuse_of_fail_is_named(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:
        with pytest.raises(DefinitionError, match=r"fail\('renewal', when='during'\) is no failure"):
            t.fail("renewal", when="during")
        with pytest.raises(DefinitionError, match="error= says what a handler raises"):
            t.fail("commit", error=ValueError())
        with pytest.raises(DefinitionError, match="times"):
            t.fail("commit", times=0)


async def test_a_schedule_says_what_goes_wrong(app: Tokens):
    async with create_test_primitives(*app.definitions, schedule=["fail handler 1 of queue:mails:0 by worker 1"]) as t:
        await t.client.queue(app.mails).enqueue("a")
        await t.run_until_idle()
        assert app.done == []
        await t.advance("1 minute")
        assert app.done == ["a"]


# What it knows.


async def test_events_and_trace(app: Tokens):
    async with create_test_primitives(*app.definitions) as t:
        await t.client.queue(app.mails).enqueue("a", id="1")
        await t.run_until_idle()
        assert [event.type for event in t.events] == ["queue.enqueued", "queue.started", "queue.completed"]
        assert [event.event_id for event in t.events if isinstance(event, QueueCompleted)] == ["1"]
        assert "client    call     queue:mails:0 enqueue" in str(t.trace)


async def test_one_seed_one_trace(app: Tokens):
    async def digest(seed: int) -> str:
        async with create_test_primitives(*app.definitions, seed=seed) as t:
            await t.client.queue(app.mails).enqueue("a")
            t.fail("handler", times=2)
            await t.advance("1 hour")
            return t.trace.digest

    assert await digest(1) == await digest(1)


async def test_a_shutdown_is_in_good_order():
    told: list[str] = []

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    queue = Queue.make("q", event_schema=str, execute=execute)
    async with create_test_primitives(queue) as t:
        await t.client.queue(queue).enqueue("a")
        await t.advance("1 minute")
    assert told == ["cancelled"]
    assert t.now == BEGIN + timedelta(minutes=1, seconds=20), "after the grace"


async def test_an_unknown_option_is_named():
    with pytest.raises(DefinitionError, match="did you mean 'seed'"):
        create_test_primitives(sed=1)
    with pytest.raises(DefinitionError, match="real_world"):
        create_test_primitives(real_world="maybe")  # type: ignore[arg-type]


def test_no_event_loop_is_needed(app: Tokens):
    """Its awaitables suspend nothing, so they run under any loop, or under none."""

    async def test() -> None:
        async with create_test_primitives(*app.definitions) as t:
            await t.client.queue(app.mails).enqueue("a")
            await t.run_until_idle()

    with pytest.raises(StopIteration):
        test().send(None)
    assert app.done == ["a"]
