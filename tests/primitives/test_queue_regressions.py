"""What went wrong elsewhere, and does not here.

The first part takes up the faults of the family that this system's design comes from, by their numbers there (p1 …);
the second the traps that other job systems fell into.  Each test is named after what went wrong.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from durable_primitives.errors import DefinitionError, ValidationError
from durable_primitives.events import PrimitiveEvent, guard
from durable_primitives.primitives.queue import Enqueue, Queue, QueueExecuteContext
from durable_primitives.primitives.queue.orchestrator import MAX_DELIVERIES
from durable_primitives.primitives.queue.routing import Router
from durable_primitives.primitives.queue.stream import YIELD_EVERY
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Cancel, DeadLetter, Retry, Snooze
from tests.primitives.driver import Driver

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
LEASE = 30 * SECOND
RECHECK = 5 * MINUTE
ENDS = {"queue.completed", "queue.dead_lettered", "queue.cancelled", "queue.expired", "queue.cleared"}


class Log:
    """A handler that notes what it runs, raises what `answers` lists for an event, and stops at `gate` if told to."""

    def __init__(self, **answers: list[BaseException]) -> None:
        self.ran: list[Any] = []
        self.contexts: list[QueueExecuteContext[Any]] = []
        self.answers = answers
        self.stops_at: set[Any] = set()
        self.gate = asyncio.Event()

    async def __call__(self, ctx: QueueExecuteContext[Any]) -> None:
        self.ran.append(ctx.event)
        self.contexts.append(ctx)
        if ctx.event in self.stops_at:
            await self.gate.wait()
        if self.answers.get(ctx.event):
            raise self.answers[ctx.event].pop(0)


def tries(max_attempts: int) -> RetryPolicy:
    return RetryPolicy(max_attempts, Backoff.constant("10 seconds", jitter="none"))


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def at_work(driver: Driver, log: Log, runs: int = 1) -> asyncio.Task[int]:
    """A worker whose handler has begun and stops at its gate."""
    before = len(log.ran)
    work = asyncio.create_task(driver.run_due())
    await until(lambda: len(log.ran) >= before + runs)
    return work


def types(driver: Driver) -> list[str]:
    return [event.type for event in driver.events]


# Faults of the family.


async def test_p1_p20_invalid_first_event_leaves_no_half_made_instance():
    log = Log()
    queue = Queue.make("q", event_schema=int, execute=log)
    client = (driver := await Driver(queue).open()).client(queue)

    with pytest.raises(ValidationError):
        await client.enqueue("not a number")
    assert await driver.backend.scan("", "", 10) == []
    await client.enqueue(1)
    await driver.run_due()

    assert log.ran == [1]


async def test_p2_event_accepted_while_another_runs_is_not_deleted_with_it():
    log = Log()
    log.stops_at = {"first"}
    queue = Queue.make("q", event_schema=str, execute=log)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("first")
    work = await at_work(driver, log)

    await client.enqueue("meanwhile")
    log.gate.set()
    await work

    assert log.ran == ["first", "meanwhile"]
    assert (await client.status()).processed == 2


async def test_p3_p4_p16_failed_run_without_retry_leaves_no_zombie():
    log = Log(bad=[ValueError("boom")])
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(1))
    client = (driver := await Driver(queue).open()).client(queue)

    await client.enqueue_many([Enqueue(event, partition_key="k") for event in ("bad", "next")])
    await driver.run_due()
    await client.enqueue("later", partition_key="k")
    await driver.run_due()

    status = await client.status()
    assert log.ran == ["bad", "next", "later"]
    assert (status.running, status.pending, status.dead, status.processed) == (0, 0, 1, 2)


async def test_p3_process_that_dies_in_a_handler_leaves_an_alarm():
    log = Log()
    log.stops_at = {"e"}
    queue = Queue.make("q", event_schema=str, execute=log)
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("e")
    await at_work(driver, log)

    assert await driver.backend.next_due() == driver.now + LEASE
    driver.restart()
    log.stops_at.clear()
    await driver.advance(LEASE)

    assert log.ran == ["e", "e"]
    assert [ctx.delivery for ctx in log.contexts] == [1, 2]
    assert [ctx.attempt for ctx in log.contexts] == [1, 1]


async def test_p5_exhausted_retries_delete_nothing():
    log = Log(e=[ValueError(str(n)) for n in range(9)])
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(3))
    client = (driver := await Driver(queue).open()).client(queue)

    await client.enqueue("e", id="evt")
    await driver.advance(DAY)

    letter = await client.dead_letters.get("evt")
    assert log.ran == ["e"] * 3
    assert letter is not None
    assert (letter.event, letter.attempts, letter.error.message) == ("e", 3, "2")


async def test_p6_queue_whose_work_is_over_is_not_active_for_ever():
    queue = Queue.make("q", event_schema=str, execute=Log(), dedupe_window="1 hour")
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("e")
    await driver.run_due()

    status = await client.status()
    assert (status.pending, status.running, status.oldest_age) == (0, 0, None)
    assert await driver.backend.next_due() is None
    await driver.advance(HOUR)
    await driver.backend.sweep(driver.now, 100)
    assert await driver.backend.scan("", "", 10) == []


async def test_p7_instance_has_one_run_whatever_asks_for_another():
    log = Log()
    log.stops_at = {"first"}
    queue = Queue.make("q", event_schema=str, execute=log)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("first")
    work = await at_work(driver, log)

    await client.enqueue("second")
    await client.pause()
    await client.resume()
    driver.restart()

    assert await driver.run_due() == 0
    assert log.ran == ["first"]
    log.gate.set()
    await work
    assert log.ran == ["first", "second"]


@pytest.mark.parametrize(("before", "after", "moved"), [(5, 6, 1 / 6), (8, 9, 1 / 9), (8, 16, 1 / 2)])
def test_p9_changing_the_number_of_instances_moves_no_more_keys_than_it_must(before: int, after: int, moved: float):
    narrow, wide = Router(before, 0.0), Router(after, 0.0)
    keys = [f"key-{n}" for n in range(10_000)]

    share = sum(narrow.keyed(key) != wide.keyed(key) for key in keys) / len(keys)

    assert share == pytest.approx(moved, abs=0.02)
    assert all(wide.keyed(key) in (narrow.keyed(key), *range(before, after)) for key in keys)


async def test_p10_events_that_arrive_during_a_backoff_do_not_hasten_it():
    log = Log(e0=[ValueError()] * 2)
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(3))
    client = (driver := await Driver(queue).open()).client(queue)
    start = driver.now

    for n in range(6):
        await client.enqueue(f"e{n}", partition_key="k")
        await driver.run_due()
    assert log.ran == ["e0"]
    await driver.advance(10 * SECOND - 1)
    assert log.ran == ["e0"]
    await driver.advance(start + 20 * SECOND - driver.now)

    assert log.ran == ["e0", "e0", "e0", "e1", "e2", "e3", "e4", "e5"]


async def test_p11_owner_that_lost_its_lease_writes_nothing_back():
    log = Log()
    log.stops_at = {"e"}
    queue = Queue.make("q", event_schema=str, execute=log)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("e", id="evt")
    late = await at_work(driver, log)

    driver.restart()
    log.stops_at.clear()
    await driver.advance(LEASE)
    before = await driver.backend.load("queue:q:0", ["evt"])
    log.gate.set()
    await late

    assert await driver.backend.load("queue:q:0", ["evt"]) == before
    assert (await client.status()).processed == 1
    assert "instance.lease_lost" in types(driver)


async def test_p11_handler_of_a_cleared_queue_brings_nothing_back():
    log = Log(e=[ValueError()])
    log.stops_at = {"e"}
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(3))
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue_many(["e", "other"])
    work = await at_work(driver, log)

    assert (await client.clear()).discarded_events == 1
    assert (await client.cancel("id-000001")).outcome == "running"
    log.gate.set()
    await work
    await driver.advance(HOUR)

    assert log.ran == ["e"]
    assert await client.drain("0s") == msgspec.convert((True, 0), type(await client.drain("0s")), from_attributes=True)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: Queue.make("q", event_schema=str, execute=Log(), timeout=5000),
        lambda: Queue.make("q", event_schema=str, execute=Log(), dedupe_window=60_000),
        lambda: Queue.make("q", event_schema=str, execute=Log(), expires_after=60_000),
        lambda: Backoff.constant(5),
        lambda: Backoff.exponential(base=1000),
        lambda: Retry(after=5),
        lambda: Snooze(5),
    ],
)
def test_p15_bare_number_is_no_duration(misuse: Callable[[], object]):
    with pytest.raises(DefinitionError, match="30 minutes"):
        misuse()


async def test_p15_bare_number_is_no_delay():
    queue = Queue.make("q", event_schema=str, execute=Log())
    driver = await Driver(queue).open()
    with pytest.raises(DefinitionError, match="30 minutes"):
        await driver.client(queue).enqueue("e", delay=60_000)
    with pytest.raises(DefinitionError, match="30 minutes"):
        await driver.client(queue).drain(5)
    assert await driver.backend.scan("", "", 10) == []


async def test_p17_run_that_fails_without_retry_reaches_the_tracker():
    queue = Queue.make("q", event_schema=str, execute=Log(e=[ValueError("boom")]), retry=tries(1))
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("e")
    await driver.run_due()

    assert types(driver) == ["queue.enqueued", "queue.started", "queue.failed", "queue.dead_lettered"]


async def test_p18_every_failed_attempt_tells_its_own_error_and_the_end_its_true_reason():
    log = Log(e=[ValueError("first"), KeyError("second"), OSError("third")])
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(3))
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("e")
    await driver.advance(HOUR)

    told: list[Any] = [event for event in driver.events if event.type == "queue.failed"]
    assert [(event.error.type, event.will_retry) for event in told] == [
        ("ValueError", True),
        ("KeyError", True),
        ("OSError", False),
    ]
    end: Any = driver.events[-1]
    assert (end.type, end.reason, end.error.message) == ("queue.dead_lettered", "max_attempts", "third")


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (None, "queue.completed"),
        (Cancel("no longer wanted"), "queue.cancelled"),
        (DeadLetter("poison"), "queue.dead_lettered"),
        (ValueError(), "queue.dead_lettered"),
    ],
)
async def test_p19_every_way_to_end_is_told_once(answer: BaseException | None, end: str):
    log = Log(e=[] if answer is None else [answer])
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(1))
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("e")
    await driver.run_due()

    assert [type for type in types(driver) if type in ENDS] == [end]


@pytest.mark.parametrize("operation", ["cancel", "clear"])
async def test_p19_what_a_client_ends_is_told_once(operation: str):
    queue = Queue.make("q", event_schema=str, execute=Log())
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("e", id="evt")
    await (client.cancel("evt") if operation == "cancel" else client.clear())

    assert types(driver) == ["queue.enqueued", "queue.cancelled" if operation == "cancel" else "queue.cleared"]


async def test_p21_event_that_no_longer_decodes_is_kept_byte_for_byte():
    log = Log()
    old = Queue.make("q", event_schema=dict[str, int], execute=log)
    new = Queue.make("q", event_schema=list[int], execute=log, retry=tries(1))
    driver = await Driver(old).open()
    await driver.client(old).enqueue({"a": 1}, id="evt")
    (stored,) = await driver.backend.items("queue:q:0", 0, 0, 10)

    driver.restart(new)
    await driver.run_due()
    letter = await driver.client(new).dead_letters.get("evt")
    assert (letter.event, letter.error.type.rpartition(".")[2]) == (None, "SerializationError")
    assert (await driver.backend.letters("queue:q:0", "", 10))[0].payload == stored.payload

    driver.restart(old)
    await driver.client(old).dead_letters.redrive("evt")
    await driver.run_due()
    assert log.ran == [{"a": 1}]


async def test_p22_deploy_without_the_definition_strands_nothing():
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log)
    other = Queue.make("other", event_schema=str, execute=log)
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("e")

    driver.restart(other)
    await driver.advance(HOUR)
    assert types(driver).count("instance.orphaned") == 1
    assert (await driver.backend.load("queue:q:0")).record.status == "orphaned"
    driver.restart(queue)
    await driver.advance(RECHECK)

    assert log.ran == ["e"]
    assert "instance.recovered" in types(driver)


class Deaf:
    """A tracker that never comes back from its first event."""

    enabled = True
    dropped = 0

    def __init__(self) -> None:
        self.release = threading.Event()

    def track(self, event: PrimitiveEvent) -> None:
        self.release.wait()

    async def close(self) -> None:
        """Nothing is held."""


async def test_tr_tracker_that_hangs_neither_stops_nor_slows_the_work():
    log, tracker = Log(), Deaf()
    queue = Queue.make("q", event_schema=int, execute=log)
    driver = Driver(queue)
    driver.tracker = guard(tracker)
    driver.restart()
    client = (await driver.open()).client(queue)

    await client.enqueue_many(range(100))
    await driver.run_due()
    tracker.release.set()
    await driver.tracker.close()

    assert log.ran == list(range(100))


async def test_tr_payload_is_in_no_tracking_event():
    log = Log(secret=[ValueError("no payload here")])
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(1))
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("secret", id="evt")
    await driver.run_due()

    assert len(driver.events) == 4
    assert b"secret" not in b"".join(msgspec.json.encode(event) for event in driver.events)


# Traps of others.


async def test_trap_12_poison_event_does_not_block_its_key_for_ever():
    log = Log(poison=[ValueError()] * 99)
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(3))
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue_many([Enqueue(event, partition_key="k") for event in ("poison", "next")])
    await driver.advance(20 * SECOND)

    assert log.ran == ["poison"] * 3 + ["next"]


async def test_trap_13_event_that_kills_its_process_is_given_up_on():
    log = Log()
    log.stops_at = {"poison"}
    queue = Queue.make("q", event_schema=str, execute=log)
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue_many([Enqueue("poison", id="evt"), "bystander"])
    for _ in range(MAX_DELIVERIES):
        await at_work(driver, log)
        driver.restart()
        driver.runtime.ms += LEASE
    await driver.run_due()

    assert Counter(log.ran) == {"poison": MAX_DELIVERIES, "bystander": 1}
    letter = await driver.client(queue).dead_letters.get("evt")
    assert (letter.event, letter.attempts) == ("poison", 0)
    end: Any = next(event for event in driver.events if event.type == "queue.dead_lettered")
    assert end.reason == "crash_loop"


async def test_trap_26_retry_that_waits_holds_no_lease_and_no_task():
    log = Log(e=[ValueError()])
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(3))
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("e")
    await driver.run_due()

    record = (await driver.backend.load("queue:q:0")).record
    assert (record.owner, record.taken) == (None, ())
    assert await driver.backend.next_due() == driver.now + 10 * SECOND


async def test_trap_28_fresh_clients_do_not_all_begin_at_the_first_instance():
    queue = Queue.make("q", event_schema=int, execute=Log(), concurrency=4)
    driver = await Driver(queue).open()

    first = Counter([(await driver.client(queue).enqueue(n)).instance_index for n in range(400)])

    assert set(first) == {0, 1, 2, 3}
    assert max(first.values()) < 150


@pytest.mark.parametrize(("key", "index"), [("acct-7", 3), ("user-42", 3), ("ø", 2), ("repo/one", 0), ("a b", 4)])
async def test_trap_29_key_stays_where_it_always_was(key: str, index: int):
    """Persisted behaviour: a release that places keys elsewhere breaks their order."""
    queue = Queue.make("q", event_schema=str, execute=Log(), concurrency=5)
    driver = await Driver(queue).open()

    assert (await driver.client(queue).enqueue("e", partition_key=key)).instance_index == index


async def test_trap_30_known_id_is_a_duplicate_before_its_event_is_finished():
    log = Log()
    log.stops_at = {"e"}
    queue = Queue.make("q", event_schema=str, execute=log, concurrency=3)
    client = (driver := await Driver(queue).open()).client(queue)

    first = await client.enqueue("e", id="evt")
    pending = await client.enqueue("e", id="evt")
    work = await at_work(driver, log)
    running = await client.enqueue("e", id="evt")
    log.gate.set()
    await work
    done = await client.enqueue("e", id="evt")

    assert [again.duplicate for again in (first, pending, running, done)] == [False, True, True, True]
    assert {again.position for again in (first, pending, running, done)} == {1}
    assert log.ran == ["e"]


@pytest.mark.parametrize("end", ["cancel", "clear", "discard"])
async def test_trap_31_deleted_event_is_still_remembered(end: str):
    queue = Queue.make("q", event_schema=str, execute=Log(e=[ValueError()]), retry=tries(1))
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("e", id="evt")
    if end == "discard":
        await driver.run_due()
        await client.dead_letters.discard("evt")
    else:
        await (client.cancel("evt") if end == "cancel" else client.clear())

    assert (await client.enqueue("e", id="evt")).duplicate
    await driver.advance(DAY)
    await driver.backend.sweep(driver.now, 100)
    if end != "discard":
        assert not (await client.enqueue("e", id="evt")).duplicate


async def test_trap_32_stored_work_is_resumed_without_a_client_call():
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log, concurrency=3)
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue_many(["a", "b", Enqueue("later", delay="1 hour")])

    driver.restart()
    await driver.advance(HOUR)

    assert sorted(log.ran) == ["a", "b", "later"]


async def test_trap_33_order_does_not_depend_on_the_clock():
    log = Log()
    queue = Queue.make("q", event_schema=int, execute=log)
    driver = await Driver(queue).open()
    for n in range(5):
        await driver.client(queue).enqueue(n, partition_key="k")
        driver.runtime.ms -= HOUR
    driver.runtime.ms += DAY
    await driver.run_due()

    assert log.ran == [0, 1, 2, 3, 4]


async def test_trap_34_pause_reaches_a_worker_that_has_a_batch_in_hand():
    ran_when_paused = 0

    async def execute(ctx: QueueExecuteContext[int]) -> None:
        ran.append(ctx.event)
        if ctx.event == 300:
            asyncio.ensure_future(pause())  # noqa: RUF006 - it is over before the run is

    async def pause() -> None:
        nonlocal ran_when_paused
        await client.pause()
        ran_when_paused = len(ran)

    ran: list[int] = []
    queue = Queue.make("q", event_schema=int, execute=execute)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue_many(range(1000))
    await driver.run_due()

    assert 300 < ran_when_paused
    assert len(ran) <= ran_when_paused + YIELD_EVERY
    assert (await client.status()).pending == 1000 - len(ran)
    await client.resume()
    await driver.run_due()
    assert ran == list(range(1000))


async def test_trap_34_cancel_reaches_an_event_that_was_taken_but_not_started():
    log = Log()
    log.stops_at = {50}
    queue = Queue.make("q", event_schema=int, execute=log)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue_many([Enqueue(n, id=f"id-{n}") for n in range(60)])
    work = await at_work(driver, log, runs=51)

    assert (await client.cancel("id-55")).outcome == "running"
    log.gate.set()
    await work

    assert 55 not in log.ran
    assert len(log.ran) == 59
    assert (await client.cancel("id-55")).outcome == "cancelled"


async def test_trap_38_signal_is_not_swallowed_by_a_handler_that_catches_exceptions():
    ran = []

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        ran.append(ctx.attempt)
        try:
            if not ctx.is_retry:
                raise Retry(after="1 minute")
        except Exception:
            pytest.fail("a signal is no Exception")

    queue = Queue.make("q", event_schema=str, execute=execute)
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("e")
    await driver.advance(MINUTE)

    assert ran == [1, 2]


async def test_trap_39_47_attempt_sees_nothing_of_what_an_earlier_one_did_to_its_event():
    seen: list[list[int]] = []

    async def execute(ctx: QueueExecuteContext[list[int]]) -> None:
        seen.append(list(ctx.event))
        ctx.event.append(ctx.attempt)
        raise ValueError

    queue = Queue.make("q", event_schema=list[int], execute=execute, retry=tries(3))
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue([1], id="evt")
    await driver.advance(HOUR)

    assert seen == [[1]] * 3
    letter = await driver.client(queue).dead_letters.get("evt")
    assert letter.event == [1]


async def test_trap_41_shutdown_gives_back_what_it_does_not_finish():
    log = Log()
    log.stops_at = {"slow"}
    queue = Queue.make("q", event_schema=str, execute=log)
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue_many(["quick", "slow", "waiting"])
    work = await at_work(driver, log, runs=2)

    await driver.worker.stop(grace_s=0.0)
    await work
    driver.restart()
    log.stops_at.clear()
    await driver.run_due()

    assert log.ran == ["quick", "slow", "slow", "waiting"]
    assert [(ctx.attempt, ctx.delivery) for ctx in log.contexts] == [(1, 1)] * 4
