"""A sleeping worker hears of nearer work at once, and asks for nothing while there is none."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import redis

from durable_primitives.kernel.transition import ClaimRequest, Create, Due, NewItem, Transition
from durable_primitives_redis import RedisBackend
from durable_primitives_redis.backend import RECHECK_SECONDS

from .conftest import open_backend
from .proxy import Proxy


def append(number: int) -> Transition:
    return Transition(
        instance=f"queue:orders:{number}", at=0, create=Create(status="live"), append=(NewItem(None, b"x"),)
    )


async def sleeping(backend: RedisBackend) -> asyncio.Task[None]:
    """A wait that nothing ends so far."""
    await backend.wait(0.0)
    await backend.wait(0.0)
    await backend.next_due()
    return asyncio.ensure_future(backend.wait(3600.0))


async def test_message_of_another_process_ends_the_wait(
    backend: RedisBackend, url: str, prefix: str, opened: AsyncExitStack
):
    other = await open_backend(RedisBackend(url, prefix=prefix), opened)
    loop = asyncio.get_running_loop()
    delays = []
    for number in range(50):
        # Each in a store that has nothing due: the earlier ones are taken far away.
        waiting = await sleeping(backend)
        start = loop.time()
        await other.commit([append(number)])
        await waiting
        delays.append(loop.time() - start)
        await other.commit([Transition(instance=f"queue:orders:{number}", at=0, erase=True)])

    # Far below the time after which a worker looks for itself; the figure is measured by the benchmarks.
    assert max(delays) < RECHECK_SECONDS / 4


async def test_due_time_further_away_wakes_nobody(backend: RedisBackend, url: str, prefix: str, opened: AsyncExitStack):
    other = await open_backend(RedisBackend(url, prefix=prefix, partitions=16), opened)
    near = Transition(instance="queue:orders:1", at=0, create=Create(status="live"), dues=(Due("run", "set", 1_000),))
    await other.commit([near])
    waiting = await sleeping(backend)

    await other.commit([Transition(instance="queue:orders:1", at=0, dues=(Due("other", "set", 2_000),))])
    await other.commit([Transition(instance="queue:orders:1", at=0, dues=(Due("third", "set", 500),))])
    await waiting

    assert await backend.next_due() == 500


async def test_lost_subscription_is_made_again_and_the_worker_looks(
    url: str, prefix: str, proxy: Proxy, opened: AsyncExitStack
):
    backend = await open_backend(RedisBackend(proxy.url, prefix=prefix), opened)
    waiting = await sleeping(backend)

    proxy.break_connections()
    await waiting

    other = await open_backend(RedisBackend(url, prefix=prefix), opened)
    waiting = asyncio.ensure_future(backend.wait(3600.0))
    await other.commit([append(1)])
    await waiting
    assert await backend.next_due() == 0


async def test_alarm_that_comes_nearer_and_is_not_due_rings_when_it_is(
    backend: RedisBackend, url: str, prefix: str, opened: AsyncExitStack
):
    other = await open_backend(RedisBackend(url, prefix=prefix), opened)
    waiting = await sleeping(backend)
    soon = int(backend.time() * 1000) + 300
    later = soon + 3_600_000

    for due in (later, soon):
        run = Transition(
            instance=f"queue:orders:{due}", at=0, create=Create(status="live"), dues=(Due("run", "set", due),)
        )
        await other.commit([run])
    await waiting

    assert soon <= backend.time() * 1000 < soon + RECHECK_SECONDS * 1000 / 4


async def test_end_of_a_lease_is_told_only_if_it_comes_before_workers_look_for_themselves(
    backend: RedisBackend, url: str
):
    with redis.Redis.from_url(url) as client:

        def messages() -> int:
            return int(client.info("commandstats").get("cmdstat_publish", {"calls": 0})["calls"])

        look_ms = int(RECHECK_SECONDS * 1000)
        for lease_ms, told in ((3 * look_ms, 0), (look_ms + 2_000, 1), (2_000, 1)):
            before = messages()
            claim = ClaimRequest(owner="one", at=int(backend.time() * 1000), lease_ms=lease_ms, limit=1, take=1)
            outcomes, claims = await backend.commit([append(1)], claim)

            assert outcomes[0].verdict == "applied"
            assert len(claims) == 1
            assert messages() - before == told
            await backend.commit([Transition(instance="queue:orders:1", at=0, erase=True)])


async def test_waiting_costs_the_server_nothing(backend: RedisBackend, url: str):
    await backend.wait(0.0)
    await backend.wait(0.0)
    with redis.Redis.from_url(url) as client:

        def commands() -> int:
            return int(client.info("stats")["total_commands_processed"])

        commands()
        before = commands()
        await backend.wait(0.5)
        # The look itself is one command.
        assert commands() - before == 1
