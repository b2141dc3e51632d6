"""A server whose memory is full: new work is refused by name, and what there is goes on and makes room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
import redis

from durable_primitives import Continuous, ContinuousContext, create_durable_primitives
from durable_primitives.errors import StorageFullError
from durable_primitives.kernel.transition import (
    ClaimRequest,
    Create,
    Guard,
    LeaseRef,
    NewItem,
    Removal,
    Transition,
)
from durable_primitives_redis import RedisBackend

from .conftest import open_backend
from .load import PATIENCE_SECONDS, SHORT_LEASE, Load
from .servers import Server

ONE = "queue:orders:1"


def fill(server: Server) -> None:
    """From now on it has more than it may."""
    with server.client() as client:
        client.config_set("maxmemory", str(int(client.info("memory")["used_memory"]) // 2))


def image(client: redis.Redis) -> dict[bytes, bytes | None]:
    """All that is stored, but for replies."""
    return {key: client.dump(key) for key in client.scan_iter() if b":reply:" not in key}


async def test_full_server_refuses_what_adds_wholly_and_does_the_rest(
    make_server: Callable[..., Server], opened: AsyncExitStack
):
    server = make_server()
    backend = await open_backend(RedisBackend(server.url), opened)
    new = Transition(instance=ONE, at=0, create=Create(status="live"), append=(NewItem("a", b"x"), NewItem("b", b"x")))
    await backend.commit([new])
    fill(server)
    with server.client() as client:
        before = image(client)
        with pytest.raises(StorageFullError) as caught:
            await backend.commit([new, Transition(instance="queue:orders:2", at=0, create=Create(status="live"))])
        assert image(client) == before
    assert caught.value.outcome == "not_applied"
    assert str(caught.value).startswith(f"{server.url} has no memory left (maxmemory)")
    assert "\n" not in str(caught.value)

    _, (claim,) = await backend.commit([], ClaimRequest(owner="me", at=0, lease_ms=1000, limit=5, take=5))
    (renewal,) = await asyncio.to_thread(backend.renew, [LeaseRef(ONE, claim.record.token)], 5000)
    assert renewal.held
    assert [item.id for item in await backend.items(ONE, 0, 0, 10)] == ["a", "b"]
    removals = tuple(Removal(item, "done", 10) for item in claim.items)
    guard = Guard(token=claim.record.token)
    (outcome,), _ = await backend.commit([Transition(instance=ONE, at=1, guard=guard, remove=removals, release="yes")])
    assert (outcome.verdict, outcome.count) == ("applied", 0)
    assert await backend.sweep(100, 100) == 2


async def test_full_server_drains_while_producers_go_on_asking(make_server: Callable[..., Server]):
    """Their calls travel together with the work of the worker, and must not take it down with them."""
    server, load = make_server(), Load()
    async with load.on(RedisBackend(server.url)):
        await load.more()
        fill(server)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not load.refusals or load.begun < load.sent:
                await asyncio.sleep(0)
        with server.client() as client:
            client.config_set("maxmemory", "0")
        await load.more()

    load.check()
    assert all(isinstance(error, StorageFullError) and error.outcome == "not_applied" for error in load.refusals)


async def test_job_goes_on_while_the_server_is_full(make_server: Callable[..., Server]):
    server = make_server()
    ran: asyncio.Queue[int] = asyncio.Queue()

    async def count(ctx: ContinuousContext[int]) -> None:
        ctx.set_state(ctx.state + 1)
        ran.put_nowait(ctx.state)

    job = Continuous.make("job", state_schema=int, schedule=Continuous.every("10ms"), execute=count)
    async with create_durable_primitives(job).open(RedisBackend(server.url), options=SHORT_LEASE) as running:
        await running.client.continuous(job).start("j", 0)
        await ran.get()
        fill(server)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await ran.get() < 10:
                pass
