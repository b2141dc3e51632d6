"""A server that answers late, or not at all while its connections stand."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from durable_primitives.errors import BackendUnavailableError
from durable_primitives.kernel.transition import Create, NewItem, Transition
from durable_primitives_redis import RedisBackend

from .conftest import open_backend
from .load import PATIENCE_SECONDS, Load
from .servers import Server

LIVE = Create(status="live")
ONE = "queue:orders:1"


def append(id: str | None) -> Transition:
    return Transition(instance=ONE, at=0, create=LIVE, append=(NewItem(id, b"x"),))


async def test_server_that_hangs_ends_a_call_in_its_time_and_has_no_second_effect(
    make_server: Callable[..., Server], opened: AsyncExitStack
):
    server = make_server()
    backend = await open_backend(RedisBackend(server.url, timeout_s=0.4), opened)
    loop = asyncio.get_running_loop()
    server.pause()
    start = loop.time()

    for _ in range(2):
        with pytest.raises(BackendUnavailableError) as caught:
            await backend.commit([append("a")])
        assert str(caught.value).startswith(f"{server.url} ")
    took = loop.time() - start
    server.resume()

    # Both requests may have reached it, and the first of them twice.
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                (outcome,), _ = await backend.commit([append("a")])
            except BackendUnavailableError:
                continue
            break
    assert outcome.count == 1
    assert len(await backend.items(ONE, 0, 0, 10)) == 1
    assert took < PATIENCE_SECONDS / 4, "a call outlasted its time by far"


async def test_deadline_of_the_caller_is_his_own(make_server: Callable[..., Server]):
    server, load = make_server(), Load(keys=0)
    async with load.application.open(RedisBackend(server.url), worker=False) as running:
        queue = running.client.queue(load.queue)
        server.pause()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await queue.enqueue("a:0", id="a")
        server.resume()
        again = await queue.enqueue("a:0", id="a")
        assert again.duplicate, "what had left arrived"
        assert (await queue.status()).pending == 1


async def test_pauses_of_the_server_under_load_change_nothing(make_server: Callable[..., Server]):
    """Longer than a call waits for its answer before it is sent again."""
    server, load = make_server(), Load()

    async with load.on(RedisBackend(server.url, timeout_s=1.0)):
        for _ in range(3):
            await load.more()
            with server.client() as client:
                client.client_pause(800)
        await load.more()

    load.check()


async def test_connection_to_a_server_that_reads_no_more_is_gone_when_the_backend_is_closed(
    make_server: Callable[..., Server],
):
    """However much of a request has not left yet."""
    server = make_server()
    backend = RedisBackend(server.url, timeout_s=0.4)
    await backend.open("app")
    server.pause()
    with pytest.raises(BackendUnavailableError):
        await backend.commit([Transition(instance=ONE, at=0, create=LIVE, append=(NewItem("a", bytes(20 << 20)),))])
    await backend.close()
    await asyncio.sleep(0)  # a transport closes its socket in the next turn of the loop

    transports = [one for one in gc.get_objects() if isinstance(one, asyncio.Transport)]
    left = [one for one in transports if _port_of(one) == server.port]
    server.resume()
    assert left == []


def _port_of(transport: asyncio.Transport) -> int | None:
    """Where an open one leads to."""
    sock = transport.get_extra_info("socket")
    return None if sock is None or sock.fileno() < 0 else int(sock.getpeername()[1])
