"""Workers that vanish or fall asleep: others take over, late writes change nothing, killers are stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.events import InstanceLeaseLost, QueueDeadLettered
from durable_primitives.primitives.queue import Enqueue, Queue, QueueExecuteContext
from durable_primitives.retry import RetryPolicy
from durable_primitives.services.ownership import MAX_DELIVERIES
from durable_primitives.signals import DeadLetter, Snooze
from tests.engine.fleet import HEARTBEAT, LEASE, SECOND, Fleet, turns
from tests.engine.gated import Gated
from tests.engine.kinds import KINDS, POLICIES

Context = QueueExecuteContext[str]


# Leases.


async def test_a_heartbeat_keeps_the_lease_of_what_runs() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler)
    await fleet.producer(queue).enqueue("long")
    owner, other = fleet.process(queue), fleet.process(queue)
    owner.worker.start()
    await handler.until(lambda: handler.running == 1)
    for _ in range(5):
        fleet.pass_time(LEASE - SECOND)
        owner.runtime.beat()
    assert await other.run_due() == 0
    handler.gate.set()
    await owner.worker.stop()
    assert handler.started == handler.ran == ["long"]


async def test_work_of_a_dead_worker_starts_again_when_its_lease_ends_and_not_before() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler)
    await fleet.producer(queue).enqueue_many(["a", "b"])
    dead, heir = fleet.process(queue), fleet.process(queue)
    dead.worker.start()
    await handler.until(lambda: handler.running == 1)
    await dead.crash()
    handler.gate.set()
    fleet.pass_time(LEASE - 1)
    assert await heir.run_due() == 0
    fleet.pass_time(1)
    assert await heir.run_due() == 1
    assert handler.started == ["a", "a", "b"]
    assert [ctx.delivery for ctx in handler.contexts] == [1, 2, 1]
    assert [ctx.attempt for ctx in handler.contexts] == [1, 1, 1], "a crash is not an attempt"
    assert len({ctx.idempotency_key for ctx in handler.contexts if ctx.event == "a"}) == 1


async def test_a_process_that_was_suspended_goes_on_with_what_it_runs() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler, concurrency=2)
    process = fleet.process(queue)
    await fleet.producer(queue).enqueue("before", id="before")
    process.worker.start()
    await handler.until(lambda: handler.running == 1)
    (ownership,) = process.engine.owned.values()
    # A laptop sleeps: no beat, and on waking the next round trip comes before the next beat.
    fleet.pass_time(10 * LEASE)
    await process.client(queue).enqueue_many([f"after-{n}" for n in range(4)])
    fleet.wake()
    await handler.until(lambda: handler.running == 2)
    assert not ownership.lost
    handler.gate.set()
    await handler.until(lambda: len(handler.ran) == 5)
    await process.worker.stop()
    assert Counter(handler.started) == Counter(["before", *(f"after-{n}" for n in range(4))])


async def test_a_handler_hears_with_the_next_heartbeat_what_another_process_asks_of_it() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler)
    elsewhere = fleet.producer(queue)
    await elsewhere.enqueue_many([Enqueue("a", id="a"), Enqueue("b", id="b")])
    process = fleet.process(queue)
    process.worker.start()
    await handler.until(lambda: handler.running == 1)
    assert (await elsewhere.cancel("a")).outcome == "running"
    await elsewhere.pause()
    process.runtime.beat()
    await turns()
    assert handler.contexts[0].cancelled
    handler.gate.set()
    await process.worker.stop()
    assert handler.started == ["a"]


# Zombies.


async def zombie_and_heir(handler: Any, **options: Any) -> tuple[Fleet, Any, Any, Any]:
    """A worker that fell asleep inside a handler, and the one that took over."""
    fleet = await Fleet().open()
    queue = Queue.make("q", event_schema=str, execute=handler, **options)
    await fleet.producer(queue).enqueue("e", id="e", partition_key="k")
    await fleet.producer(queue).enqueue("next", id="next", partition_key="k")
    zombie, heir = fleet.process(queue), fleet.process(queue)
    zombie.worker.start()
    await turns()
    fleet.pass_time(LEASE)
    return fleet, queue, zombie, heir


@pytest.mark.parametrize("ending", [None, ValueError("late"), Snooze("1 minute"), DeadLetter("late")])
async def test_whatever_a_zombie_says_in_the_end_changes_nothing(ending: BaseException | None) -> None:
    awake, starts = asyncio.Event(), list[str]()

    async def execute(ctx: Context) -> None:
        starts.append(ctx.event)
        if len(starts) == 1:
            await awake.wait()
            if ending is not None:
                raise ending

    fleet, queue, zombie, heir = await zombie_and_heir(execute, retry=RetryPolicy(max_attempts=1))
    await heir.run_due()
    assert starts == ["e", "e", "next"]
    before = await fleet.store.scan("", "", 10)
    awake.set()
    await turns()
    assert await fleet.store.scan("", "", 10) == before
    status = await zombie.client(queue).status()
    assert (status.processed, status.dead, status.pending) == (2, 0, 0)
    assert [event.instance_id for event in zombie.tracker.of_type(InstanceLeaseLost)] == ["queue:q:0"]
    assert zombie.engine.owned == {}
    await zombie.worker.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_handler_hears_that_its_lease_is_lost(kind: str) -> None:
    fleet, gate, contexts = await Fleet().open(), asyncio.Event(), list[Any]()

    async def execute(ctx: Any) -> None:
        contexts.append(ctx)
        await gate.wait()

    definition = KINDS[kind].make(execute, POLICIES[1])
    await KINDS[kind].begin(fleet.producer(definition))
    zombie, heir = fleet.process(definition), fleet.process(definition)
    zombie.worker.start()
    await turns()
    fleet.pass_time(LEASE)
    taking_over = asyncio.create_task(heir.run_due())
    await turns()
    mine, others = contexts
    assert not mine.cancelled
    zombie.runtime.beat()
    await turns()
    assert mine.cancelled
    assert not others.cancelled
    assert [event.instance_id for event in zombie.tracker.of_type(InstanceLeaseLost)] == [mine.instance_id]
    gate.set()
    await taking_over
    await zombie.worker.stop()


async def test_an_heir_that_still_runs_is_not_disturbed_by_the_zombie() -> None:
    handler = Gated()
    fleet, queue, zombie, heir = await zombie_and_heir(handler)
    taking_over = asyncio.create_task(heir.run_due())
    await handler.until(lambda: handler.running == 2)
    handler.gate.set()
    await taking_over
    await zombie.worker.stop()
    status = await heir.client(queue).status()
    assert (status.processed, status.running, status.pending) == (2, 0, 0)
    assert (await fleet.record("queue:q:0")).alarm is None


# Handlers that kill their process.


class Killer:
    """Takes its process down at one event, until it is told to stop."""

    def __init__(self, victim: str) -> None:
        self.victim = victim
        self.starts = Counter[str]()
        self.deliveries: list[int] = []
        self.hit = asyncio.Event()

    async def __call__(self, ctx: Context) -> None:
        self.starts[ctx.event] += 1
        if ctx.event == self.victim:
            self.deliveries.append(ctx.delivery)
            self.hit.set()
            await asyncio.Event().wait()


@pytest.mark.parametrize("per_instance", [1, 4])
async def test_an_event_that_kills_its_process_is_given_up_and_the_others_are_done(per_instance: int) -> None:
    killer = Killer("boom")
    fleet = await Fleet().open()
    queue = Queue.make("q", event_schema=str, execute=killer, per_instance=per_instance)
    events = [f"e{n}" for n in range(10)] + ["boom"] + [f"e{n}" for n in range(10, 20)]
    await fleet.producer(queue).enqueue_many([Enqueue(event, id=event) for event in events])
    for _ in range(MAX_DELIVERIES):
        process = fleet.process(queue)
        killer.hit.clear()
        process.worker.start()
        await killer.hit.wait()
        await process.crash()
        fleet.pass_time(LEASE)
    survivor = fleet.process(queue)
    await survivor.run_due()
    assert killer.deliveries == [1, 2, 3, 4, 5]
    letter = await survivor.client(queue).dead_letters.get("boom")
    assert letter is not None
    assert letter.event == "boom"
    assert [event.reason for event in survivor.tracker.of_type(QueueDeadLettered)] == ["crash_loop"]
    status = await survivor.client(queue).status()
    assert (status.processed, status.dead, status.pending) == (20, 1, 0)
    assert set(killer.starts) == set(events)


async def test_the_kills_of_an_event_count_also_if_others_are_served_before_it_is_tried_again() -> None:
    killer = Killer("boom")
    fleet = await Fleet().open()
    queue = Queue.make("q", event_schema=str, execute=killer)
    await fleet.producer(queue).enqueue("boom", id="boom")
    for number in range(MAX_DELIVERIES):
        # What comes in after a kill goes first, and its process dies, too.
        urgent = f"urgent {number}"
        for victim in ("boom", urgent):
            killer.victim = victim
            process = fleet.process(queue)
            killer.hit.clear()
            process.worker.start()
            await killer.hit.wait()
            await process.crash()
            await fleet.producer(queue).enqueue(urgent, id=urgent, priority=5)
            fleet.pass_time(LEASE)
    killer.victim = "nobody any more"
    survivor = fleet.process(queue)
    await survivor.run_due()
    assert await survivor.client(queue).dead_letters.get("boom") is not None
    assert killer.starts["boom"] == MAX_DELIVERIES


async def test_a_kill_costs_an_innocent_event_no_attempt_and_its_deliveries_end_with_its_outcome() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler, per_instance=3, retry=RetryPolicy(max_attempts=1))
    await fleet.producer(queue).enqueue_many(["a", "b", "c"])
    for _ in range(3):
        process = fleet.process(queue)
        process.worker.start()
        await handler.until(lambda: handler.running == 3)
        await process.crash()
        fleet.pass_time(LEASE)
    handler.gate.set()
    last = fleet.process(queue)
    await last.run_due()
    assert sorted(handler.ran) == ["a", "b", "c"]
    assert {ctx.attempt for ctx in handler.contexts} == {1}
    assert sorted(ctx.delivery for ctx in handler.contexts) == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert (await last.client(queue).status()).dead == 0


async def test_a_crash_between_two_events_suspects_only_what_was_in_hand() -> None:
    fleet, handler = await Fleet().open(), Gated(is_open=True)
    queue = Queue.make("q", event_schema=str, execute=handler)
    dead = fleet.process(queue, options=WorkerOptions())
    await fleet.producer(queue).enqueue_many(["a", "b"])
    await dead.run_due()
    await fleet.producer(queue).enqueue("c")
    await dead.crash()
    fleet.pass_time(LEASE)
    await fleet.process(queue).run_due()
    assert [(ctx.event, ctx.delivery) for ctx in handler.contexts] == [("a", 1), ("b", 1), ("c", 1)]


async def test_an_event_that_was_cancelled_in_the_hands_of_a_dead_worker_does_not_start_again() -> None:
    fleet, handler = await Fleet().open(), Gated()
    queue = Queue.make("q", event_schema=str, execute=handler)
    await fleet.producer(queue).enqueue_many([Enqueue(event, id=event, partition_key="k") for event in ("a", "b")])
    dead, heir = fleet.process(queue), fleet.process(queue)
    dead.worker.start()
    await handler.until(lambda: handler.running == 1)
    assert (await heir.client(queue).cancel("a")).outcome == "running"
    await dead.crash()
    fleet.pass_time(LEASE)
    handler.gate.set()
    await heir.run_due()
    assert handler.started == ["a", "b"]
    assert (await heir.client(queue).cancel("a")).outcome == "cancelled"


@pytest.mark.parametrize("late_by", [1, -1, -HEARTBEAT])
async def test_a_claim_starts_nothing_if_its_lease_may_end_before_the_next_heartbeat(late_by: int) -> None:
    fleet, ran = await Fleet().open(), list[str]()

    async def note(ctx: QueueExecuteContext[str]) -> None:
        ran.append(ctx.event)

    queue = Queue.make("q", event_schema=str, execute=note)
    late, prompt = fleet.process(queue, immediate=False), fleet.process(queue)
    await fleet.producer(queue).enqueue("a")
    commit_now = late.wire.commit_now

    def answered_late(*args: Any) -> Any:
        reply = commit_now(*args)
        fleet.pass_time(LEASE + late_by)
        return reply

    late.wire.commit_now = answered_late  # type: ignore[method-assign]
    assert await late.engine.commits.claim() == 1
    await turns()
    assert ran == []
    assert late.engine.instances() == ()
    fleet.pass_time(max(-late_by, 0))
    await prompt.run_due()
    assert ran == ["a"]
