"""The server's clock is the time: what a machine's own clock says makes no difference."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis

from durable_primitives import Queue, create_durable_primitives
from durable_primitives.spi import AuthorityClock, StoreClock
from durable_primitives.spi.clock import WINDOW_SECONDS
from durable_primitives_redis import RedisBackend

from .conftest import open_backend

HOUR = 3600.0


class Clocks:
    """The machine's two clocks, set by hand."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.monotonic = 1000.0
        patch.setattr("durable_primitives.spi.clock.time.monotonic", lambda: self.monotonic)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def test_fastest_reply_decides(clocks: Clocks):
    clock = StoreClock()
    for delay in (0.010, 0.001, 0.005):
        server = clocks.monotonic + 5_000
        clocks.monotonic += delay
        clock.note(int(server * 1e6))
        assert clock.time() <= clocks.monotonic + 5_000, "never ahead of the server"

    assert clocks.monotonic + 5_000 - clock.time() == pytest.approx(0.001, abs=1e-5)


def test_clock_that_was_set_back_is_followed_after_two_windows(clocks: Clocks):
    clock = StoreClock()
    offset = 9_000.0
    for _ in range(5):
        clock.note(int((clocks.monotonic + offset) * 1e6))
        clocks.monotonic += WINDOW_SECONDS * 0.9
        offset = 5_000.0

    assert clock.time() == pytest.approx(clocks.monotonic + 5_000, abs=1e-3)


def test_bounds_of_long_ago_do_not_count(clocks: Clocks):
    clock = StoreClock()
    clock.note(int((clocks.monotonic + 5_000) * 1e6))
    clocks.monotonic += 600
    clock.note(int((clocks.monotonic + 4_999.9) * 1e6))  # this machine's clock runs fast

    assert clock.time() == pytest.approx(clocks.monotonic + 4_999.9, abs=1e-3)


async def test_backend_has_the_servers_time(
    url: str, prefix: str, opened: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
):
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + HOUR)
    backend = await open_backend(RedisBackend(url, prefix=prefix), opened)

    assert isinstance(backend, AuthorityClock)
    with redis.Redis.from_url(url) as client:
        seconds, micros = client.time()
        earliest = seconds + micros / 1e6
        seen = backend.time()
        seconds, micros = client.time()
    assert earliest - 0.5 < seen <= seconds + micros / 1e6


async def test_worker_and_client_an_hour_apart_agree(url: str, prefix: str, monkeypatch: pytest.MonkeyPatch):
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def execute(ctx: Any) -> None:
        started.set_result(worker.engine.runtime.now())

    queue = Queue.make("mails", event_schema=str, execute=execute)
    application = create_durable_primitives(queue)
    now = time.time
    async with application.open(RedisBackend(url, prefix=prefix)) as worker:
        monkeypatch.setattr(time, "time", lambda: now() - HOUR)
        backend = RedisBackend(url, prefix=prefix)
        async with application.connect(backend) as client:
            accepted_at = int(backend.time() * 1000)
            await client.queue(queue).enqueue("ada", delay="200ms")
            started_at = await asyncio.wait_for(started, 30.0)

    # Two estimates of one clock: the worker waits until its own one says what the client's one asked for.
    assert started_at >= accepted_at + 200
