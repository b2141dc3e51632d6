"""How long a payload may be, and that nothing longer is sent."""

from __future__ import annotations

import asyncio

import pytest
import redis

from durable_primitives import (
    Buffer,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    Enqueue,
    Queue,
    QueueExecuteContext,
    create_durable_primitives,
)
from durable_primitives.errors import PayloadTooLargeError
from durable_primitives_redis import RedisBackend
from durable_primitives_redis.backend import MAX_PAYLOAD

TOO_LONG = "x" * MAX_PAYLOAD


async def nothing(ctx: QueueExecuteContext[str] | BufferExecuteContext[list[str]] | ContinuousContext[str]) -> None:
    return None


work = Queue.make("work", event_schema=str, execute=nothing, concurrency=4)
digests = Buffer.make("digests", event_schema=str, execute=nothing, max_events=10)
job = Continuous.make("job", state_schema=str, schedule=Continuous.every("1 hour"), execute=nothing)


async def test_payload_beyond_the_limit_is_refused_before_anything_is_sent(url: str, prefix: str):
    async with create_durable_primitives(work, digests, job).connect(RedisBackend(url, prefix=prefix)) as client:
        calls = [
            ("event", client.queue(work).enqueue(TOO_LONG)),
            ("event", client.queue(work).enqueue_many([*(Enqueue(f"e{n}") for n in range(20)), Enqueue(TOO_LONG)])),
            ("event", client.buffer(digests).add("d", TOO_LONG)),
            ("input", client.continuous(job).start("j", TOO_LONG)),
        ]
        for what, call in calls:
            with pytest.raises(PayloadTooLargeError, match=f"the {what} is ") as caught:
                await call
            assert caught.value.limit == MAX_PAYLOAD
            assert caught.value.size > MAX_PAYLOAD
        with redis.Redis.from_url(url) as server:
            assert not [key for key in server.scan_iter(f"{{{prefix}:*") if b"record" in key]


async def test_payload_just_below_the_limit_goes_there_and_back(url: str, prefix: str):
    seen: list[int] = []

    async def measure(ctx: QueueExecuteContext[str]) -> None:
        seen.append(len(ctx.event))

    long = Queue.make("long", event_schema=str, execute=measure)
    async with create_durable_primitives(long).open(RedisBackend(url, prefix=prefix)) as running:
        await running.client.queue(long).enqueue(TOO_LONG[:-1000])
        await running.client.queue(long).drain()
    assert seen == [len(TOO_LONG) - 1000]


async def test_state_beyond_the_limit_is_an_error_of_the_handler(url: str, prefix: str):
    caught: asyncio.Queue[PayloadTooLargeError] = asyncio.Queue()

    async def grow(ctx: ContinuousContext[str]) -> None:
        try:
            ctx.set_state(TOO_LONG)
        except PayloadTooLargeError as error:
            caught.put_nowait(error)

    growing = Continuous.make("job", state_schema=str, schedule=Continuous.every("1 hour"), execute=grow)
    async with create_durable_primitives(growing).open(RedisBackend(url, prefix=prefix)) as running:
        jobs = running.client.continuous(growing)
        await jobs.start("j", "small")
        assert str(await caught.get()).startswith("the state is ")
        assert await jobs.get_state("j") == "small"


async def test_state_that_a_reducer_makes_too_long_refuses_the_event(url: str, prefix: str):
    joined = Buffer.make(
        "joined",
        event_schema=str,
        state_schema=str,
        on_event=lambda ctx: (ctx.state or "") + ctx.event,
        execute=nothing,
        flush_after="1 hour",
    )
    half = "x" * (MAX_PAYLOAD * 2 // 3)
    async with create_durable_primitives(joined).connect(RedisBackend(url, prefix=prefix)) as client:
        buffer = client.buffer(joined)
        await buffer.add("b", half)

        with pytest.raises(PayloadTooLargeError, match="the state is ") as caught:
            await buffer.add("b", half, "second")

        assert caught.value.limit == MAX_PAYLOAD
        assert (await buffer.status("b")).event_count == 1
        assert not (await buffer.add("b", "small", "second")).duplicate, "it was not accepted"
