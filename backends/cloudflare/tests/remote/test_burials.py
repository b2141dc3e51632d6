"""What fails for good becomes a dead letter, however long it is: else it would come back after every lease."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from durable_primitives import Buffer, BufferExecuteContext, RetryPolicy, create_durable_primitives
from durable_primitives.kernel.transition import Burial, ClaimRequest, Create, Guard, NewItem, Transition
from durable_primitives.spi import SystemRuntime
from durable_primitives_cloudflare.remote import RemoteBackend
from durable_primitives_cloudflare.remote.partitions import MAX_TRANSITION
from durable_primitives_cloudflare.remote.wire import parts_of

from .conftest import open_backend
from .host import Host

ONE = "queue:orders:1"
BATCH = "buffer:digest:one"
LIVE = Create(status="live")
MONTH_MS = 30 * 24 * 60 * 60 * 1000
LONG = 1_500_000
PATIENCE_SECONDS = 60.0


def now() -> int:
    return SystemRuntime().now()


def burial_of_a_batch(payload: bytes, guard: Guard | None = None) -> Transition:
    batch = Burial("batch", None, payload, 3, "{}", 50, now() + MONTH_MS)
    return Transition(instance=BATCH, at=now(), guard=guard, create=LIVE, bury=(batch,))


async def test_batch_that_is_longer_than_a_request_is_buried_and_redriven(host: Host, prefix: str):
    """It is handed over once, not again after each lease; and its content is whole."""
    sizes: list[int] = []
    healed = False

    async def execute(ctx: BufferExecuteContext[list[str]]) -> None:
        sizes.append(sum(map(len, ctx.state)))
        if not healed:
            raise ValueError("it fails for good")

    once = RetryPolicy(max_attempts=1)
    digest = Buffer.make("digest", event_schema=str, execute=execute, flush_after="1 hour", max_events=12, retry=once)
    async with create_durable_primitives(digest).open(host.backend(prefix)) as running:
        buffer = running.client.buffer(digest)
        for number in range(12):
            await buffer.add("one", f"{number}".ljust(LONG))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (letters := (await buffer.dead_letters.list("one")).items):
                await asyncio.sleep(0.05)
        (letter,) = letters
        assert sizes == [12 * LONG]
        assert (letter.event_count, letter.state) == (12, [f"{number}".ljust(LONG) for number in range(12)])

        healed = True
        await buffer.dead_letters.redrive(letter.flush_id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await buffer.dead_letters.list("one")).items:
                await asyncio.sleep(0.05)
        assert sizes == [12 * LONG] * 2


async def test_events_that_are_together_longer_than_a_request_are_buried_at_once(backend: RemoteBackend):
    """The host has their payloads: they do not travel again."""
    payloads = [bytes([number]) * LONG for number in range(12)]
    for number, payload in enumerate(payloads):
        item = NewItem(f"event-{number:02}", payload)
        await backend.commit([Transition(instance=ONE, at=now(), create=LIVE, append=(item,))])
    request = ClaimRequest(owner="w", at=now(), lease_ms=60_000, limit=1, take=100)
    _, (claim,) = await backend.commit((), request)
    guard = Guard(token=claim.record.token)
    items = list(claim.items)
    while len(items) < len(payloads):
        (outcome,), _ = await backend.commit([Transition(instance=ONE, at=now(), guard=guard, take=100)])
        items += outcome.items
    assert sum(len(item.payload) for item in items) > MAX_TRANSITION

    bury = tuple(Burial(str(item.id), item, item.payload, 3, "{}", 1, now() + MONTH_MS) for item in items)
    (outcome,), _ = await backend.commit([Transition(instance=ONE, at=now(), guard=guard, bury=bury, release="yes")])

    assert (outcome.verdict, outcome.count) == ("applied", 0)
    assert [letter.payload for letter in await backend.letters(ONE, "", 100)] == payloads


async def test_long_letter_is_read_and_replaced_whole(backend: RemoteBackend):
    """In parts: an object has little memory."""
    first, second = bytes(20_000_000), b"x" * 16_000_000
    for payload in (first, second):
        await backend.commit([burial_of_a_batch(payload)])
        before = (await backend.usage()).requests

        assert (await backend.load(BATCH, letters=["batch"])).letters["batch"].payload == payload
        assert (await backend.usage()).requests - before == 2 + len(parts_of(payload))
        assert [letter.payload for letter in await backend.letters(BATCH, "", 10)] == [payload]


async def test_letters_that_are_more_than_one_answer_come_in_several(backend: RemoteBackend):
    for name in "abc":
        letter = Burial(name, None, bytes(6_000_000), 3, "{}", 50, now() + MONTH_MS)
        await backend.commit([Transition(instance=BATCH, at=now(), create=LIVE, bury=(letter,))])
    before = (await backend.usage()).requests

    assert [letter.id for letter in await backend.letters(BATCH, "", 10)] == ["a", "b", "c"]
    # Two pages; the second look at the usage is the third request.
    assert (await backend.usage()).requests - before == 3


async def test_what_was_sent_ahead_of_a_refused_burial_is_swept(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    host = make_host(changes={"UPLOAD_MS = 60 * 60_000": "UPLOAD_MS = 0"})
    backend = await open_backend(host.backend(prefix, listen=None), opened)
    before = await backend.usage()
    (outcome,), _ = await backend.commit([burial_of_a_batch(bytes(10 * LONG), Guard(token=99))])
    sent = await backend.usage()
    await backend.sweep(now(), 100)

    assert outcome.verdict == "fenced"
    assert sent.rows_written - before.rows_written == 10
    assert (await backend.usage()).rows_written - sent.rows_written == 10

    # A burial that is applied leaves nothing behind.
    await backend.commit([burial_of_a_batch(bytes(10 * LONG))])
    buried = await backend.usage()
    await backend.sweep(now(), 100)
    assert (await backend.usage()).rows_written == buried.rows_written
