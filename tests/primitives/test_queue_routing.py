"""Which instance an event goes to that says neither an id nor a key."""

from __future__ import annotations

from typing import Any

import pytest

from durable_primitives.primitives.queue import Queue, QueueExecuteContext
from tests.primitives.driver import Driver


async def handler(ctx: QueueExecuteContext[str]) -> None:
    """Does nothing."""


async def client_that_draws(draw: float) -> Any:
    """The client of a queue with five instances, in a process whose next draw is this."""
    queue = Queue.make("q", event_schema=str, execute=handler, concurrency=5)
    driver = await Driver(queue).open()
    driver.runtime.random = lambda: draw  # type: ignore[method-assign]
    return driver.client(queue)


@pytest.mark.parametrize(("draw", "first"), [(0.0, 0), (0.19, 0), (0.2, 1), (0.5, 2), (0.99, 4)])
async def test_events_without_id_and_key_go_round_from_where_the_draw_says(draw: float, first: int):
    client = await client_that_draws(draw)

    indexes = [(await client.enqueue("e")).instance_index for _ in range(12)]

    assert indexes == [(first + n) % 5 for n in range(12)]


async def test_a_batch_goes_on_where_the_last_event_went():
    client = await client_that_draws(0.5)

    await client.enqueue("e")
    many = await client.enqueue_many(["e"] * 6)

    assert [one.instance_index for one in many] == [3, 4, 0, 1, 2, 3]


async def test_events_with_an_id_or_a_key_take_no_turn():
    client = await client_that_draws(0.0)

    for n in range(3):
        await client.enqueue("e", id=f"id-{n}")
        await client.enqueue("e", partition_key=f"key-{n}")

    assert (await client.enqueue("e")).instance_index == 0
