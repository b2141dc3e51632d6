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
from durable_primitives.kernel.transition import Claim, ClaimRequest, Create, Due, Guard, NewItem, Transition
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


async def test_claim_and_take_bring_no_more_than_one_reply_should_hold(backend: RedisBackend):
    """Of 60 instances with a megabyte each, and one with 60 events of a megabyte: both come in parts."""
    payload, whole = bytes(1 << 20), 32 << 20
    due = (Due("items", "set", 0),)
    many = [
        Transition(
            instance=f"queue:{name}:{number}",
            at=0,
            create=Create(status="live"),
            append=(NewItem(None, payload),) * count,
            dues=due,
        )
        for name, count, total in (("many", 1, 60), ("one", 60, 1))
        for number in range(total)
    ]
    for transition in many:
        await backend.commit([transition])

    replies: list[int] = []
    claims: list[Claim] = []
    while True:
        _, came = await backend.commit([], ClaimRequest(owner="me", at=1, lease_ms=60_000, limit=100, take=1))
        if not came:
            break
        replies.append(sum(len(item.payload) for claim in came for item in claim.items))
        claims += came
    assert max(replies) <= whole + len(payload)
    assert len(replies) == 2
    assert sorted(claim.record.instance for claim in claims) == sorted(one.instance for one in many)

    (one,) = (claim for claim in claims if claim.record.instance == "queue:one:0")
    taken = [len(one.items)]
    while sum(taken) < 60:
        guard = Guard(token=one.record.token)
        (outcome,), _ = await backend.commit(
            [Transition(instance="queue:one:0", at=1, guard=guard, take=59, release="idle")]
        )
        assert not outcome.released
        taken.append(len(outcome.items))
    assert taken == [1, 32, 27]
    # Two that take at once share the room, and each has something.
    refs = {claim.record.instance: claim.record.token for claim in claims}
    again = [
        Transition(
            instance=name,
            at=1,
            guard=Guard(token=refs[name]),
            append=(NewItem(None, payload),) * 40,
        )
        for name in ("queue:many:0", "queue:many:1")
    ]
    await backend.commit(again)
    takes = [Transition(instance=one.instance, at=1, guard=one.guard, take=40) for one in again]
    outcomes, _ = await backend.commit(takes)
    assert [len(outcome.items) for outcome in outcomes] == [32, 1]
