"""The engine in the object: definitions run as they are, each instance in an object of its own."""

from __future__ import annotations

import pytest

from durable_primitives import (
    Buffer,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    DefinitionError,
    PayloadTooLargeError,
    Queue,
    QueueExecuteContext,
    QueueFullError,
    RetryPolicy,
    create_durable_primitives,
)
from durable_primitives_cloudflare.object.storage import MAX_PAYLOAD
from durable_primitives_cloudflare.object.wire import MAX_MESSAGE

from .cloud import Cloud


async def test_queue_runs_and_routes_over_its_objects():
    ran: list[str] = []

    @Queue.make("mails", event_schema=str, concurrency=3)
    async def mails(ctx: QueueExecuteContext[str]) -> None:
        ran.append(ctx.event)

    cloud = Cloud(create_durable_primitives(mails))
    queue = cloud.client.queue(mails)
    results = [await queue.enqueue(f"event {n}") for n in range(6)]

    assert {result.instance_index for result in results} == {0, 1, 2}
    assert set(cloud.storages) == {"queue:mails:0", "queue:mails:1", "queue:mails:2"}
    assert ran == [], "nothing runs in the request of a producer"
    await cloud.fire_due()
    assert sorted(ran) == [f"event {n}" for n in range(6)]
    assert (await queue.status()).processed == 6
    assert (await queue.drain()).drained


async def test_duplicate_is_known_after_the_object_was_evicted():
    @Queue.make("mails", event_schema=str)
    async def mails(ctx: QueueExecuteContext[str]) -> None: ...

    cloud = Cloud(create_durable_primitives(mails))
    first = await cloud.client.queue(mails).enqueue("a", id="one")
    await cloud.fire_due()
    cloud.evict()
    again = await cloud.client.queue(mails).enqueue("a", id="one")

    assert (first.duplicate, again.duplicate) == (False, True)


async def test_failed_event_is_retried_by_the_alarm_and_buried():
    attempts: list[int] = []
    dead: list[str] = []

    async def park(event: str, error: BaseException, ctx: object) -> None:
        dead.append(event)

    @Queue.make("mails", event_schema=str, retry=RetryPolicy(max_attempts=3), on_dead_letter=park)
    async def mails(ctx: QueueExecuteContext[str]) -> None:
        attempts.append(ctx.attempt)
        raise ValueError("no")

    cloud = Cloud(create_durable_primitives(mails))
    await cloud.client.queue(mails).enqueue("a", id="one")
    await cloud.advance(60_000)

    assert attempts == [1, 2, 3]
    assert dead == ["a"]
    letter = await cloud.client.queue(mails).dead_letters.get("one")
    assert letter is not None
    assert letter.attempts == 3
    assert await cloud.client.queue(mails).dead_letters.redrive("one") == 1
    await cloud.fire_due()
    assert attempts[3] == 1


async def test_buffer_flushes_by_time_and_by_size():
    flushed: list[tuple[str, int]] = []

    @Buffer.make("notes", event_schema=str, flush_after="5 minutes", max_events=3)
    async def notes(ctx: BufferExecuteContext[list[str]]) -> None:
        flushed.append((ctx.flush_reason, ctx.event_count))

    cloud = Cloud(create_durable_primitives(notes))
    for n in range(4):
        await cloud.client.buffer(notes).add("acct", f"note {n}")
    await cloud.fire_due()
    assert flushed == [("max_events", 3)]
    await cloud.advance(5 * 60_000 + 10)
    assert flushed == [("max_events", 3), ("flush_after", 1)]


async def test_continuous_repeats_over_evictions():
    @Continuous.make("tick", state_schema=int, schedule=Continuous.every("30 minutes"))
    async def tick(ctx: ContinuousContext[int]) -> None:
        ctx.set_state(ctx.state + 1)

    cloud = Cloud(create_durable_primitives(tick))
    await cloud.client.continuous(tick).start("user", 0)
    for _ in range(4):
        cloud.evict()
        await cloud.advance(30 * 60_000 + 100)

    assert await cloud.client.continuous(tick).get_state("user") == 5
    stopped = await cloud.client.continuous(tick).stop("user", "enough")
    assert stopped.stopped
    assert (await cloud.client.continuous(tick).status("user")).stop_reason == "enough"


