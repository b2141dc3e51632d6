"""The server goes away, comes back, and comes back with less than it had."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from durable_primitives import Queue, QueueExecuteContext, create_durable_primitives
from durable_primitives.errors import BackendUnavailableError
from durable_primitives_redis import RedisBackend

from .load import PATIENCE_SECONDS, Load
from .servers import Server


@pytest.mark.parametrize(
    ("appendfsync", "number"),
    [("always", signal.SIGKILL), ("always", signal.SIGTERM), ("everysec", signal.SIGTERM)],
    ids=["always, killed", "always, stopped", "everysec, stopped"],
)
async def test_server_restarted_under_load_loses_nothing(
    appendfsync: str, number: signal.Signals, make_server: Callable[..., Server]
):
    server, load = make_server(appendonly="yes", appendfsync=appendfsync), Load()

    async with load.on(RedisBackend(server.url)):
        for _ in range(3):
            await load.more()
            await asyncio.to_thread(server.stop, number)
            await asyncio.to_thread(server.start)
        await load.more()

    load.check()


async def test_log_without_its_end_is_a_store_as_it_was_before(make_server: Callable[..., Server]):
    """What ``everysec`` allows a machine to lose is gone, cut anywhere; of each key there are the first events."""
    server, load = make_server(appendonly="yes", appendfsync="everysec"), Load()
    async with load.on(RedisBackend(server.url), worker=False):
        await load.more(run=False)
        server.pause()
        size, safe = server.log_size(), dict(load.acknowledged)
        server.resume()
        await load.more(run=False)

    server.stop(signal.SIGKILL)
    server.cut_log(size + 1500)
    server.start()
    await load.finish(RedisBackend(server.url))

    assert load.overlaps == []
    for key, numbers in load.ran.items():
        assert numbers == list(range(len(numbers)))
        assert safe[key] <= len(numbers) <= load.acknowledged[key]
    assert load.begun < load.sent, "nothing was lost: the test tests nothing"


@pytest.mark.parametrize("cut", [True, False], ids=["power failed", "killed"])
async def test_worker_goes_on_with_a_store_that_has_forgotten_the_last_moments(
    cut: bool, make_server: Callable[..., Server]
):
    """What it has in hand is of a future that the store does not know.

    Killed under ``everysec`` a server may lose a moment too: it answers while its log waits for the disk.
    """
    server, load = make_server(appendonly="yes", appendfsync="everysec"), Load()
    async with load.on(RedisBackend(server.url)):
        await load.more()
        server.pause()
        size, safe = server.log_size(), dict(load.acknowledged)
        server.resume()
        await load.more()
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        if cut:
            server.cut_log(size + 1500)
        await asyncio.to_thread(server.start)
        await load.more()
        after = dict(load.acknowledged)
        await load.more(200)

    async with load.application.connect(RedisBackend(server.url)) as client:
        status = await client.queue(load.queue).status()
        indexes = [await client.queue(load.queue).instance_status(n) for n in range(2)]
    assert (status.pending, status.running, status.dead) == (0, 0, 0)
    assert [(one.pending, one.running) for one in indexes] == [(0, 0), (0, 0)]
    for key, numbers in load.ran.items():
        # Some of the moments in between are lost, and some of what was done in them was done again.
        kept = {*range(safe[key] * cut), *range(after[key], load.acknowledged[key])}
        assert kept <= set(numbers) <= set(range(load.acknowledged[key]))
        late = [number for number in numbers if number >= after[key]]
        assert late == list(range(after[key], load.acknowledged[key])), f"{key} ran out of order"
    load.check_refusals()


async def test_calls_fail_while_the_server_is_away_and_the_worker_recovers_by_itself(
    make_server: Callable[..., Server],
):
    server = make_server(appendonly="yes", appendfsync="always")
    begun: list[str] = []
    goes_on, holds = asyncio.Event(), asyncio.Event()

    async def hold(ctx: QueueExecuteContext[str]) -> None:
        begun.append(ctx.event)
        holds.set()
        await goes_on.wait()

    work = Queue.make("work", event_schema=str, execute=hold)
    async with create_durable_primitives(work).open(RedisBackend(server.url, timeout_s=0.5)) as running:
        queue = running.client.queue(work)
        await queue.enqueue("held", id="held")
        await holds.wait()
        server.stop(signal.SIGKILL)
        outcomes = set()
        for _ in range(3):
            with pytest.raises(BackendUnavailableError) as caught:
                await queue.enqueue("late", id="late")
            assert str(caught.value).startswith(f"{server.url} ")
            assert "\n" not in str(caught.value)
            outcomes.add(caught.value.outcome)
        assert "not_applied" in outcomes
        server.start()
        goes_on.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await queue.enqueue("late", id="late")
                except BackendUnavailableError:
                    continue
                break
            await queue.drain()
        assert (await queue.status()).processed == 2

    assert begun == ["held", "late"], "the lease held, and so nothing ran twice"
