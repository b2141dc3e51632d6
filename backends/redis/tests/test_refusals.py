"""What the server refuses while it runs, by cause."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from durable_primitives.errors import StorageFullError, StorageReadOnlyError
from durable_primitives.kernel.transition import ClaimRequest, Create, Guard, NewItem, Outcome, Removal, Transition
from durable_primitives_redis import RedisBackend

from .conftest import open_backend
from .servers import Server

ONE = "queue:orders:1"


def append(size: int = 10) -> Transition:
    return Transition(instance=ONE, at=0, create=Create(status="live"), append=(NewItem("a", b"x" * size),))


async def ended(backend: RedisBackend, *appended: NewItem) -> Outcome:
    """What becomes of the end of the item that is taken here, and of what comes with it."""
    _, (claim,) = await backend.commit([], ClaimRequest(owner="me", at=0, lease_ms=60_000, limit=1, take=1))
    guard = Guard(token=claim.record.token)
    gone = tuple(Removal(item, "done", 10) for item in claim.items)
    ((outcome,), _) = await backend.commit([Transition(instance=ONE, at=0, guard=guard, remove=gone, append=appended)])
    return outcome


async def test_full_server_refuses_new_work_and_keeps_the_old(
    make_server: Callable[..., Server], opened: AsyncExitStack
):
    server = make_server()
    backend = await open_backend(RedisBackend(server.url), opened)
    await backend.commit([append()])
    with server.client() as client:
        client.config_set("maxmemory", "1mb")

        with pytest.raises(StorageFullError) as caught:
            await backend.commit([Transition(instance=ONE, at=0, append=(NewItem("b", b"x"),))])

        client.config_set("maxmemory", "0")
    assert caught.value.outcome == "not_applied"
    (item,) = await backend.items(ONE, 0, 0, 10)
    assert item.id == "a"
    outcome = await ended(backend, NewItem("b", b"x"))
    assert (outcome.verdict, outcome.count) == ("applied", 1)


async def test_work_in_hand_ends_on_a_full_server(make_server: Callable[..., Server], opened: AsyncExitStack):
    server = make_server()
    backend = await open_backend(RedisBackend(server.url), opened)
    await backend.commit([append()])
    with server.client() as client:
        client.config_set("maxmemory", "1mb")

        outcome = await ended(backend)

    assert (outcome.verdict, outcome.count) == ("applied", 0)


async def test_replica_accepts_no_work(make_server: Callable[..., Server], opened: AsyncExitStack):
    server = make_server()
    backend = await open_backend(RedisBackend(server.url), opened)
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")

    with pytest.raises(StorageReadOnlyError) as caught:
        await backend.commit([append()])

    assert caught.value.outcome == "not_applied"
    assert "is a replica" in str(caught.value)


async def test_malformed_batch_changes_nothing(backend: RedisBackend, url: str, prefix: str):
    import redis

    from durable_primitives_redis import scripts, wire

    request = wire.CommitRequest("stem", "client", 1, None, (0,), (0,), (), (append(),))
    cut = wire.encode(request)[:-20]
    with redis.Redis.from_url(url) as client:
        before = client.dbsize()
        with pytest.raises(redis.ResponseError):
            client.eval(scripts.COMMIT.source, 1, f"{{{prefix}:0}}", cut, "channel", "")
        assert client.dbsize() == before
