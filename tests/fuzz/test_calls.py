"""Whatever a caller passes, a call answers or raises one of our errors, and what it refuses changes nothing (law 1)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_primitives import Buffer, Continuous, Queue
from durable_primitives.client import PrimitivesClient
from durable_primitives.errors import DurablePrimitivesError
from durable_primitives.primitives.queue import Enqueue
from durable_primitives.testing.simulation import Simulation
from tests.fuzz.damage import refusal


async def nothing(ctx: Any) -> None: ...


job = Continuous.make("job", state_schema=int, schedule=Continuous.every("1 hour"), execute=nothing)
numbers = Buffer.make("numbers", event_schema=int, max_events=5, execute=nothing)
queue = Queue.make("queue", event_schema=dict[str, int], concurrency=2, execute=nothing)

texts = st.one_of(
    st.text(st.characters(), max_size=20),
    st.sampled_from(["1", "a" * 512, "a" * 513, "é" * 300, "\ud800", "\x00", "a:b", "", " ", "ada", "0:", "x:"]),
)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=8),
    texts,
    st.lists(st.integers(), max_size=2),
    st.dictionaries(texts, st.integers(), max_size=2),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.timedeltas(),
    st.builds(object),
)
ids = texts | anything
"""Mostly texts."""


def numbers_of(values: Any) -> Any:
    return st.one_of(st.integers(-2, 5), st.integers(), values)


def kwargs(**options: Any) -> Any:
    return st.fixed_dictionaries({}, optional=options)


def method(kind: str, path: str) -> Callable[..., Callable[[PrimitivesClient], Awaitable[Any]]]:
    definition = {"continuous": job, "buffer": numbers, "queue": queue}[kind]

    def bound(*args: Any, **options: Any) -> Callable[[PrimitivesClient], Awaitable[Any]]:
        async def call(client: PrimitivesClient) -> Any:
            found: Any = getattr(client, kind)(definition)
            for name in path.split("."):
                found = getattr(found, name)
            return await found(*args, **options)

        return call

    return bound


EVENTS = st.dictionaries(texts, st.integers(), max_size=2) | anything

CALLS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "continuous.start": ((ids, st.integers() | anything), kwargs(if_exists=ids)),
    "continuous.stop": ((ids,), kwargs(reason=ids)),
    "continuous.terminate": ((ids,), kwargs(reason=ids)),
    "continuous.trigger": ((ids,), kwargs()),
    "continuous.pause": ((ids,), kwargs()),
    "continuous.resume": ((ids,), kwargs()),
    "continuous.status": ((ids,), kwargs()),
    "continuous.get_state": ((ids,), kwargs()),
    "continuous.list": ((), kwargs(prefix=ids, status=ids, limit=numbers_of(ids), cursor=ids)),
    "buffer.add": ((ids, st.integers() | anything), kwargs(event_id=ids)),
    "buffer.add_many": ((ids, st.lists(st.integers() | anything, max_size=3)), kwargs()),
    "buffer.flush": ((ids,), kwargs()),
    "buffer.clear": ((ids,), kwargs()),
    "buffer.status": ((ids,), kwargs()),
    "buffer.get_state": ((ids,), kwargs()),
    "buffer.list": ((), kwargs(prefix=ids, limit=numbers_of(ids), cursor=ids)),
    "buffer.dead_letters.list": ((), kwargs(id=ids, limit=numbers_of(ids), cursor=ids)),
    "buffer.dead_letters.get": ((ids,), kwargs()),
    "buffer.dead_letters.redrive": ((ids,), kwargs()),
    "buffer.dead_letters.discard": ((ids,), kwargs()),
    "queue.enqueue": (
        (EVENTS,),
        kwargs(id=ids, partition_key=ids, delay=ids, at=ids, priority=numbers_of(ids)),
    ),
    "queue.enqueue_many": (
        (st.lists(EVENTS | st.builds(Enqueue, EVENTS, id=ids, priority=numbers_of(ids), delay=ids), max_size=3),),
        kwargs(),
    ),
    "queue.cancel": ((ids,), kwargs(partition_key=ids)),
    "queue.pause": ((), kwargs(index=numbers_of(ids))),
    "queue.resume": ((), kwargs(index=numbers_of(ids))),
    "queue.instance_status": ((numbers_of(ids),), kwargs()),
    "queue.dead_letters.list": ((), kwargs(limit=numbers_of(ids), cursor=ids)),
    "queue.dead_letters.get": ((ids,), kwargs()),
    "queue.dead_letters.redrive": ((ids,), kwargs()),
    "queue.dead_letters.discard": ((ids,), kwargs()),
}


@pytest.mark.parametrize("name", CALLS)
@given(data=st.data())
def test_a_call_answers_or_raises_an_error_of_ours(name: str, data: st.DataObject):
    kind, path = name.split(".", 1)
    positional, options = CALLS[name]
    args = [data.draw(one, label=f"argument {index}") for index, one in enumerate(positional)]
    call = method(kind, path)(*args, **data.draw(options, label="options"))

    with Simulation(job, numbers, queue, workers=0) as simulation:
        client = simulation.client

        async def populated() -> None:
            await client.continuous(job).start("ada", 1)
            await client.buffer(numbers).add("ada", 1, event_id="ada")
            await client.queue(queue).enqueue({"x": 1}, id="ada")

        simulation.run(populated())
        before = simulation.store.records()
        error = refusal(DurablePrimitivesError, lambda: simulation.run_call(call(client)))

        assert error is None or simulation.store.records() == before


@pytest.mark.parametrize("name", [name for name in CALLS if name.endswith("list")])
@pytest.mark.parametrize("limit", [2**63 - 1, 2**80])
def test_a_limit_beyond_every_page_is_no_error(name: str, limit: int):
    kind, _, path = name.partition(".")
    with Simulation(job, numbers, queue, workers=0) as simulation:
        page = simulation.run_call(method(kind, path)(limit=limit)(simulation.client))

        assert page.cursor is None
