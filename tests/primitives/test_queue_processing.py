"""A queue through its client, on a clock that the test owns."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from durable_primitives.durations import to_datetime
from durable_primitives.errors import DefinitionError, QueueFullError, ValidationError
from durable_primitives.events import QueueExpired, QueueRejected
from durable_primitives.primitives.queue import Enqueue, Queue, QueueExecuteContext
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Cancel, DeadLetter, Retry, Snooze
from tests.primitives.driver import Driver

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
FIXED = Backoff.constant("10 seconds", jitter="none")


class Log:
    """A handler that notes its events; `answers` says what to do with them."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.contexts: list[QueueExecuteContext[str]] = []
        self.answers: dict[str, list[BaseException]] = {}

    async def __call__(self, ctx: QueueExecuteContext[str]) -> None:
        self.ran.append(ctx.event)
        self.contexts.append(ctx)
        if self.answers.get(ctx.event):
            raise self.answers[ctx.event].pop(0)


async def test_events_run_in_the_order_in_which_they_were_accepted() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log)
    driver = await Driver(queue).open()
    results = await driver.client(queue).enqueue_many([f"e{n}" for n in range(300)])
    await driver.run_due()
    assert log.ran == [f"e{n}" for n in range(300)]
    assert [result.position for result in results[:3]] == [1, 2, 3]
    assert (await driver.client(queue).status()).processed == 300


async def test_events_of_one_key_go_to_one_instance_and_keep_their_order() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log, concurrency=4, per_instance=3)
    client = (driver := await Driver(queue).open()).client(queue)
    for n in range(60):
        await client.enqueue(f"{n % 6}:{n}", partition_key=f"key-{n % 6}")
    await driver.run_due()
    for key in range(6):
        mine = [int(event.split(":")[1]) for event in log.ran if event.startswith(f"{key}:")]
        assert mine == sorted(mine)
        assert len(mine) == 10
    homes = {ctx.partition_key: ctx.instance_index for ctx in log.contexts}
    assert all(homes[ctx.partition_key] == ctx.instance_index for ctx in log.contexts)


async def test_one_key_never_overlaps_and_per_instance_bounds_the_rest() -> None:
    running: list[str | None] = []
    most = 0

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        nonlocal most
        assert ctx.partition_key not in running
        running.append(ctx.partition_key)
        most = max(most, len(running))
        for _ in range(3):
            await asyncio.sleep(0)
        running.remove(ctx.partition_key)

    queue = Queue.make("q", event_schema=str, execute=execute, per_instance=3)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue_many([Enqueue(f"e{n}", partition_key=f"k{n % 5}") for n in range(50)])
    await driver.run_due()
    assert most == 3
    assert (await client.status()).processed == 50


async def test_a_failed_event_is_tried_again_after_its_backoff_and_holds_back_its_key_only() -> None:
    log = Log()
    log.answers["a1"] = [ValueError("once")]
    queue = Queue.make("q", event_schema=str, execute=log, retry=RetryPolicy(backoff=FIXED))
    client = (driver := await Driver(queue).open()).client(queue)
    for event, key in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("free", None)):
        await client.enqueue(event, partition_key=key)
    await driver.run_due()
    assert log.ran == ["a1", "b1", "free"]
    await driver.advance(10 * SECOND - 1)
    assert log.ran == ["a1", "b1", "free"]
    await driver.advance(1)
    assert log.ran == ["a1", "b1", "free", "a1", "a2"]
    assert [ctx.attempt for ctx in log.contexts if ctx.event == "a1"] == [1, 2]


async def test_relaxed_ordering_lets_the_successors_of_a_waiting_event_pass() -> None:
    log = Log()
    log.answers["a1"] = [ValueError("once")]
    queue = Queue.make("q", event_schema=str, execute=log, ordering="relaxed", retry=RetryPolicy(backoff=FIXED))
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue_many([Enqueue(e, partition_key="a") for e in ("a1", "a2", "a3")])
    await driver.advance(MINUTE)
    assert log.ran == ["a1", "a2", "a3", "a1"]


