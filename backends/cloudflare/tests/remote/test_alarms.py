"""The laws of the alarm: each rule of the host has a test that fails without it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from durable_primitives.errors import PayloadTooLargeError
from durable_primitives.kernel.transition import ClaimRequest, Create, Due, NewItem, Transition
from durable_primitives.spi import SystemRuntime
from durable_primitives_cloudflare.remote import RemoteBackend

from .conftest import open_backend
from .engine import Engine, accept, fail
from .host import Host

LIVE = Create(status="live")
QUICK = {"least: 5_000": "least: 20"}
"""The host calls again after so many milliseconds, then after twice as many, and so on."""


def now() -> int:
    return SystemRuntime().now()


def due_at(at: int, instance: str = "continuous:a:1") -> Transition:
    return Transition(instance=instance, at=at, create=LIVE, dues=(Due("run", "set", at),))


def nothing_due(instance: str = "continuous:a:1") -> Transition:
    return Transition(instance=instance, at=now(), dues=(Due("run", "clear"),))


async def store_of(host: Host, prefix: str, opened: AsyncExitStack) -> RemoteBackend:
    """A store whose worker does not listen: the test takes the calls."""
    return await open_backend(host.backend(prefix, listen=None), opened)


NOW_AND_AGAIN = {
    "least: 5_000, most: 15 * 60_000": "least: 0, most: 0",
    "LOST_AFTER_MS = 10_000": "LOST_AFTER_MS = 1e15",
}
"""A host that asks for its next alarm now, from within the alarm, and that heals nothing."""


async def test_a_thousand_alarms_for_now_in_a_row(make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack):
    """Each is set while the one before it fires, for the same moment: the platform takes two of those for one."""
    host = make_host(changes=NOW_AND_AGAIN, env={"CALLBACK_URL": ""})
    backend = await store_of(host, prefix, opened)
    await backend.commit([due_at(now())])

    async with asyncio.timeout(60):
        while (await backend.usage()).alarms < 1000:
            await asyncio.sleep(0.01)


async def test_each_call_may_make_the_next_one(make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack):
    """The engine makes something due while it is being called, a hundred times in a row."""
    host = make_host()
    backend = await store_of(host, prefix, opened)

    async def again(number: int) -> web.Response:
        await backend.commit([nothing_due()])
        if number < 100:
            await backend.commit([due_at(0)])
        return web.Response(status=204)

    async with Engine(host.callback_port, again) as engine:
        await backend.commit([due_at(0)])
        await engine.until_calls(100)

        # None of them was a repetition after a pause.
        assert (await backend.usage()).calls == 100


async def test_an_engine_that_fails_is_called_until_it_does_not(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    """More often than the platform would try an alarm that throws, after which it would be gone."""
    host = make_host(changes=QUICK)
    backend = await store_of(host, prefix, opened)
    async with Engine(host.callback_port, fail) as engine:
        await backend.commit([due_at(now())])
        await engine.until_calls(8)

    async with Engine(host.callback_port, accept) as engine:
        await engine.until_calls(1)


async def test_an_engine_that_is_not_there_is_called_when_it_comes(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    host = make_host(changes=QUICK)
    backend = await store_of(host, prefix, opened)
    await backend.commit([due_at(now())])
    async with asyncio.timeout(60):
        while (await backend.usage()).calls < 8:
            await asyncio.sleep(0.01)

    async with Engine(host.callback_port, accept) as engine:
        await engine.until_calls(1)


async def test_an_alarm_that_fails_is_set_again(make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack):
    """Whatever fails in it: the next one does not depend on the platform, which gives up after seven."""
    first = "this.fired = Math.max("
    host = make_host(changes={**QUICK, first: f"if (this.usage.alarms < 9) throw new Error('a defect'); {first}"})
    backend = await store_of(host, prefix, opened)
    async with Engine(host.callback_port, accept) as engine:
        await backend.commit([due_at(now())])
        await engine.until_calls(1)

        assert (await backend.usage()).alarms >= 9


async def test_an_interrupted_alarm_fires_again(make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack):
    host = make_host(changes=QUICK)
    backend = await store_of(host, prefix, opened)
    hanging = asyncio.Event()

    async def hang(number: int) -> web.Response:
        hanging.set()
        await asyncio.sleep(3600)
        return web.Response(status=204)

    async with Engine(host.callback_port, hang):
        await backend.commit([due_at(now())])
        await asyncio.wait_for(hanging.wait(), 60)
        host.workerd.kill()

    async with Engine(host.callback_port, accept) as engine:
        host.start()
        await engine.until_calls(1)


async def test_an_alarm_survives_a_kill(make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack):
    """Nothing is true because it is in memory."""
    host = make_host()
    backend = await store_of(host, prefix, opened)
    await backend.commit([due_at(now() + 700)])
    host.workerd.kill()

    async with Engine(host.callback_port, accept) as engine:
        host.start()
        await engine.until_calls(1)

    assert await backend.next_due() is not None


LOST = {
    "this.ctx.storage.setAlarm(this.armed);": "if (this.usage.armings > 1) this.ctx.storage.setAlarm(this.armed);",
    "LOST_AFTER_MS = 10_000": "LOST_AFTER_MS = 100",
}
"""A host whose first alarm is lost, as by a defect of the platform."""


async def test_a_lost_alarm_is_found_by_the_next_request(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    host = make_host(changes=LOST)
    backend = await store_of(host, prefix, opened)
    async with Engine(host.callback_port, accept) as engine:
        at = now()
        await backend.commit([due_at(at)])
        while now() < at + 300:
            await asyncio.sleep(0.05)
        assert engine.calls == []

        await backend.next_due()
        await engine.until_calls(1)


async def test_one_alarm_serves_all_instances_and_is_never_early(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    """The one that is set is the earliest; the others follow from what is stored, also those that moved away."""
    host = make_host()
    backend = await store_of(host, prefix, opened)
    called = list[int]()

    async def claim(number: int) -> web.Response:
        called.append(now())
        request = ClaimRequest(owner="worker", at=now(), lease_ms=600_000, limit=10, take=0)
        await backend.commit((), request)
        return web.Response(status=204)

    async with Engine(host.callback_port, claim) as engine:
        start = now()
        for at, instance in ((300, "first"), (600, "second"), (4_000, "last")):
            await backend.commit([due_at(start + at, f"continuous:a:{instance}")])
        await backend.commit([due_at(start + 600, "continuous:a:first")])
        await engine.until_calls(2)

    # The first moved away, and its alarm is not a call.
    assert start + 600 <= called[0]
    assert start + 4_000 <= called[1]


async def test_what_is_due_and_unclaimed_does_not_keep_the_host_awake(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    """Its calls become rarer, and no request hastens them."""
    host = make_host()
    backend = await store_of(host, prefix, opened)
    async with Engine(host.callback_port, accept) as engine:
        await backend.commit([due_at(now() - 3_600_000)])
        await engine.until_calls(1)
        for _ in range(50):
            await backend.next_due()
            await backend.commit([Transition(instance="queue:b:1", at=now(), create=LIVE)])

        assert (await backend.usage()).armings == 2  # for the call, and for the next one


async def test_a_refused_commit_arms_nothing(make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack):
    """The alarm is part of the transaction: what is rolled back wakes nobody."""
    host = make_host()
    backend = await store_of(host, prefix, opened)
    unstorable = NewItem("a", bytes(2_000_001))
    with pytest.raises(PayloadTooLargeError):
        await backend.commit([due_at(now()), Transition(instance="queue:b:1", at=0, create=LIVE, append=(unstorable,))])

    assert await backend.next_due() is None
    assert (await backend.load("continuous:a:1")).record is None
    assert (await backend.usage()).armings == 0
