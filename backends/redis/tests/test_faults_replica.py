"""The primary is lost and its replica takes over: what a replica had not been given yet is lost, and nothing more."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

from durable_primitives.errors import StorageReadOnlyError
from durable_primitives_redis import RedisBackend

from .load import Load
from .proxy import Proxy
from .servers import Server


def replica_of(primary: Server, replica: Server) -> None:
    """Returns when it has everything."""
    with replica.client() as client:
        client.replicaof("127.0.0.1", str(primary.port))
    with primary.client() as client:
        # The first write that it acknowledges comes after all that there was before.
        client.set("replica-test", 1)
        while not client.wait(1, 1000):
            pass


async def test_replica_that_had_everything_goes_on_with_everything(
    make_server: Callable[..., Server], opened: AsyncExitStack
):
    # It would wait for further replicas.
    primary, replica, load = make_server(repl_diskless_sync_delay="0"), make_server(), Load()
    await asyncio.to_thread(replica_of, primary, replica)
    proxy = await opened.enter_async_context(Proxy(primary.url))

    async with load.on(RedisBackend(proxy.url)):
        await load.more()
        with primary.client() as client:
            # The primary takes nothing more: what it acknowledged, the replica gets.
            client.client_pause(60_000, all=False)
            while not client.wait(1, 1000):
                pass
        proxy.redirect(replica.url)
        # It says that it is none, until it is.
        async with asyncio.timeout(60):
            while not any(isinstance(error, StorageReadOnlyError) for error in load.refusals):
                await asyncio.sleep(0)
        primary.stop(signal.SIGKILL)
        with replica.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        await load.more()

    load.check()


async def test_replica_that_is_behind_is_a_store_as_it_was_before(
    make_server: Callable[..., Server], opened: AsyncExitStack
):
    # It would wait for further replicas.
    primary, replica, load = make_server(repl_diskless_sync_delay="0"), make_server(), Load()
    await asyncio.to_thread(replica_of, primary, replica)
    proxy = await opened.enter_async_context(Proxy(primary.url))
    async with load.on(RedisBackend(proxy.url), worker=False):
        await load.more(run=False)
        safe = dict(load.acknowledged)
        with primary.client() as client:
            client.set("replica-test", 2)
            while not client.wait(1, 1000):
                pass
        # From here on the primary is alone, and so is what it acknowledges.
        with replica.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        await load.more(run=False)

    primary.stop(signal.SIGKILL)
    await load.finish(RedisBackend(replica.url))

    assert load.overlaps == []
    for key, numbers in load.ran.items():
        assert numbers == list(range(len(numbers)))
        assert safe[key] <= len(numbers) <= load.acknowledged[key]
    assert load.begun < load.sent, "nothing was lost: the test tests nothing"