async def test_max_attempts_counts_executions_and_ends_in_a_kept_dead_letter() -> None:
    log, told = Log(), []
    log.answers["x"] = [ValueError(str(n)) for n in range(9)]

    async def park(event: str, error: BaseException, ctx: object) -> None:
        told.append((event, str(error)))
        raise RuntimeError("the hook fails too")

    queue = Queue.make(
        "q", event_schema=str, execute=log, on_dead_letter=park, retry=RetryPolicy(max_attempts=4, backoff=FIXED)
    )
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("x", id="evt", partition_key="k")
    await client.enqueue("next", partition_key="k")
    await driver.advance(HOUR)
    assert log.ran == ["x"] * 4 + ["next"]
    assert told == [("x", "3")]
    letter = await client.dead_letters.get("evt")
    assert letter is not None
    assert (letter.event, letter.attempts, letter.error.message, letter.partition_key) == ("x", 4, "3", "k")
    assert (await client.status()).dead == 1


async def test_dead_letters_are_listed_redriven_and_discarded() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log, concurrency=3, retry=RetryPolicy(max_attempts=1))
    client = (driver := await Driver(queue).open()).client(queue)
    for n in range(10):
        log.answers[f"e{n}"] = [ValueError("no")]
        await client.enqueue(f"e{n}", id=f"id-{n}")
    await driver.run_due()
    seen, cursor = [], None
    while True:
        page = await client.dead_letters.list(limit=3, cursor=cursor)
        seen += [letter.event_id for letter in page.items]
        if (cursor := page.cursor) is None:
            break
    assert sorted(seen) == [f"id-{n}" for n in range(10)]
    log.ran.clear()
    assert await client.dead_letters.redrive("id-3") == 1
    assert await client.dead_letters.redrive(lambda letter: letter.event_id > "id-6") == 3
    assert await client.dead_letters.discard(lambda letter: True) == 6
    await driver.run_due()
    assert sorted(log.ran) == ["e3", "e7", "e8", "e9"]
    assert {ctx.attempt for ctx in log.contexts[-4:]} == {1}
    assert (await client.status()).dead == 0


@pytest.mark.parametrize(
    ("signal", "runs", "dead"),
    [
        (Retry(after="2 seconds"), [0, 2 * SECOND], 0),
        (Snooze("3 seconds"), [0, 3 * SECOND], 0),
        (Cancel("not wanted"), [0], 0),
        (DeadLetter("poison"), [0], 1),
    ],
)
async def test_signals_say_how_an_event_goes_on(signal: BaseException, runs: list[int], dead: int) -> None:
    times: list[int] = []
    attempts: list[int] = []

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        times.append(driver.now - start)
        attempts.append(ctx.attempt)
        if len(times) == 1:
            raise signal

    queue = Queue.make("q", event_schema=str, execute=execute)
    client = (driver := await Driver(queue).open()).client(queue)
    start = driver.now
    await client.enqueue("e")
    await driver.advance(MINUTE)
    assert times == runs
    assert (await client.status()).dead == dead
    if isinstance(signal, Snooze):
        assert attempts == [1, 1]


async def test_exceptions_can_be_given_up_on_at_once() -> None:
    log = Log()
    log.answers = {"key": [KeyError("k")] * 5, "value": [ValueError("v")] * 5, "os": [OSError("o")] * 5}
    policy = RetryPolicy(max_attempts=3, backoff=FIXED, retry_on=(OSError, KeyError), give_up_on=(KeyError,))
    queue = Queue.make("q", event_schema=str, execute=log, retry=policy)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue_many(["key", "value", "os"])
    await driver.advance(HOUR)
    assert (log.ran.count("key"), log.ran.count("value"), log.ran.count("os")) == (1, 1, 3)


async def test_a_delayed_event_never_starts_early_and_keeps_its_place_in_its_key() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("later", partition_key="k", delay="1 minute")
    await client.enqueue("after", partition_key="k")
    await client.enqueue("at", at=to_datetime(driver.now + 30 * SECOND))
    await client.enqueue("now")
    await driver.advance(30 * SECOND - 1)
    assert log.ran == ["now"]
    await driver.advance(1)
    assert log.ran == ["now", "at"]
    await driver.advance(30 * SECOND)
    assert log.ran == ["now", "at", "later", "after"]


async def test_an_event_that_is_cancelled_holds_back_nobody() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("later", id="later", partition_key="k", delay="1 hour")
    await client.enqueue("after", partition_key="k")
    await driver.run_due()
    assert log.ran == []
    await client.cancel("later", "k")
    await driver.run_due()
    assert log.ran == ["after"]


