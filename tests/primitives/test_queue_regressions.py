"""The faults of the family that this system's design comes from, by their numbers there (p1 …): none of them is here.

Each test is named after what went wrong, and states what happens instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from durable_primitives.errors import DefinitionError, ValidationError
from durable_primitives.events import PrimitiveEvent, guard
from durable_primitives.primitives.queue import Enqueue, Queue
from durable_primitives.primitives.queue.routing import Router
from durable_primitives.retry import Backoff
from durable_primitives.signals import Cancel, DeadLetter, Retry, Snooze
from tests.primitives.driver import Driver
from tests.primitives.queue_log import DAY, HOUR, LEASE, MINUTE, SECOND, Log, at_work, producer, tries, types

RECHECK = 5 * MINUTE
ENDS = {"queue.completed", "queue.dead_lettered", "queue.cancelled", "queue.expired", "queue.cleared"}


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
    await client.enqueue_many([Enqueue("e", id="evt"), "other"])
    work = await at_work(driver, log)

    assert (await client.clear()).discarded_events == 1
    assert (await client.cancel("evt")).outcome == "running"
    log.gate.set()
    await work
    await driver.advance(HOUR)

    assert log.ran == ["e"]
    assert (await client.drain("0s")).drained


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
    driver = await Driver(queue).open()
    client = producer(driver, queue)
    await client.enqueue("e", id="evt")
    await (client.cancel("evt") if operation == "cancel" else client.clear())

    assert types(driver) == ["queue.enqueued", "queue.cancelled" if operation == "cancel" else "queue.cleared"]


async def test_p21_event_that_no_longer_decodes_is_kept_byte_for_byte():
    log = Log()
    old = Queue.make("q", event_schema=dict[str, int], execute=log)
    new = Queue.make("q", event_schema=list[int], execute=log, retry=tries(1))
    driver = await Driver(old).open()
    await producer(driver, old).enqueue({"a": 1}, id="evt")
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
    await producer(driver, queue).enqueue("e")

    driver.restart(other)
    await driver.advance(HOUR)
    assert types(driver).count("instance.orphaned") == 1
    assert [record.status for record in await driver.backend.scan("queue:q:", "", 10)] == ["orphaned"]
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
    driver = await Driver(queue).open()
    driver.engine.tracker = guard(tracker)
    client = driver.client(queue)

    await client.enqueue_many(range(100))
    await driver.run_due()
    assert log.ran == list(range(100))

    tracker.release.set()
    await driver.engine.tracker.close()


async def test_tr_payload_is_in_no_tracking_event():
    log = Log(secret=[ValueError("no payload here")])
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(1))
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("secret", id="evt")
    await driver.run_due()

    assert len(driver.events) == 4
    assert b"secret" not in b"".join(msgspec.json.encode(event) for event in driver.events)
