"""A store whose bytes went bad: whoever meets them parks, buries or refuses, and everything else goes on (law 6)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_primitives import Buffer, Continuous, Queue, RetryPolicy
from durable_primitives.errors import DurablePrimitivesError
from durable_primitives.kernel.record import NEVER, Record
from durable_primitives.kernel.transition import Batching, Burial, NewItem, Put, Transition
from durable_primitives.retry import Backoff
from durable_primitives.testing.simulation import Simulation
from tests.fuzz.damage import damaged
from tests.fuzz.test_stored_bytes import BATCH, FAILURE


class Event(msgspec.Struct):
    number: int
    text: str = ""


async def work(ctx: Any) -> None:
    if ctx.attempt == 1:
        raise ValueError("the first try fails")


def count(ctx: Any) -> int:
    return (ctx.state or 0) + 1


RETRY = RetryPolicy(max_attempts=2, backoff=Backoff.constant("1 minute"))
job = Continuous.make("job", state_schema=Event, schedule=Continuous.every("5 minutes"), execute=work, retry=RETRY)
listed = Buffer.make("listed", event_schema=Event, flush_after="2 minutes", execute=work, retry=RETRY)
counted = Buffer.make(
    "counted", event_schema=Event, state_schema=int, on_event=count, flush_after="2 minutes", execute=work, retry=RETRY
)
queue = Queue.make("queue", event_schema=Event, concurrency=1, execute=work, retry=RETRY)

BATCHING = Batching(None, 120_000)

DEFINITIONS = (job, listed, counted, queue)


def populated(seconds: int) -> Simulation:
    """Every primitive has work, in all stages of its life."""
    simulation = Simulation(*DEFINITIONS, workers=1).open()
    client = simulation.client

    async def fill() -> None:
        await client.continuous(job).start("1", Event(1))
        for number in range(3):
            await client.buffer(listed).add("1", Event(number))
            await client.buffer(counted).add("1", Event(number))
            await client.queue(queue).enqueue(Event(number), partition_key="lane" if number else None)

    simulation.run(fill())
    simulation.advance(f"{seconds} seconds")
    return simulation


def damage(simulation: Simulation, record: Record, data: bytes) -> None:
    put = Put(status=record.status, data=data, held=record.held, linger_ms=record.linger_ms)
    simulation.store.commit("the disk", [Transition(instance=record.instance, at=simulation.clock_ms, put=put)], None)


def calls(simulation: Simulation) -> list[Callable[[], Awaitable[Any]]]:
    client = simulation.client
    one, two, three, four = (
        client.continuous(job),
        client.buffer(listed),
        client.buffer(counted),
        client.queue(queue),
    )
    return [
        lambda: one.status("1"),
        lambda: one.get_state("1"),
        lambda: one.trigger("1"),
        lambda: one.pause("1"),
        lambda: one.resume("1"),
        lambda: one.start("1", Event(5)),
        lambda: one.start("1", Event(5), if_exists="restart"),
        lambda: one.stop("1"),
        *(
            call
            for buffer in (two, three)
            for call in (
                lambda buffer=buffer: buffer.status("1"),
                lambda buffer=buffer: buffer.get_state("1"),
                lambda buffer=buffer: buffer.add("1", Event(9)),
                lambda buffer=buffer: buffer.flush("1"),
                lambda buffer=buffer: buffer.clear("1"),
                lambda buffer=buffer: buffer.dead_letters.list("1"),
            )
        ),
        four.status,
        lambda: four.enqueue(Event(9)),
        four.dead_letters.list,
        four.clear,
    ]


def ask(simulation: Simulation, call: Callable[[], Awaitable[Any]]) -> None:
    async def asked() -> None:
        try:
            await call()
        except DurablePrimitivesError:
            pass

    simulation.run(asked())


@pytest.fixture
def errors(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the library calls a defect of its own."""
    caplog.set_level(logging.ERROR)
    return lambda: [record.getMessage() + str(getattr(record, "error", "")) for record in caplog.records]


SHARED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings().max_examples // 2
)


@SHARED
@given(data=st.data())
def test_a_record_that_went_bad_parks_its_instance_and_nobody_else(
    data: st.DataObject, errors: Callable[[], list[str]]
):
    with closing(populated(data.draw(st.sampled_from([0, 90, 130, 200, 400]), label="seconds"))) as simulation:
        record = data.draw(st.sampled_from(simulation.store.records()), label="record")
        bad = data.draw(damaged(record.data), label="data")
        damage(simulation, record, bad)
        if data.draw(st.booleans(), label="worker first"):
            simulation.advance("2 minutes")
        for call in data.draw(st.lists(st.sampled_from(calls(simulation)), max_size=3), label="calls"):
            ask(simulation, call)
        simulation.advance("20 minutes")

        assert errors() == []
        assert simulation.store.defects == []
        for other in simulation.store.records():
            assert other.instance == record.instance or other.status != "failed"


@SHARED
@given(data=st.data())
def test_an_event_that_went_bad_becomes_a_dead_letter_and_the_others_are_run(
    data: st.DataObject, errors: Callable[[], list[str]]
):
    codec = data.draw(st.sampled_from([queue.codec, listed.event]), label="of")
    whole = codec.encode(Event(7, "text"))
    bad = data.draw(damaged(whole), label="payload")
    with closing(populated(0)) as simulation:
        instance = "queue:queue:0" if codec is queue.codec else "buffer:listed:1"
        segment = 0 if codec is queue.codec else 1
        item = NewItem("bad", bad, due=0 if segment == 0 else NEVER)
        append = Transition(
            instance=instance, at=simulation.clock_ms, append=(item,), batching=None if segment == 0 else BATCHING
        )
        simulation.store.commit("the disk", [append], None)
        for call in data.draw(st.lists(st.sampled_from(calls(simulation)), max_size=3), label="calls"):
            ask(simulation, call)
        simulation.advance("20 minutes")

        assert errors() == []
        assert simulation.store.defects == []
        assert simulation.store.items(instance, segment) == []


@SHARED
@given(data=st.data())
def test_a_dead_letter_that_went_bad_can_be_looked_at_run_again_and_deleted(
    data: st.DataObject, errors: Callable[[], list[str]]
):
    which = data.draw(st.sampled_from(["queue", "buffer"]), label="of")
    whole = BATCH if which == "buffer" else queue.codec.encode(Event(7))
    letter = Burial(
        id="bad" if which == "queue" else "buffer:listed:1/1.1/0000000001",
        item=None,
        payload=data.draw(damaged(whole), label="payload"),
        attempts=2,
        error=data.draw(damaged(FAILURE.encode()).map(lambda text: text.decode(errors="replace")), label="error"),
        count=1,
        expires_at=NEVER,
    )
    with closing(populated(0)) as simulation:
        instance = "queue:queue:0" if which == "queue" else "buffer:listed:1"
        simulation.store.commit(
            "the disk", [Transition(instance=instance, at=simulation.clock_ms, bury=(letter,))], None
        )
        client = simulation.client
        letters = client.queue(queue).dead_letters if which == "queue" else client.buffer(listed).dead_letters
        whose = () if which == "queue" else ("1",)
        found = simulation.run(letters.list(*whose)).items
        assert [one.attempts for one in found] == [2]

        ask(simulation, lambda: letters.redrive(letter.id))
        simulation.advance("20 minutes")
        ask(simulation, lambda: letters.list(*whose))
        ask(simulation, lambda: letters.discard(letter.id))

        assert errors() == []
        assert simulation.store.defects == []
