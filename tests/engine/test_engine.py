"""A call becomes one atomic commit; deciders take turns; what cannot run here is parked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_primitives.engine.engine import DurablePrimitivesEngine
from durable_primitives.errors import PrimitiveNotFoundError, StorageError
from durable_primitives.events import InMemoryTracker, InstanceOrphaned, InstanceRecovered
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.primitive import Call, Operation, Primitive, Registry
from durable_primitives.kernel.record import TERMINATED, Record, Snapshot
from durable_primitives.kernel.transition import ClaimRequest, Guard, Put, Transition
from durable_primitives.primitives.queue import Queue, QueueExecuteContext
from durable_primitives.services.environment import Environment
from durable_primitives.spi import Storage
from tests.engine.fleet import EPOCH_MS, MINUTE, Fleet, ProcessRuntime, Wire, turns

BACK_AGAIN = 5 * MINUTE


class Counter:
    """A primitive with one operation of each mode, to see the engine alone."""

    def __init__(self, name: str) -> None:
        self.kind, self.name, self.aliases = "counter", name, ()
        self.decided = 0

    async def run(self, ownership: object) -> None:
        raise AssertionError("it has no dues")

    def revive(self, record: Record) -> str:
        return "live"

    def add(self, instance: str, snapshot: Snapshot, request: int, now: int) -> Decision[int]:
        self.decided += 1
        record = snapshot.record
        live = record is not None and record.status != TERMINATED
        total = request + (int(record.data) if record is not None and live else 0)
        guard = Guard(version=record.version) if record is not None and live else Guard(exists=False)
        put = Put(status="live", data=str(total).encode(), held=False)
        return Decision(Transition(instance=instance, at=now, guard=guard, put=put), lambda _: total)

    def overwrite(self, instance: str, request: int, now: int) -> Decision[str]:
        put = Put(status="live", data=str(request).encode(), held=False)
        return Decision(Transition(instance=instance, at=now, put=put), lambda outcome: outcome.verdict)

    async def read(self, reader: Storage, instance: str, request: None, now: int) -> int:
        record = (await reader.load(instance)).record
        return 0 if record is None else int(record.data)


def engine_of(counter: Counter, wire: Wire, fleet: Fleet) -> DurablePrimitivesEngine:
    operations = [
        Operation(name="add", mode="decide", handler="add", summary="Add.", request=int, reply=int),
        Operation(name="overwrite", mode="blind", handler="overwrite", summary="Set.", request=int, reply=str),
        Operation(name="read", mode="query", handler="read", summary="Read.", request=None, reply=int),
    ]
    primitive = Primitive(
        kind="counter",
        operations={operation.name: operation for operation in operations},
        orchestrator=lambda definition, _: definition,
        executor=lambda definition, *_: definition,
        client=Any,
    )
    environment = Environment("default", lambda _: None)  # type: ignore[arg-type, return-value]
    return DurablePrimitivesEngine(
        Registry([counter], (primitive,)),  # type: ignore[arg-type]
        wire,  # type: ignore[arg-type]
        ProcessRuntime(fleet.clock),
        InMemoryTracker(),
        "default",
        environment,
    )


def call(operation: str, request: object, id: str = "a") -> Call:
    return Call("counter", "hits", id, operation, request)


async def test_a_blind_call_reads_nothing_and_a_query_writes_nothing() -> None:
    fleet = await Fleet().open()
    wire = Wire(fleet.store)
    engine = engine_of(Counter("hits"), wire, fleet)
    assert await engine.call(call("overwrite", 7)) == "applied"
    assert wire.calls == ["commit"]
    assert await engine.call(call("read", None)) == 7
    assert wire.calls == ["commit", "load"]


async def test_deciders_of_one_process_take_turns_however_many_they_are() -> None:
    fleet = await Fleet().open()
    counter = Counter("hits")
    wire = Wire(fleet.store, immediate=False)
    engine = engine_of(counter, wire, fleet)
    totals = [asyncio.create_task(engine.call(call("add", 1))) for _ in range(50)]
    await wire.arrived.wait()
    # Those that come while others wait must wait with them.
    totals += [asyncio.create_task(engine.call(call("add", 1))) for _ in range(50)]
    assert sorted(await asyncio.gather(*totals)) == list(range(1, 101))
    assert counter.decided == 100, "they decided on the same snapshot and had to decide again"
    assert engine._turns == {}


async def test_a_decision_that_another_process_overtook_is_made_anew() -> None:
    fleet = await Fleet().open()
    counter = Counter("hits")
    slow, fast = Wire(fleet.store, immediate=False), Wire(fleet.store)
    slow.gate.clear()
    late = asyncio.create_task(engine_of(counter, slow, fleet).call(call("add", 1)))
    await slow.arrived.wait()
    assert await engine_of(Counter("hits"), fast, fleet).call(call("add", 10)) == 10
    slow.gate.set()
    assert await late == 11
    assert counter.decided == 2


async def test_a_decider_that_is_cancelled_lets_the_next_one_decide() -> None:
    fleet = await Fleet().open()
    wire = Wire(fleet.store, immediate=False)
    engine = engine_of(Counter("hits"), wire, fleet)
    wire.gate.clear()
    first = asyncio.create_task(engine.call(call("add", 1)))
    await wire.arrived.wait()
    second = asyncio.create_task(engine.call(call("add", 1)))
    await turns()
    first.cancel()
    wire.gate.set()
    # The first one's change had left before it was cancelled: it is applied wholly.
    assert await second == 2
    assert engine._turns == {}


async def test_a_failing_store_fails_the_call_and_nothing_else() -> None:
    fleet = await Fleet().open()
    wire = Wire(fleet.store)
    engine = engine_of(Counter("hits"), wire, fleet)
    wire.failures.append(StorageError("away", outcome="not_applied"))
    with pytest.raises(StorageError):
        await engine.call(call("add", 1))
    assert await engine.call(call("add", 1)) == 1


async def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    fleet = await Fleet().open()
    engine = engine_of(Counter("hits"), Wire(fleet.store), fleet)
    with pytest.raises(PrimitiveNotFoundError) as refused:
        await engine.call(Call("counter", "hit", "a", "add", 1))
    assert refused.value.did_you_mean == "hits"


# Parking.


def keeper(ran: list[str]) -> Any:
    async def execute(ctx: QueueExecuteContext[str]) -> None:
        ran.append(ctx.event)

    return Queue.make("q", event_schema=str, execute=execute)


async def stored_items(fleet: Fleet) -> list[bytes]:
    return [item.payload for item in await fleet.store.items("queue:q:0", 0, 0, 100)]


async def test_work_without_a_definition_is_parked_and_a_later_deploy_resumes_it() -> None:
    fleet, ran = await Fleet().open(), list[str]()
    queue = keeper(ran)
    producer = fleet.producer(queue)
    for event in ("a", "b", "c"):
        await producer.enqueue(event)
    kept = await stored_items(fleet)

    without = fleet.process()
    await without.run_due()
    record = await fleet.record("queue:q:0")
    assert (record.status, record.owner, record.held) == ("orphaned", None, True)
    assert [event.reason for event in without.tracker.of_type(InstanceOrphaned)] == ["no definition"]
    assert await stored_items(fleet) == kept

    # It is looked at now and then, and said once.
    fleet.pass_time(BACK_AGAIN)
    assert await without.run_due() == 1
    assert len(without.tracker.of_type(InstanceOrphaned)) == 1

    # What is accepted meanwhile waits with the rest.
    await producer.enqueue("d")
    later = fleet.process(queue)
    assert await later.run_due() == 0
    fleet.pass_time(BACK_AGAIN)
    await later.run_due()
    assert ran == ["a", "b", "c", "d"]
    assert len(later.tracker.of_type(InstanceRecovered)) == 1
    assert (await fleet.record("queue:q:0")).status == "active"


async def test_an_alarm_with_nothing_due_is_harmless_and_leaves_the_right_alarm_behind() -> None:
    fleet, ran = await Fleet().open(), list[str]()
    queue = keeper(ran)
    process = fleet.process(queue)
    await fleet.producer(queue).enqueue("later", delay="1 minute")
    # A scheduler whose clock is ahead hands the instance out too early.
    early = ClaimRequest(owner="ahead", at=EPOCH_MS + MINUTE, lease_ms=1000, limit=1, take=0)
    _, (claim,) = fleet.store.commit_now((), early)
    await process.engine.alarm(process.engine.own(claim))
    assert ran == []
    record = await fleet.record("queue:q:0")
    assert (record.owner, record.alarm) == (None, EPOCH_MS + MINUTE)
    fleet.pass_time(MINUTE)
    await process.run_due()
    assert ran == ["later"]
