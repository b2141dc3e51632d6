"""Crashes, shutdowns, and deploys that change what is stored already."""

from __future__ import annotations

import asyncio
from typing import Any

from durable_primitives.events import (
    BufferDeadLettered,
    BufferFlushed,
    BufferFlushFailed,
    InstanceParked,
    InstanceRecovered,
)
from durable_primitives.kernel.transition import ClaimRequest, Put, Transition
from durable_primitives.primitives.buffer import (
    Buffer,
    BufferDeadLetterContext,
    BufferEventContext,
)
from durable_primitives.signals import DeadLetter
from tests.primitives.buffer_handler import DAY, MINUTE, SECOND, THREE, Gate, Handler, start


async def test_a_batch_whose_worker_died_is_handed_over_again_after_the_lease() -> None:
    gate = Gate()
    driver, client = await start(gate)
    await client.add_many("a", ["1", "2", "3"])
    dying = asyncio.create_task(driver.run_due())
    await gate.entered.wait()
    lost = driver.worker

    driver.restart()
    gate.entered.clear()
    await driver.run_due()
    assert len(gate.calls) == 1
    gate.open.set()
    driver.runtime.ms += 30 * SECOND
    await driver.run_due()
    await dying

    assert lost is not driver.worker
    assert [(ctx.attempt, ctx.state) for ctx in gate.calls] == [(1, ["1", "2", "3"])] * 2
    assert len({ctx.flush_id for ctx in gate.calls}) == 1
    assert len(driver.tracker.of_type(BufferFlushed)) == 1
    assert await driver.backend.next_due() is None


async def test_a_batch_that_keeps_killing_its_worker_becomes_a_dead_letter() -> None:
    gate = Gate()
    driver, client = await start(gate, on_dead_letter=Handler())
    await client.add_many("a", ["1", "2", "3"])
    await client.add("a", "4")
    tasks = []
    for _ in range(5):
        gate.entered.clear()
        tasks.append(asyncio.create_task(driver.run_due()))
        await gate.entered.wait()
        driver.restart()
        driver.runtime.ms += 30 * SECOND
    gate.open.set()
    await asyncio.gather(*tasks)
    await driver.run_due()

    assert [ctx.state for ctx in gate.calls] == [["1", "2", "3"]] * 5 + [["4"]]
    (letter,) = (await client.dead_letters.list()).items
    assert (letter.state, letter.attempts) == (["1", "2", "3"], 0)
    assert [event.reason for event in driver.tracker.of_type(BufferDeadLettered)] == ["crash_loop"]


async def test_a_shutdown_gives_the_batch_back_and_counts_no_attempt() -> None:
    gate = Gate()
    driver, client = await start(gate)
    await client.add_many("a", ["1", "2", "3"])
    driver.worker.start()
    await gate.entered.wait()
    await driver.worker.stop(grace_s=0)
    assert await driver.backend.next_due() == driver.now

    driver.restart()
    gate.open.set()
    await driver.run_due()
    assert [ctx.attempt for ctx in gate.calls] == [1, 1]
    assert driver.tracker.of_type(BufferFlushFailed) == []


async def test_a_draining_worker_finishes_its_batch_and_leaves_the_next_to_others() -> None:
    gate = Gate()
    driver, client = await start(gate)
    await client.add_many("a", [str(number) for number in range(6)])
    driver.worker.start()
    await gate.entered.wait()
    assert not gate.calls[0].cancelled
    stopping = asyncio.create_task(driver.worker.stop())
    await asyncio.sleep(0)
    assert gate.calls[0].cancelled
    gate.open.set()
    await stopping
    assert [ctx.state for ctx in gate.calls] == [["0", "1", "2"]]
    assert await driver.backend.next_due() == driver.now

    driver.restart()
    await driver.run_due()
    assert [ctx.state for ctx in gate.calls] == [["0", "1", "2"], ["3", "4", "5"]]


async def test_a_worker_that_stops_before_it_began_gives_the_instance_back() -> None:
    handler = Handler()
    driver, client = await start(handler)
    driver.worker.start()
    await client.add_many("a", ["1", "2", "3"])
    await driver.worker.stop()
    assert (handler.calls, await driver.backend.next_due()) == ([], driver.now)

    driver.restart()
    await driver.run_due()
    assert handler.states == [["1", "2", "3"]]


async def test_claims_that_were_lost_before_a_batch_began_are_not_held_against_it() -> None:
    handler = Handler()
    driver, client = await start(handler, flush_after="1 minute")
    await client.add("a", "1")
    driver.runtime.ms += MINUTE
    for number in range(7):
        driver.backend.commit_now((), ClaimRequest(owner=f"w{number}", at=driver.now, lease_ms=1000, limit=1, take=0))
        driver.runtime.ms += SECOND
    await driver.run_due()

    assert handler.states == [["1"]]
    assert (await client.dead_letters.list()).items == ()


