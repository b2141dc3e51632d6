"""What a call that failed says of itself: `not_applied` only when that is known of all its sendings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
import redis

from durable_primitives.errors import BackendUnavailableError, StorageError
from durable_primitives.kernel.transition import Create, NewItem, Transition
from durable_primitives_redis import RedisBackend

from .conftest import open_backend
from .proxy import Proxy
from .servers import Server

ONE = "queue:orders:1"
PASSWORD = "secret"

REFUSALS: dict[str, Callable[[redis.Redis], object]] = {
    "a right is taken away": lambda server: server.acl_setuser("default", commands=["-evalsha"]),
    "the script goes, and the right to bring it back": lambda server: (
        server.script_flush(),
        server.acl_setuser("default", commands=["-script|load"]),
    ),
}

CHANGES: dict[str, Callable[[redis.Redis], object]] = {
    "its memory is full": lambda server: server.config_set("maxmemory", "1mb"),
    "it is a replica now": lambda server: server.replicaof("127.0.0.1", "1"),
}


def append(id: str | None = None) -> Transition:
    return Transition(instance=ONE, at=0, create=Create(status="live"), append=(NewItem(id, b"x"),))


@pytest.fixture
async def server(make_server: Callable[..., Server]) -> Server:
    return make_server(requirepass=PASSWORD)


@pytest.fixture
async def way(server: Server, opened: AsyncExitStack) -> Proxy:
    """To the server, and it can be disturbed."""
    return await opened.enter_async_context(Proxy(server.url))


@pytest.fixture
async def disturbed(way: Proxy, opened: AsyncExitStack) -> RedisBackend:
    backend = await open_backend(RedisBackend(way.url.replace("//", f"//:{PASSWORD}@")), opened)
    await backend.commit([append()])  # from here on the server knows the script
    return backend


def stored(client: redis.Redis) -> int:
    """How many events the server has."""
    (key,) = client.keys("*items*")
    return int(client.hlen(key))


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refused_after_it_was_sent_before_is_unknown(
    refusal: str, server: Server, way: Proxy, disturbed: RedisBackend
):
    with server.client() as client:
        way.next("lose reply", then=lambda: REFUSALS[refusal](client))

        with pytest.raises(StorageError) as caught:
            await disturbed.commit([append()])

        assert way.lost == 1
        assert caught.value.outcome == "unknown"
        assert stored(client) == 2


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refused_at_its_first_sending_is_not_applied(refusal: str, server: Server, disturbed: RedisBackend):
    with server.client() as client:
        REFUSALS[refusal](client)

        with pytest.raises(StorageError) as caught:
            await disturbed.commit([append()])

        assert caught.value.outcome == "not_applied"
        assert stored(client) == 1


async def test_refused_login_says_of_each_waiting_call_whether_it_was_sent(
    server: Server, way: Proxy, disturbed: RedisBackend
):
    outcomes: list[str] = []

    async def commit() -> None:
        with pytest.raises(BackendUnavailableError) as caught:
            await disturbed.commit([append()])
        outcomes.append(caught.value.outcome)

    with server.client() as client:
        way.next("lose reply", then=lambda: client.config_set("requirepass", "another"))
        await commit()
        await commit()

    assert outcomes == ["unknown", "not_applied"]


@pytest.mark.parametrize("change", CHANGES)
async def test_server_that_takes_no_more_writes_answers_what_it_did_before(
    change: str, server: Server, way: Proxy, disturbed: RedisBackend
):
    with server.client() as client:
        way.next("lose reply", then=lambda: CHANGES[change](client))

        ((outcome,), _) = await disturbed.commit([append("a")])

    assert way.lost == 1
    assert (outcome.verdict, [item.id for item in await disturbed.items(ONE, 0, 0, 10)]) == ("applied", [None, "a"])
