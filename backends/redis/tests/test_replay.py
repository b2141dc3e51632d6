"""A batch whose reply was lost is sent again and has its effect once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from durable_primitives.errors import BackendUnavailableError
from durable_primitives.kernel.transition import ClaimRequest, Create, Guard, NewItem, Removal, Transition
from durable_primitives_redis import RedisBackend
from durable_primitives_redis.scripts import EVERY_SCRIPT

from .conftest import open_backend
from .proxy import Proxy
from .servers import Server

LIVE = Create(status="live")
ONE = "queue:orders:1"


def append(number: int, instance: str = ONE) -> Transition:
    """An event without an id: nothing but the replay protection keeps it from being stored twice."""
    return Transition(instance=instance, at=0, create=LIVE, append=(NewItem(None, b"%d" % number),))


@pytest.mark.parametrize("seed", range(5))
async def test_lost_replies_and_requests_change_nothing(
    seed: int, url: str, prefix: str, proxy: Proxy, opened: AsyncExitStack
):
    backend = await open_backend(RedisBackend(proxy.url, prefix=prefix), opened)
    proxy.at_random(seed, share=0.05)

    accepted = []
    for number in range(100):
        (outcome,), _ = await backend.commit([append(number)])
        accepted.append(outcome.accepted[0].seq)

    assert proxy.lost > 5
    assert accepted == list(range(1, 101))
    items = await backend.items(ONE, 0, 0, 1000)
    assert [item.payload for item in items] == [b"%d" % number for number in range(100)]


@pytest.mark.parametrize("seed", range(5))
async def test_commits_in_flight_together_each_have_their_effect_once(
    seed: int, prefix: str, proxy: Proxy, opened: AsyncExitStack
):
    backend = await open_backend(RedisBackend(proxy.url, prefix=prefix), opened)
    proxy.at_random(seed, share=0.05)

    for first in range(0, 200, 4):
        replies = await asyncio.gather(*(backend.commit([append(number)]) for number in range(first, first + 4)))
        # They leave in the order of the calls and stay in it, whatever is sent again.
        assert [outcome.accepted[0].seq for (outcome,), _ in replies] == list(range(first + 1, first + 5))

    assert proxy.lost > 0
    assert len(await backend.items(ONE, 0, 0, 1000)) == 200


async def test_claim_whose_reply_was_lost_is_answered_with_the_same_lease(
    prefix: str, proxy: Proxy, opened: AsyncExitStack
):
    backend = await open_backend(RedisBackend(proxy.url, prefix=prefix), opened)
    await backend.commit([append(1)])
    proxy.next("lose reply")

    _, (claim,) = await backend.commit([], ClaimRequest(owner="me", at=0, lease_ms=1000, limit=5, take=5))

    assert proxy.lost == 1
    assert (claim.record.deliveries, len(claim.items)) == (1, 1)
    removal = Removal(claim.items[0], "done", 100)
    ((outcome,), _) = await backend.commit(
        [Transition(instance=ONE, at=1, guard=Guard(token=claim.record.token), remove=(removal,))]
    )
    assert (outcome.verdict, outcome.count) == ("applied", 0)


async def test_batch_that_arrives_after_its_repetition_has_no_second_effect(
    prefix: str, proxy: Proxy, opened: AsyncExitStack
):
    backend = await open_backend(RedisBackend(proxy.url, prefix=prefix), opened)
    proxy.next("hold request")

    await backend.commit([append(1)])
    (late,) = await proxy.deliver_held()

    assert late.startswith(b"$"), "it gets the reply of its repetition"
    assert len(await backend.items(ONE, 0, 0, 10)) == 1


async def test_batch_that_arrives_after_its_reply_is_forgotten_is_refused(
    prefix: str, proxy: Proxy, opened: AsyncExitStack
):
    backend = await open_backend(RedisBackend(proxy.url, prefix=prefix), opened)
    proxy.next("hold request")

    for number in range(40):
        await backend.commit([append(number)])
    (late,) = await proxy.deliver_held()

    assert late.startswith(b"-STALE")
    assert len(await backend.items(ONE, 0, 0, 100)) == 40


async def test_commit_that_is_never_answered_is_unknown(prefix: str, proxy: Proxy, opened: AsyncExitStack):
    backend = await open_backend(RedisBackend(proxy.url, prefix=prefix, timeout_s=0.5), opened)
    proxy.fate = lambda: "lose reply"

    with pytest.raises(BackendUnavailableError) as caught:
        await backend.commit([append(1)])

    assert caught.value.outcome == "unknown"
    assert "\n" not in str(caught.value)


async def test_commit_that_was_never_sent_is_not_applied(prefix: str, proxy: Proxy, opened: AsyncExitStack):
    backend = await open_backend(RedisBackend(proxy.url, prefix=prefix, timeout_s=0.5), opened)
    proxy.refuse()
    proxy.break_connections()
    with pytest.raises(BackendUnavailableError):
        await backend.next_due()  # by then it has noticed

    with pytest.raises(BackendUnavailableError) as caught:
        await backend.commit([append(1)])

    assert caught.value.outcome == "not_applied"


async def test_call_outlasts_a_short_loss_of_the_connection(prefix: str, proxy: Proxy, opened: AsyncExitStack):
    backend = await open_backend(RedisBackend(proxy.url, prefix=prefix), opened)
    await backend.commit([append(1)])
    proxy.break_connections()

    await backend.commit([append(2)])

    assert len(await backend.items(ONE, 0, 0, 10)) == 2


async def test_large_reply_is_kept_no_longer_than_needed(backend: RedisBackend, url: str, prefix: str):
    import redis

    def kept() -> int:
        with redis.Redis.from_url(url) as client:
            return sum(client.strlen(key) for key in client.scan_iter(f"{{{prefix}:*reply:*", count=10_000))

    large = tuple(NewItem(None, bytes(10_000)) for _ in range(20))
    await backend.commit([Transition(instance=ONE, at=0, create=LIVE, append=large)])
    await backend.commit([], ClaimRequest(owner="me", at=0, lease_ms=1000, limit=5, take=20))
    assert kept() > 200_000

    await backend.commit([append(1)])

    assert kept() < 10_000


async def test_server_knows_the_scripts_before_the_first_commit(
    make_server: Callable[..., Server], opened: AsyncExitStack
):
    """A commit that had to bring its script first could be overtaken by the next one."""
    server = make_server()

    await open_backend(RedisBackend(server.url), opened)

    with server.client() as client:
        assert all(client.script_exists(*(script.sha for script in EVERY_SCRIPT)))


async def test_scripts_come_back_when_the_server_has_forgotten_them(url: str, backend: RedisBackend):
    import redis

    await backend.commit([append(1)])
    with redis.Redis.from_url(url) as client:
        client.script_flush()

    replies = await asyncio.gather(*(backend.commit([append(number)]) for number in range(5)))

    assert [outcome.accepted[0].seq for (outcome,), _ in replies] == [2, 3, 4, 5, 6]
    assert len(await backend.items(ONE, 0, 0, 10)) == 6