async def test_events_that_no_longer_decode_are_kept_and_hold_nothing_back() -> None:
    told: list[Any] = []

    async def hook(state: Any, error: BaseException, ctx: BufferDeadLetterContext) -> None:
        told.append(state)

    old, handler = Handler(), Handler()
    driver, client = await start(old, event_schema=str)
    await client.add_many("a", ["1", "2"])
    later = Buffer.make(
        "b", event_schema=int, flush_after="1 minute", retry=THREE, execute=handler, on_dead_letter=hook
    )
    driver.restart(later)
    await driver.advance(MINUTE)
    await driver.client(later).add_many("a", [4, 5, 6])
    await driver.advance(2 * MINUTE)

    assert (old.calls, handler.states) == ([], [[4, 5, 6]])
    (letter,) = (await driver.client(later).dead_letters.list()).items
    assert (letter.state, letter.attempts, letter.event_count) == (None, 3, 2)
    assert letter.error.type == "durable_primitives.errors.SerializationError"
    assert told == [None]

    driver.restart()
    client = driver.client(driver.definitions[0])
    assert await client.dead_letters.redrive(letter.flush_id) == 1
    await driver.run_due()
    assert old.states == [["1", "2"]]


async def test_old_events_are_brought_forward_by_migrations() -> None:
    handler = Handler()
    driver, client = await start(Handler())
    await client.add("a", "1")
    later = Buffer.make(
        "b", event_schema=int, flush_after="1 minute", execute=handler, schema_version=2, migrate={1: int}
    )
    driver.restart(later)
    await driver.client(later).add("a", 2)
    await driver.advance(MINUTE)

    assert handler.states == [[1, 2]]


def joined(ctx: BufferEventContext[str, str]) -> str:
    return (ctx.state or "") + ctx.event


async def test_events_of_a_list_are_folded_if_a_reducer_is_deployed_before_they_are_flushed() -> None:
    handler = Handler()
    driver, client = await start(Handler())
    await client.add_many("a", ["1", "2"])
    later = Buffer.make(
        "b", event_schema=str, state_schema=str, on_event=joined, flush_after="1 minute", execute=handler
    )
    driver.restart(later)
    result = await driver.client(later).add("a", "3")
    await driver.advance(MINUTE)

    assert result.event_count == 1
    assert handler.states == ["12", "3"]


async def test_a_folded_state_is_kept_if_its_reducer_is_no_longer_deployed() -> None:
    driver, client = await start(Handler(), state_schema=str, on_event=joined)
    await client.add_many("a", ["1", "2"])
    handler = Handler()
    later = Buffer.make("b", event_schema=str, flush_after="1 minute", retry=THREE, execute=handler)
    driver.restart(later)
    await driver.client(later).add("a", "3")
    await driver.advance(2 * MINUTE)

    assert handler.calls == []
    (letter,) = (await driver.client(later).dead_letters.list()).items
    assert (letter.event_count, letter.state) == (3, None)
    driver.restart()
    assert (await client.dead_letters.get(letter.flush_id)).state == "123"


async def test_a_record_that_cannot_be_read_is_parked_and_resumed_by_a_deploy_that_can() -> None:
    handler = Handler()
    driver, client = await start(handler)
    await client.add("a", "1")
    newer = b"\x91\x63"
    driver.backend.commit_now(
        (Transition(instance="buffer:b:a", at=driver.now, put=Put(status="open", data=newer, linger_ms=DAY)),)
    )
    await driver.advance(MINUTE)

    assert (await client.status("a")).status == "failed"
    assert [item.status.status for item in (await client.list()).items] == ["failed"]
    assert len(driver.tracker.of_type(InstanceParked)) == 1
    assert not (await client.add("a", "2")).duplicate
    driver.backend.commit_now(
        (
            Transition(
                instance="buffer:b:a", at=driver.now, put=Put(status="failed", data=b"", held=True, linger_ms=DAY)
            ),
        )
    )
    await driver.advance(5 * MINUTE)
    assert handler.states == [["1", "2"]]
    assert len(driver.tracker.of_type(InstanceRecovered)) == 1


async def test_an_instance_without_its_definition_keeps_everything_until_it_is_back() -> None:
    handler = Handler()
    driver, client = await start(handler)
    await client.add_many("a", ["1", "2"])
    driver.restart(Buffer.make("other", event_schema=str, max_events=2, execute=Handler()))
    await driver.advance(MINUTE)
    driver.restart()
    client = driver.client(driver.definitions[0])
    assert (await client.flush("a")).flushed
    assert (await client.status("a")).status == "orphaned"
    await driver.advance(5 * MINUTE - 1)
    assert handler.states == []
    await driver.advance(1)
    assert handler.states == [["1", "2"]]


async def test_an_old_name_finds_its_instances() -> None:
    handler = Handler(DeadLetter())
    driver, client = await start(Handler())
    await client.add_many("a", ["1", "2"])
    renamed = Buffer.make("new", event_schema=str, max_events=3, aliases=("b",), execute=handler)
    driver.restart(renamed)
    await driver.advance(MINUTE)

    assert [ctx.name for ctx in handler.calls] == ["b"]
    assert await driver.client(renamed).dead_letters.redrive(handler.calls[0].flush_id) == 1
    await driver.run_due()
    assert handler.states == [["1", "2"]] * 2