async def test_an_event_that_is_dropped_for_a_newer_one_holds_back_nobody() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log, max_pending=2, on_full="drop_oldest")
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("later", partition_key="k", delay="1 hour")
    await client.enqueue("after", partition_key="k")
    await driver.run_due()
    assert log.ran == []
    await client.enqueue("much later", partition_key="k", delay="2 hours")
    await driver.run_due()
    assert log.ran == ["after"]


async def test_priority_orders_keys_but_never_a_key() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log)
    driver = await Driver(queue).open()
    client = driver.client(queue)
    await client.pause()
    await client.enqueue("low", priority=0)
    await client.enqueue("k1", partition_key="k", priority=0)
    await client.enqueue("k2", partition_key="k", priority=9)
    await client.enqueue("high", priority=5)
    await client.resume()
    await driver.run_due()
    assert log.ran == ["high", "low", "k1", "k2"]


async def test_a_known_id_is_a_duplicate_for_the_whole_life_of_the_event_and_a_day_after() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log, concurrency=7)
    client = (driver := await Driver(queue).open()).client(queue)
    first = await client.enqueue("e", id="evt", delay="1 minute")
    assert (await client.enqueue("e", id="evt")).duplicate
    await driver.advance(HOUR)
    again = await client.enqueue("e", id="evt")
    assert (again.duplicate, again.position, again.instance_id) == (True, first.position, first.instance_id)
    await driver.advance(24 * HOUR)
    await driver.worker._sweeper.sweep()
    assert not (await client.enqueue("e", id="evt")).duplicate
    await driver.run_due()
    assert log.ran == ["e", "e"]


async def test_a_paused_queue_accepts_and_starts_nothing() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log, concurrency=2)
    client = (driver := await Driver(queue).open()).client(queue)
    assert (await client.pause()).paused
    await client.enqueue_many(["a", "b"])
    await driver.advance(HOUR)
    assert log.ran == []
    status = await client.status()
    assert (status.paused, status.pending) == (True, 2)
    await client.resume(0)
    await driver.run_due()
    assert len(log.ran) == 1
    assert not (await client.resume()).paused
    await driver.run_due()
    assert sorted(log.ran) == ["a", "b"]


async def test_a_pause_takes_effect_behind_the_event_that_runs() -> None:
    gate, ran = asyncio.Event(), []

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        ran.append(ctx.event)
        await gate.wait()

    queue = Queue.make("q", event_schema=str, execute=execute)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue_many(["a", "b", "c"])
    work = asyncio.create_task(driver.run_due())
    while not ran:
        await asyncio.sleep(0)
    await client.pause()
    gate.set()
    await work
    assert ran == ["a"]
    await client.resume()
    await driver.run_due()
    assert ran == ["a", "b", "c"]


async def test_cancel_tells_what_became_of_the_event() -> None:
    gate, ran, stopped = asyncio.Event(), [], []

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        ran.append(ctx.event)
        if ctx.event == "slow":
            await gate.wait()
            stopped.append(ctx.cancelled)
            raise Cancel("asked to")

    queue = Queue.make("q", event_schema=str, execute=execute)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("slow", id="slow")
    await client.enqueue("waiting", id="waiting")
    work = asyncio.create_task(driver.run_due())
    while not ran:
        await asyncio.sleep(0)
    assert (await client.cancel("waiting")).outcome == "cancelled"
    assert (await client.cancel("slow")).outcome == "running"
    for _ in range(5):
        await asyncio.sleep(0)
    gate.set()
    await work
    assert (ran, stopped) == (["slow"], [True])
    assert (await client.cancel("slow")).outcome == "cancelled"
    assert (await client.cancel("unheard of")).outcome == "not_found"
    await client.enqueue("quick", id="quick")
    await driver.run_due()
    assert (await client.cancel("quick")).outcome == "done"


async def test_a_full_queue_rejects_what_is_new_but_not_a_duplicate() -> None:
    queue = Queue.make("q", event_schema=str, execute=Log(), max_pending=2)
    client = (await Driver(queue).open()).client(queue)
    await client.pause()
    await client.enqueue("a", id="a")
    await client.enqueue("b", id="b")
    with pytest.raises(QueueFullError) as full:
        await client.enqueue("c")
    assert (full.value.pending, full.value.limit) == (2, 2)
    assert (await client.enqueue("a", id="a")).duplicate
    assert (await client.status()).pending == 2


