"""Handlers that block the thread, or use the real clock or real randomness, are found and named."""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from random import randint
from time import monotonic as early_bound
from typing import Any

import pytest

from durable_primitives import Queue, QueueExecuteContext
from durable_primitives.testing import EscapedSimulationError, SimulationWarning, create_test_primitives
from durable_primitives.testing.simulation import escapes

MEANT = random.Random(0)


async def handle(do: Callable[[], Any], **options: Any) -> None:
    """Run a handler that does something."""

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        do()

    await play(execute, **options)


async def play(execute: Callable[[QueueExecuteContext[str]], Any], **options: Any) -> None:
    queue = Queue.make("q", event_schema=str, execute=execute)
    async with create_test_primitives(queue, **options) as t:
        await t.client.queue(queue).enqueue("a")
        await t.run_until_idle()


@pytest.mark.parametrize(
    ("do", "named"),
    [
        (lambda: [time.time()], r"time\.time"),
        (lambda: [time.monotonic_ns()], r"time\.monotonic_ns"),
        (lambda: [early_bound()], r"time\.monotonic"),
        (lambda: datetime.datetime.now(datetime.UTC), r"datetime\.now"),
        (lambda: [datetime.date.today()], r"date\.today"),
        (lambda: [random.random()], r"random\.random"),
        (lambda: randint(1, 6), r"random\.randint"),
        (lambda: random.choice([1, 2]), r"random\.choice"),
        (lambda: [uuid.uuid4()], r"uuid\.uuid4"),
    ],
)
async def test_the_real_clock_and_real_chance_are_named(do: Callable[[], Any], named: str):
    with pytest.warns(SimulationWarning, match=rf"^{named} was called at test_escapes\.py:\d+ in <lambda>: "):
        await handle(do)
    with pytest.raises(EscapedSimulationError, match=rf"^{named} was called at test_escapes\.py"):
        await handle(do, real_world="refuse")
    await handle(do, real_world="allow")


@pytest.mark.parametrize(
    "do",
    [
        lambda: MEANT.random() + MEANT.randint(1, 6),
        lambda: datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC),
        lambda: logging.getLogger("tests").debug("asks for the time by itself"),
        lambda: uuid.uuid5(uuid.NAMESPACE_DNS, "a"),
    ],
)
async def test_what_is_meant_is_let_be(do: Callable[[], Any]):
    await handle(do, real_world="refuse")


async def test_each_place_is_told_once():
    with pytest.warns(SimulationWarning) as told:
        await handle(lambda: [time.time() for _ in range(5)])
    assert len(told) == 1


async def test_a_sleeping_handler_does_not_sleep():
    started = time.perf_counter()
    with pytest.raises(
        EscapedSimulationError, match=r"time\.sleep was called at .*: it blocks the event loop"
    ) as caught:
        await handle(lambda: time.sleep(3600))
    assert "await asyncio.sleep(...)" in caught.value.help
    assert time.perf_counter() - started < 1


async def test_a_plain_function_may_sleep_for_it_runs_in_a_thread():
    await play(lambda ctx: time.sleep(0.001), real_world="refuse")


async def test_a_handler_that_computes_for_too_long_is_named(monkeypatch: pytest.MonkeyPatch):
    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(escapes, "_clock", lambda: next(ticks))
    with pytest.raises(EscapedSimulationError, match=r"the handler of queue:q:0 .* for more than 0\.5 s"):
        await handle(lambda: None)


async def test_a_thread_is_named():
    def start() -> None:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()

    with pytest.warns(SimulationWarning, match=r"^Thread\.start was called at test_escapes\.py:\d+ in start"):
        await handle(start)


async def test_the_network_is_refused():
    raised: list[BaseException] = []

    async def execute(ctx: QueueExecuteContext[str]) -> None:
        try:
            await asyncio.open_connection("127.0.0.1", 1)
        except EscapedSimulationError as error:
            raised.append(error)

    await play(execute)
    assert "test_escapes.py" in str(raised[0])
    assert "resources=" in str(raised[0])


async def test_only_handlers_are_watched():
    queue = Queue.make("q", event_schema=str, execute=lambda ctx: None)
    async with create_test_primitives(queue, real_world="refuse") as t:
        time.time()
        await t.client.queue(queue).enqueue(str(uuid.uuid4()))
        await t.run_until_idle()
