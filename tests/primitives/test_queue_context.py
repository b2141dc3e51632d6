"""What the handler of a queue gets."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from durable_primitives.app import create_durable_primitives
from durable_primitives.client import PrimitivesClient
from durable_primitives.durations import to_datetime
from durable_primitives.events import QueueEnqueued, QueueFailed
from durable_primitives.primitives.queue import Enqueue, Queue, QueueDeadLetterContext, QueueExecuteContext
from tests.primitives.driver import Driver
from tests.primitives.queue_log import MINUTE, SECOND, Log, at_work, tries

RETRY = tries(3)

FIELDS = (
    "instance_id",
    "instance_index",
    "name",
    "event",
    "event_id",
    "partition_key",
    "sequence",
    "attempt",
    "is_retry",
    "delivery",
    "enqueued_at",
    "idempotency_key",
    "cancelled",
)


async def test_context_names_the_event_and_the_attempt():
    seen: list[dict[str, Any]] = []

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        seen.append({name: getattr(ctx, name) for name in FIELDS})
        if not ctx.is_retry:
            raise ValueError

    queue = Queue.make("mails", event_schema=str, execute=execute, retry=RETRY)
    driver = await Driver(queue).open()
    accepted_at = to_datetime(driver.now)
    await driver.client(queue).enqueue("hello", id="evt-1", partition_key="ada")
    await driver.advance(MINUTE)

    first = {
        "instance_id": "queue:mails:0",
        "instance_index": 0,
        "name": "mails",
        "event": "hello",
        "event_id": "evt-1",
        "partition_key": "ada",
        "sequence": 1,
        "attempt": 1,
        "is_retry": False,
        "delivery": 1,
        "enqueued_at": accepted_at,
        "idempotency_key": "queue:mails:evt-1",
        "cancelled": False,
    }
    assert seen == [first, first | {"attempt": 2, "is_retry": True}]


async def test_event_without_id_or_key_gets_an_id_of_its_own():
    ids: list[str] = []
    queue = Queue.make("q", event_schema=int, execute=lambda ctx: ids.append(ctx.event_id))
    driver = await Driver(queue).open()
    results = await driver.client(queue).enqueue_many(range(5))
    await driver.run_due()

    assert ids == [result.event_id for result in results]
    assert len(set(ids)) == 5


async def test_idempotency_key_is_the_same_in_every_attempt_and_delivery():
    log = Log(e=[ValueError(), ValueError()])
    log.stops_at = {"e"}
    queue = Queue.make("q", event_schema=str, execute=log, retry=RETRY)
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("e", id="evt")
    await at_work(driver, log)
    driver.restart()
    log.stops_at.clear()
    await driver.advance(MINUTE)

    assert [(ctx.delivery, ctx.attempt) for ctx in log.contexts] == [(1, 1), (2, 1), (1, 2), (1, 3)]
    assert {ctx.idempotency_key for ctx in log.contexts} == {"queue:q:evt"}


async def test_plain_function_runs_in_a_thread_and_sees_the_context():
    ran: list[tuple[str, bool]] = []

    def execute(ctx: QueueExecuteContext[str]) -> None:
        ran.append((ctx.event, threading.current_thread() is threading.main_thread()))
        if not ctx.is_retry:
            raise ValueError("again")

    queue = Queue.make("q", event_schema=str, execute=execute, retry=RETRY)
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue("e")
    await driver.advance(MINUTE)

    assert ran == [("e", False), ("e", False)]
    assert (await driver.client(queue).status()).processed == 1


async def test_partials_and_callable_objects_are_handlers():
    ran: list[str] = []

    async def note(prefix: str, ctx: QueueExecuteContext[str]) -> None:
        ran.append(prefix + ctx.event)

    class Note:
        async def __call__(self, ctx: QueueExecuteContext[str]) -> None:
            ran.append("object " + ctx.event)

    partial = Queue.make("partial", event_schema=str, execute=functools.partial(note, "partial "))
    instance = Queue.make("object", event_schema=str, execute=Note())
    driver = await Driver(partial, instance).open()
    for queue in (partial, instance):
        await driver.client(queue).enqueue("e")
    await driver.run_due()

    assert sorted(ran) == ["object e", "partial e"]


async def test_client_of_a_handler_sends_once_however_often_it_runs():
    received: list[str] = []

    async def forward(ctx: QueueExecuteContext[str]) -> None:
        assert isinstance(ctx.client, PrimitivesClient)
        await ctx.client.queue(outbox).enqueue(f"{ctx.event}, first")
        await ctx.client.queue("outbox").enqueue(f"{ctx.event}, second")
        if ctx.attempt < 3:
            raise ValueError

    inbox = Queue.make("inbox", event_schema=str, execute=forward, retry=RETRY)
    outbox = Queue.make("outbox", event_schema=str, execute=lambda ctx: received.append(ctx.event), concurrency=3)
    driver = await Driver(inbox, outbox).open()
    await driver.client(inbox).enqueue("e", id="evt")
    await driver.advance(MINUTE)

    assert sorted(received) == ["e, first", "e, second"]
    sent = [event for event in driver.tracker.of_type(QueueEnqueued) if event.name == "outbox"]
    assert [event.event_id for event in sent] == ["queue:inbox:evt/1", "queue:inbox:evt/2"]


async def test_resources_are_entered_once_and_left_after_the_last_handler():
    steps: list[str] = []

    @asynccontextmanager
    async def resources() -> AsyncGenerator[str, None]:
        steps.append("entered")
        yield "pool"
        steps.append("left")

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        steps.append(f"{ctx.event} with {ctx.resources}")

    queue = Queue.make("q", event_schema=str, execute=execute)
    primitives = create_durable_primitives(queue, resources=resources)
    async with primitives.open("memory://") as running:
        await running.client.queue(queue).enqueue_many(["a", "b"])
        await running.client.queue(queue).drain("30 seconds")

    assert steps == ["entered", "a with pool", "b with pool", "left"]


async def test_process_without_a_worker_enters_no_resources():
    @asynccontextmanager
    async def resources() -> AsyncGenerator[None, None]:
        pytest.fail("nobody needs them")
        yield

    queue = Queue.make("q", event_schema=str, execute=lambda ctx: None)
    async with create_durable_primitives(queue, resources=resources).connect("memory://") as client:
        await client.queue(queue).enqueue("e")
        assert (await client.queue(queue).status()).pending == 1


async def test_log_lines_name_the_event(caplog: pytest.LogCaptureFixture):
    async def execute(ctx: QueueExecuteContext[str]) -> None:
        ctx.log.info("delivering", target="somewhere")

    queue = Queue.make("mails", event_schema=str, execute=execute)
    driver = await Driver(queue).open()
    with caplog.at_level(logging.INFO, "durable_primitives.queue.mails"):
        await driver.client(queue).enqueue("e", id="evt")
        await driver.run_due()

    (line,) = [record for record in caplog.records if record.name == "durable_primitives.queue.mails"]
    fields = vars(line)
    assert line.message == "delivering"
    assert {name: fields[name] for name in ("instance_id", "event_id", "attempt", "target")} == {
        "instance_id": "queue:mails:0",
        "event_id": "evt",
        "attempt": 1,
        "target": "somewhere",
    }


async def test_timeout_is_for_each_event_and_each_attempt():
    ran: list[tuple[str, int]] = []

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        ran.append((ctx.event, ctx.attempt))
        if ctx.event == "slow" and ctx.attempt < 3:
            await asyncio.Event().wait()

    queue = Queue.make("q", event_schema=str, execute=execute, timeout="20ms", retry=RETRY)
    driver = await Driver(queue).open()
    await driver.client(queue).enqueue_many(["slow", "quick"])
    await driver.advance(MINUTE)

    assert ran == [("slow", 1), ("quick", 1), ("slow", 2), ("slow", 3)]
    assert [event.error.type for event in driver.tracker.of_type(QueueFailed)] == ["TimeoutError", "TimeoutError"]


async def test_cancelled_tells_a_handler_that_its_event_is_no_longer_wanted():
    seen: list[bool] = []
    begun, asked = asyncio.Event(), asyncio.Event()

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        seen.append(ctx.cancelled)
        begun.set()
        await asked.wait()
        seen.append(ctx.cancelled)

    queue = Queue.make("q", event_schema=str, execute=execute)
    client = (driver := await Driver(queue).open()).client(queue)
    await client.enqueue("e", id="evt")
    work = asyncio.create_task(driver.run_due())
    await begun.wait()
    assert (await client.cancel("evt")).outcome == "running"
    asked.set()
    await work

    assert seen == [False, True]
    # The handler finished its work all the same, and that is what counts.
    assert (await client.status()).processed == 1


async def test_dead_letter_hook_learns_what_happened():
    told: list[tuple[str, BaseException, QueueDeadLetterContext]] = []

    def park(event: str, error: BaseException, ctx: QueueDeadLetterContext) -> None:
        told.append((event, error, ctx))

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        raise ValueError(f"attempt {ctx.attempt}")

    queue = Queue.make("q", event_schema=str, execute=execute, retry=RETRY, on_dead_letter=park)
    driver = await Driver(queue).open()
    accepted_at = to_datetime(driver.now)
    await driver.client(queue).enqueue_many([Enqueue("e", id="evt", partition_key="k")])
    await driver.advance(MINUTE)

    ((event, error, ctx),) = told
    assert (event, str(error)) == ("e", "attempt 3")
    assert ctx == QueueDeadLetterContext(
        event_id="evt",
        attempts=3,
        enqueued_at=accepted_at,
        failed_at=to_datetime(driver.now - 40 * SECOND),
        instance_id="queue:q:0",
        instance_index=0,
        name="q",
    )