async def test_a_refused_event_is_told() -> None:
    queue = Queue.make("q", event_schema=str, execute=Log(), max_pending=1)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("a")
    with pytest.raises(QueueFullError):
        await client.enqueue("b", id="refused")
    told = [event for event in driver.tracker.events if isinstance(event, QueueRejected)]
    assert [(event.event_id, event.reason, event.limit) for event in told] == [("refused", "full", 1)]


async def test_a_full_queue_can_drop_what_is_oldest() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log, max_pending=2, on_full="drop_oldest")
    client = (driver := await Driver(queue).open()).client(queue)
    await client.pause()
    await client.enqueue_many(["a", "b", "c"])
    await client.resume()
    await driver.run_due()
    assert log.ran == ["b", "c"]


async def test_clear_drops_what_waits() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log, concurrency=2)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.pause()
    await client.enqueue_many(["a", "b", Enqueue("c", delay="1 hour")])
    result = await client.clear()
    assert (result.cleared, result.discarded_events) == (True, 3)
    await client.resume()
    await driver.advance(2 * HOUR)
    assert log.ran == []
    assert (await client.drain("0s")).drained


async def test_an_event_that_could_not_start_in_time_expires() -> None:
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log, expires_after="1 minute")
    client = (driver := await Driver(queue).open()).client(queue)
    await client.pause()
    await client.enqueue("old", id="old")
    await driver.advance(MINUTE)
    await client.enqueue("new")
    await client.resume()
    await driver.run_due()
    assert log.ran == ["new"]
    assert [event.event_id for event in driver.tracker.of_type(QueueExpired)] == ["old"]


async def test_an_attempt_that_takes_too_long_has_failed() -> None:
    attempts = []

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            await asyncio.Event().wait()

    queue = Queue.make("q", event_schema=str, execute=execute, timeout="20ms", retry=RetryPolicy(backoff=FIXED))
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("e")
    await driver.advance(MINUTE)
    assert attempts == [1, 2]


async def test_a_plain_function_runs_as_a_handler() -> None:
    ran = []
    queue = Queue.make("q", event_schema=str, execute=lambda ctx: ran.append(ctx.event))
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("e")
    await driver.run_due()
    assert ran == ["e"]


async def test_what_was_enqueued_in_an_instance_that_no_longer_exists_is_still_run() -> None:
    log = Log()
    wide = Queue.make("q", event_schema=str, execute=log, concurrency=5)
    narrow = Queue.make("q", event_schema=str, execute=log, concurrency=1)
    driver = await Driver(wide).open()
    await driver.client(wide).pause()
    await driver.client(wide).enqueue_many([f"e{n}" for n in range(10)])
    driver.restart(narrow)
    assert (await driver.client(narrow).status()).pending == 10
    await driver.client(narrow).resume()
    await driver.run_due()
    assert sorted(log.ran) == sorted(f"e{n}" for n in range(10))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"event": 5}, ValidationError),
        ({"event": "e", "id": ""}, ValidationError),
        ({"event": "e", "id": 7}, ValidationError),
        ({"event": "e", "partition_key": "\n"}, ValidationError),
        ({"event": "e", "delay": 5}, DefinitionError),
        ({"event": "e", "delay": "1s", "at": to_datetime(0)}, DefinitionError),
        ({"event": "e", "at": to_datetime(0).replace(tzinfo=None)}, DefinitionError),
        ({"event": "e", "priority": -1}, ValidationError),
        ({"event": "e", "priority": True}, ValidationError),
    ],
)
async def test_a_rejected_event_leaves_the_store_as_it_was(arguments: dict[str, object], error: type) -> None:
    queue = Queue.make("q", event_schema=str, execute=Log())
    driver = await Driver(queue).open()
    with pytest.raises(error):
        await driver.client(queue).enqueue(**arguments)
    assert await driver.backend.scan("", "", 10) == []


async def test_one_bad_event_of_many_rejects_them_all() -> None:
    queue = Queue.make("q", event_schema=str, execute=Log())
    driver = await Driver(queue).open()
    with pytest.raises(ValidationError):
        await driver.client(queue).enqueue_many(["a", "b", 3])
    assert await driver.backend.scan("", "", 10) == []


async def test_status_tells_the_age_of_the_oldest_event() -> None:
    queue = Queue.make("q", event_schema=str, execute=Log())
    driver = await Driver(queue).open()
    client = driver.client(queue)
    await client.pause()
    await client.enqueue("e")
    await driver.advance(90 * SECOND)
    assert (await client.status()).oldest_age == timedelta(seconds=90)
