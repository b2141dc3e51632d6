"""What is left of an acknowledged commit when the server is killed, by what it was told to keep."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from durable_primitives.errors import BackendUnavailableError
from durable_primitives.kernel.transition import Create, NewItem, Transition
from durable_primitives_redis import RedisBackend

from .conftest import open_backend
from .servers import Server

ONE = "queue:orders:1"


def append(id: str) -> Transition:
    return Transition(instance=ONE, at=0, create=Create(status="live"), append=(NewItem(id, b"x"),))


async def ids(backend: RedisBackend) -> list[str | None]:
    return [item.id for item in await backend.items(ONE, 0, 0, 10)]


async def killed_and_started(server: Server, backend: RedisBackend) -> list[str | None]:
    """What is there afterwards.  Those who call first are told if something is missing."""
    server.stop(signal.SIGKILL)
    server.start()
    with suppress(BackendUnavailableError):
        return await ids(backend)
    return await ids(backend)


async def test_killed_server_that_syncs_always_has_everything_acknowledged(
    make_server: Callable[..., Server], opened: AsyncExitStack
):
    server = make_server(appendonly="yes", appendfsync="always")
    backend = await open_backend(RedisBackend(server.url), opened)
    await backend.commit([append("a")])
    await backend.commit([append("b")])

    assert await killed_and_started(server, backend) == ["a", "b"]


async def test_killed_server_that_syncs_every_second_has_what_came_first(
    make_server: Callable[..., Server], opened: AsyncExitStack
):
    server = make_server(appendonly="yes", appendfsync="everysec")
    backend = await open_backend(RedisBackend(server.url), opened)
    await backend.commit([append("a")])
    await backend.commit([append("b")])

    assert await killed_and_started(server, backend) in ([], ["a"], ["a", "b"])


async def test_killed_server_with_snapshots_has_what_the_last_one_saw(
    make_server: Callable[..., Server], opened: AsyncExitStack
):
    server = make_server()
    backend = await open_backend(RedisBackend(server.url), opened)
    await backend.commit([append("a")])
    with server.client() as client:
        client.save()
    await backend.commit([append("b")])

    assert await killed_and_started(server, backend) == ["a"]


async def test_killed_server_without_persistence_has_nothing(
    make_server: Callable[..., Server], opened: AsyncExitStack
):
    server = make_server()
    backend = await open_backend(RedisBackend(server.url), opened)
    await backend.commit([append("a")])

    assert await killed_and_started(server, backend) == []


async def test_promoted_replica_has_what_had_reached_it(make_server: Callable[..., Server], opened: AsyncExitStack):
    primary, replica = make_server(repl_diskless_sync_delay="0"), make_server()
    with replica.client() as client:
        client.replicaof("127.0.0.1", str(primary.port))
    backend = await open_backend(RedisBackend(primary.url), opened)
    await backend.commit([append("a")])
    with primary.client() as client:
        # WAIT is about the writes of its own connection.
        client.set("mark", "x")
        assert client.wait(1, 4000) == 1
    with replica.client() as client:
        client.replicaof("NO", "ONE")
    await backend.commit([append("b")])
    primary.stop(signal.SIGKILL)

    promoted = await open_backend(RedisBackend(replica.url), opened)

    assert await ids(promoted) == ["a"]
    await promoted.commit([append("c")])
    assert await ids(promoted) == ["a", "c"]
