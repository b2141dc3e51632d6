"""Traps that other job systems fell into, by their numbers in our list of them: a queue steps around each.

Each test is named after what went wrong, and states what happens instead.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from durable_primitives.primitives.queue import Enqueue, Queue, QueueExecuteContext
from durable_primitives.primitives.queue.stream import YIELD_EVERY
from durable_primitives.services.ownership import MAX_DELIVERIES
from durable_primitives.signals import Retry
from tests.primitives.driver import Driver
from tests.primitives.queue_log import DAY, HOUR, LEASE, MINUTE, SECOND, Log, at_work, producer, tries


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
    for delivery in range(MAX_DELIVERIES):
        await at_work(driver, log, runs=delivery + 1)
        driver.restart()
        driver.runtime.ms += LEASE
    await driver.run_due()

    assert Counter(log.ran) == {"poison": MAX_DELIVERIES, "bystander": 1}
    letter = await driver.client(queue).dead_letters.get("evt")
    assert (letter.event, letter.attempts) == ("poison", 0)
    end: Any = next(event for event in driver.events if event.type == "queue.dead_lettered")
    assert (end.reason, end.error.type) == ("crash_loop", "durable_primitives.errors.CrashLoopError")
    assert end.error.message.startswith(f"{MAX_DELIVERIES} times in a row a process vanished")


async def test_trap_26_retry_that_waits_holds_no_lease_and_no_task():
    log = Log(e=[ValueError()])
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(3))
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("e")
    await driver.run_due()

    (record,) = await driver.backend.scan("", "", 10)
    assert (record.owner, record.taken) == (None, ())
    assert await driver.backend.next_due() == driver.now + 10 * SECOND


async def test_trap_28_fresh_clients_do_not_all_begin_at_the_first_instance():
    queue = Queue.make("q", event_schema=int, execute=Log(), concurrency=4)
    driver = await Driver(queue).open()

    first = Counter([(await driver.client(queue).enqueue(n)).instance_index for n in range(400)])

    assert set(first) == {0, 1, 2, 3}
    assert max(first.values()) < 150


@pytest.mark.parametrize(("key", "index"), [("a", 1), ("acct-7", 4), ("ø", 3), ("a b", 0), ("key-1", 1)])
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


async def test_trap_30_id_is_known_where_its_key_leads():
    """Nobody asks all instances: an id must come with the same key, or none, each time."""
    queue = Queue.make("q", event_schema=str, execute=Log(), concurrency=5)
    client = (await Driver(queue).open()).client(queue)

    first = await client.enqueue("e", id="evt", partition_key="a")
    assert (await client.enqueue("e", id="evt", partition_key="a")).duplicate
    elsewhere = await client.enqueue("e", id="evt", partition_key="acct-7")
    assert (elsewhere.instance_index != first.instance_index, elsewhere.duplicate) == (True, False)


@pytest.mark.parametrize("end", ["cancel", "clear", "discard"])
async def test_trap_31_deleted_event_is_still_remembered(end: str):
    queue = Queue.make("q", event_schema=str, execute=Log(e=[ValueError()]), retry=tries(1))
    driver = await Driver(queue).open()
    client = producer(driver, queue)
    await client.enqueue("e", id="evt")
    if end == "discard":
        driver.restart()
        await driver.run_due()
        await client.dead_letters.discard("evt")
    else:
        await (client.cancel("evt") if end == "cancel" else client.clear())

    assert (await client.enqueue("e", id="evt")).duplicate


async def test_trap_32_stored_work_is_resumed_without_a_client_call():
    log = Log()
    queue = Queue.make("q", event_schema=str, execute=log, concurrency=3)
    driver = await Driver(queue).open()
    await producer(driver, queue).enqueue_many(["a", "b", Enqueue("later", delay="1 hour")])

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

    assert ran_when_paused > 300
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


async def test_redriven_event_does_not_expire_for_the_time_it_was_dead():
    log = Log(e=[ValueError()])
    queue = Queue.make("q", event_schema=str, execute=log, retry=tries(1), expires_after="1 minute")
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("e", id="evt")
    await driver.advance(HOUR)

    await client.dead_letters.redrive("evt")
    await driver.run_due()

    assert log.ran == ["e", "e"]
