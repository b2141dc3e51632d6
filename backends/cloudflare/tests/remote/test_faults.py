"""What callers see, and what becomes of the work, when answers get lost and the host is killed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from durable_primitives import Queue, QueueExecuteContext, Running, WorkerOptions, create_durable_primitives
from durable_primitives.errors import BackendUnavailableError, StorageError
from durable_primitives.kernel.transition import Burial, ClaimRequest, Create, NewItem, Transition
from durable_primitives.spi import SystemRuntime
from durable_primitives_cloudflare.remote import RemoteBackend
from durable_primitives_cloudflare.remote.backend import MAX_PAYLOAD

from .conftest import open_backend
from .host import Host
from .proxy import Proxy

LIVE = Create(status="live")
ONE = "queue:orders:1"


def append(*items: NewItem) -> Transition:
    return Transition(instance=ONE, at=SystemRuntime().now(), create=LIVE, append=items)


async def behind(proxy: Proxy, host: Host, prefix: str, opened: AsyncExitStack) -> RemoteBackend:
    backend = RemoteBackend(
        host.store_url(prefix, listen=None).replace(f":{host.workerd.port}", f":{proxy.port}"),
        engine_keys=host.engine_keys,
    )
    return await open_backend(backend, opened)


async def test_eighty_callers_at_once_need_no_second_try(host: Host, prefix: str, opened: AsyncExitStack):
    """Appends are blind: nobody reads first, so nobody has to read again."""
    backends = [await open_backend(host.backend(prefix, listen=None), opened) for _ in range(4)]
    before = (await backends[0].usage()).requests

    replies = await asyncio.gather(
        *(backends[n % 4].commit([append(NewItem(f"event-{n // 2}", b"x"))]) for n in range(80))
    )

    accepted = [outcome.accepted[0] for outcomes, _ in replies for outcome in outcomes]
    assert Counter(one.duplicate for one in accepted) == {False: 40, True: 40}
    record = (await backends[0].load(ONE)).record
    assert record is not None
    assert record.count == 40
    # One request each; the load and the second look at the usage are the other two.
    assert (await backends[0].usage()).requests - before == 82


async def test_a_lost_answer_is_asked_for_again(host: Host, prefix: str, opened: AsyncExitStack):
    """The host knows the request again: it has its effect once, and the answer is the first one."""
    async with Proxy(host.workerd.port) as proxy:
        backend = await behind(proxy, host, prefix, opened)
        proxy.lose = 3

        (outcome,), _ = await backend.commit([append(NewItem(None, b"x"))])

        assert proxy.lost == 3
        assert [(one.seq, one.duplicate) for one in outcome.accepted] == [(1, False)]
        assert len(await backend.items(ONE, 0, 0, 10)) == 1


async def test_a_lost_answer_of_a_host_that_began_anew_is_unknown(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    """It has forgotten whom it answered, and says so instead of doing it twice."""
    host = make_host()

    async def restart() -> None:
        await asyncio.to_thread(host.restart)

    async with Proxy(host.workerd.port) as proxy:
        backend = await behind(proxy, host, prefix, opened)
        proxy.lose, proxy.before_loss = 1, restart

        with pytest.raises(StorageError, match="no longer knows") as caught:
            await backend.commit([append(NewItem(None, b"x"))])

        assert caught.value.outcome == "unknown"
        assert len(await backend.items(ONE, 0, 0, 10)) == 1
        (outcome,), _ = await backend.commit([append(NewItem(None, b"y"))])
        assert outcome.accepted[0].seq == 2


async def test_a_lost_answer_that_was_forgotten_is_unknown(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    """Its memory is small: what it cannot say it does not do twice."""
    host = make_host(changes={"MOST_ANSWERS = 10_000": "MOST_ANSWERS = 2"})
    others = [await open_backend(host.backend(prefix, listen=None), opened) for _ in range(3)]

    async def distract() -> None:
        for other in others:
            await other.commit([append(NewItem(None, b"other"))])

    async with Proxy(host.workerd.port) as proxy:
        backend = await behind(proxy, host, prefix, opened)
        proxy.lose, proxy.before_loss = 1, distract

        with pytest.raises(StorageError, match="no longer knows") as caught:
            await backend.commit([append(NewItem(None, b"x"))])

        assert caught.value.outcome == "unknown"
        assert len(await backend.items(ONE, 0, 0, 10)) == 4


async def test_a_host_that_is_away_has_applied_nothing(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    host = make_host()
    backend = await open_backend(host.backend(prefix, listen=None, timeout=0.5), opened)
    await backend.commit([append(NewItem(None, b"x"))])
    host.stop()

    with pytest.raises(BackendUnavailableError) as caught:
        await backend.commit([append(NewItem(None, b"y"))])

    host.start()
    written = len(await backend.items(ONE, 0, 0, 10))
    assert (caught.value.outcome, written) in {("not_applied", 1), ("unknown", 1)}


async def test_the_largest_payload_is_stored(backend: RemoteBackend):
    payload = random.Random(1).randbytes(MAX_PAYLOAD)
    await backend.commit([append(NewItem("a" * 200, payload))])

    (item,) = await backend.items(ONE, 0, 0, 10)
    assert item.payload == payload


async def test_what_is_more_than_one_answer_comes_in_several(backend: RemoteBackend):
    """An object has little memory: pages and claims end before it does."""
    for number in range(12):
        await backend.commit([append(NewItem(f"event-{number}", bytes(1_000_000)))])

    before = (await backend.usage()).requests
    assert [item.seq for item in await backend.items(ONE, 0, 0, 100)] == list(range(1, 13))
    # Two pages; the second look at the usage is the third request.
    assert (await backend.usage()).requests - before == 3
    now = SystemRuntime().now()
    _, (claim,) = await backend.commit((), ClaimRequest(owner="w", at=now, lease_ms=60_000, limit=1, take=100))
    assert 0 < len(claim.items) < 12
    rest = Transition(instance=ONE, at=now, take=100)
    (outcome,), _ = await backend.commit([rest])
    assert len(claim.items) + len(outcome.items) == 12


async def test_a_batch_is_larger_than_a_row(backend: RemoteBackend):
    payload = random.Random(2).randbytes(7_000_000)
    now = SystemRuntime().now()
    letter = Burial("batch", None, payload, 3, "{}", 50, now + 60_000)
    await backend.commit([Transition(instance=ONE, at=now, create=LIVE, bury=(letter,))])

    snapshot = await backend.load(ONE, letters=["batch"])
    assert snapshot.letters["batch"].payload == payload
    await backend.commit([Transition(instance=ONE, at=now, discard=("batch",))])
    assert await backend.letters(ONE, "", 10) == []


ROUNDS = 8
SHORT_LEASE = WorkerOptions(lease="2 seconds", heartbeat="500ms")


@pytest.mark.timeout(300)
async def test_a_host_that_is_killed_at_random_loses_nothing(make_host: Callable[..., Host], prefix: str):
    """Each acknowledged event runs; producers repeat what was not acknowledged, with the same id."""
    host = make_host(changes={"least: 5_000": "least: 200"})
    ran: Counter[str] = Counter()
    acknowledged: set[str] = set()
    chance, killing = random.Random(7), True

    async def note(ctx: QueueExecuteContext[str]) -> None:
        ran[ctx.event] += 1
        await asyncio.sleep(0.002)

    work = Queue.make("work", event_schema=str, execute=note, concurrency=3)
    application = create_durable_primitives(work)

    async def produce(running: Running, name: str) -> None:
        number = 0
        while killing:
            event = f"{name}-{number}"
            try:
                await running.client.queue(work).enqueue(event, id=event)
            except StorageError:
                continue
            acknowledged.add(event)
            number += 1

    async with application.open(host.backend(prefix, timeout=5), options=SHORT_LEASE) as running:
        producers = [asyncio.ensure_future(produce(running, name)) for name in "abcd"]
        for _ in range(ROUNDS):
            goal = len(acknowledged) + 20
            while len(acknowledged) < goal:
                await asyncio.sleep(0.01)
            await asyncio.sleep(chance.random() * 0.2)
            await asyncio.to_thread(host.restart)
        killing = False
        await asyncio.gather(*producers)
        async with asyncio.timeout(120):
            while not acknowledged <= ran.keys():
                await asyncio.sleep(0.05)

    assert len(acknowledged) >= 20 * ROUNDS
