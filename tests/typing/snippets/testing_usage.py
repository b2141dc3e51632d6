"""What the test kit means to a type checker: clients and assertions know the types of definitions."""

from datetime import datetime
from typing import Any, assert_type

from durable_primitives import (
    Buffer,
    BufferClient,
    BufferExecuteContext,
    Continuous,
    ContinuousClient,
    ContinuousContext,
    PrimitiveEvent,
    PrimitivesClient,
    Queue,
    QueueClient,
    QueueExecuteContext,
)
from durable_primitives.testing import (
    Deviation,
    PendingAlarm,
    TestPrimitives,
    Trace,
    TraceEntry,
    create_test_primitives,
)
from durable_primitives.testing.simulation import Simulation, Swarm


async def tick(ctx: ContinuousContext[int]) -> None: ...
async def send(ctx: QueueExecuteContext[str]) -> None: ...
async def digest(ctx: BufferExecuteContext[list[bytes]]) -> None: ...


job = Continuous.make("job", state_schema=int, schedule=Continuous.every("1 hour"), execute=tick)
mails = Queue.make("mails", event_schema=str, execute=send)
digests = Buffer.make("digests", event_schema=bytes, max_events=3, execute=digest)


async def use() -> None:
    async with create_test_primitives(job, mails, digests, seed=1, real_world="refuse") as t:
        assert_type(t, TestPrimitives)
        assert_type(t.client, PrimitivesClient)
        assert_type(t.client.queue(mails), QueueClient[str])
        assert_type(t.client.buffer(digests), BufferClient[bytes, list[bytes]])
        assert_type(t.client.continuous(job), ContinuousClient[int])
        assert_type(t.now, datetime)
        assert_type(t.events, list[PrimitiveEvent])
        assert_type(t.pending_alarms(), list[PendingAlarm])
        assert_type(await t.run_next(), PendingAlarm | None)
        assert_type(t.assert_enqueued(mails, "a"), list[str])
        assert_type(t.assert_enqueued(mails, where=lambda mail: mail.startswith("a")), list[str])
        assert_type(t.assert_enqueued("mails"), list[Any])
        assert_type(t.assert_buffered(digests, "ada", b"a", count=1), list[bytes])
        assert_type(t.assert_scheduled(job, "u1", within="1 hour"), datetime)
        assert_type(await t.run(count()), int)
        assert_type(t.trace, Trace)
        t.fail("commit", times=2, when="after", of=mails)


async def count() -> int:
    return 1


def simulate() -> None:
    with Simulation(mails, workers=2, schedule=["crash after commit 1 of queue:mails:0 by worker 1"]) as simulation:
        assert_type(simulation.run(count()), int)
        assert_type(simulation.trace[0], TraceEntry)
        assert_type(simulation.choices.taken, list[Deviation])
    Simulation(mails, swarm=Swarm(1, kinds=["crash"]))


# Refused.


async def misuse(t: TestPrimitives) -> None:
    t.fail("coffee")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    t.fail("commit", when="later")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    t.assert_scheduled(mails, "u1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    create_test_primitives(sed=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