async def test_handler_sends_to_other_objects_once():
    @Buffer.make("notes", event_schema=str, flush_after="1 minute")
    async def notes(ctx: BufferExecuteContext[list[str]]) -> None: ...

    @Queue.make("mails", event_schema=str)
    async def mails(ctx: QueueExecuteContext[str]) -> None:
        await ctx.client.buffer(notes).add("all", ctx.event)
        if ctx.attempt == 1:
            raise ValueError("after the send")

    cloud = Cloud(create_durable_primitives(mails, notes))
    await cloud.client.queue(mails).enqueue("a")
    await cloud.advance(10_000)

    assert (await cloud.client.buffer(notes).status("all")).event_count == 1


async def test_namespaces_are_different_objects():
    @Queue.make("mails", event_schema=str)
    async def mails(ctx: QueueExecuteContext[str]) -> None: ...

    cloud = Cloud(create_durable_primitives(mails, namespace="staging"))
    await cloud.client.queue(mails).enqueue("a")

    assert set(cloud.storages) == {"staging/queue:mails:0"}


async def test_errors_cross_the_call_with_their_facts():
    @Queue.make("mails", event_schema=str, max_pending=1)
    async def mails(ctx: QueueExecuteContext[str]) -> None: ...

    @Continuous.make("tick", state_schema=int, schedule=Continuous.every("30 minutes"))
    async def tick(ctx: ContinuousContext[int]) -> None: ...

    cloud = Cloud(create_durable_primitives(mails, tick))
    await cloud.client.queue(mails).enqueue("a")
    with pytest.raises(QueueFullError, match="1 pending events") as caught:
        await cloud.client.queue(mails).enqueue("b")
    assert (caught.value.pending, caught.value.limit) == (1, 1)
    with pytest.raises(DefinitionError, match="each lives in an object of its own"):
        await cloud.client.continuous(tick).list()


async def test_too_large_a_call_is_refused_before_it_is_sent():
    """The platform carries 32 MiB, and would say so without a type."""

    @Queue.make("mails", event_schema=str)
    async def mails(ctx: QueueExecuteContext[str]) -> None: ...

    cloud = Cloud(create_durable_primitives(mails))
    with pytest.raises(PayloadTooLargeError, match="the request is") as caught:
        await cloud.client.queue(mails).enqueue_many(["x" * 1_000_000] * 34)
    assert caught.value.limit == MAX_MESSAGE
    assert cloud.requests["calls"] == 0


async def test_too_large_a_reply_is_an_error_of_ours():
    @Queue.make("mails", event_schema=str, retry=RetryPolicy(max_attempts=1))
    async def mails(ctx: QueueExecuteContext[str]) -> None:
        raise ValueError("no")

    cloud = Cloud(create_durable_primitives(mails))
    for _ in range(2):
        await cloud.client.queue(mails).enqueue_many(["x" * 1_900_000] * 9)
    await cloud.fire_due()
    letters = cloud.client.queue(mails).dead_letters
    with pytest.raises(PayloadTooLargeError, match="the reply is"):
        await letters.list()
    assert len((await letters.list(limit=5)).items) == 5


async def test_too_large_an_event_is_refused_before_it_is_sent():
    @Queue.make("mails", event_schema=str)
    async def mails(ctx: QueueExecuteContext[str]) -> None: ...

    cloud = Cloud(create_durable_primitives(mails))
    with pytest.raises(PayloadTooLargeError):
        await cloud.client.queue(mails).enqueue("x" * (MAX_PAYLOAD + 1))
    assert cloud.requests["calls"] == 0
