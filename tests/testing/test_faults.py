"""Every fault does what its name says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from durable_primitives import StorageError
from durable_primitives.testing.simulation import FAULTS, Simulation
from tests.testing.worlds import INSTANCE, QueueWorld

EVERY_FAULT = [(site, fault) for site, faults in FAULTS.items() for fault in faults]

CASES: dict[tuple[str, str], Callable[[], None]] = {}


def does(site: str, fault: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def note(case: Callable[[], None]) -> Callable[[], None]:
        CASES[site, fault] = case
        return case

    return note


@pytest.mark.parametrize(("site", "fault"), EVERY_FAULT, ids=lambda part: str(part).replace(" ", "_"))
def test_fault(site: str, fault: str):
    CASES[site, fault]()


# A client's commit.


def enqueue_fails(world: QueueWorld) -> str:
    """What the error of the first `enqueue` says about its outcome."""
    with pytest.raises(StorageError) as caught:
        world.enqueue("a")
    return caught.value.outcome


@does("commit", "refuse")
def commit_refused():
    with QueueWorld(f"refuse commit 1 of {INSTANCE} by client") as world:
        assert enqueue_fails(world) == "not_applied"
        assert world.simulation.store.record(INSTANCE) is None


@does("commit", "lose")
def commit_lost():
    with QueueWorld(f"lose commit 1 of {INSTANCE} by client") as world:
        assert enqueue_fails(world) == "unknown"
        assert world.simulation.store.record(INSTANCE) is None


@does("commit", "lose the reply of")
def reply_to_commit_lost():
    with QueueWorld(f"lose the reply of commit 1 of {INSTANCE} by client") as world:
        assert enqueue_fails(world) == "unknown"
        assert world.simulation.store.record(INSTANCE) is not None
        assert world.simulation.run(world.client.enqueue("a", id="a")).duplicate


@does("commit", "delay")
def commit_delayed():
    with QueueWorld(f"delay commit 1 of {INSTANCE} by client for 5s") as world:
        world.enqueue("a")
        assert world.seconds("commit", actor="client") == world.seconds("answer", actor="client") == [5]


@does("commit", "delay the reply of")
def reply_to_commit_delayed():
    with QueueWorld(f"delay the reply of commit 1 of {INSTANCE} by client for 5s") as world:
        world.enqueue("a")
        assert (world.seconds("commit", actor="client"), world.seconds("answer", actor="client")) == ([0], [5])


def worked_off(deviation: str, extent: str = "", **options: int) -> QueueWorld:
    """A world after its one event, and its one deviation, by worker 1."""
    with QueueWorld(f"{deviation} by worker 1{extent}", **options) as world:
        world.worked_off()
        assert world.is_done
        assert len(world.simulation.choices.taken) == 1
        return world


# A worker's commit: the one that completes an event.

COMMIT = f"commit 1 of {INSTANCE}"


@does("commit", "crash before")
def crash_before_commit():
    world = worked_off(f"crash before {COMMIT}")
    assert world.seconds("crash") == [0]
    assert world.seconds("start", actor="worker 1") == [0, 1]
    assert world.ended == ["a", "a"], "the outcome of the first run was not stored"
    assert world.seconds("claim") == [0, 30], "nobody gave the lease back"


@does("commit", "crash during")
def crash_during_commit():
    world = worked_off(f"crash during {COMMIT}")
    assert world.seconds("crash") == [0]
    assert world.ended == ["a"], "the outcome was stored"
    assert "queue.completed" not in [event.type for event in world.simulation.events], "nobody heard of it"


@does("commit", "crash after")
def crash_after_commit():
    world = worked_off(f"crash after {COMMIT}")
    assert world.seconds("crash") == [0]
    assert world.ended == ["a"]
    assert "queue.completed" in [event.type for event in world.simulation.events]


@does("commit", "shut down at")
def shutdown_at_commit():
    world = worked_off(f"shut down at {COMMIT}")
    assert world.seconds("stop", actor="worker 1") == [0]
    assert world.seconds("start", actor="worker 1") == [0, 0]
    assert world.seconds("claim") == [0], "it ended in good order, and had nothing left to give back"


def paused_until_overtaken(fault: str) -> QueueWorld:
    with QueueWorld(f"{fault} {INSTANCE} by worker 1 for 1 commit", workers=2) as world:
        world.worked_off()
        assert world.is_done
        assert world.seconds("pause") == [0]
        assert world.seconds("claim", "lease 2", "worker 2") == [30]
        assert world.seconds("resume") == [30]
        return world


@does("commit", "pause before")
def paused_before_commit():
    """The zombie: its late commit is fenced."""
    world = paused_until_overtaken("pause before commit 1 of")
    assert world.ended == ["a", "a"]
    assert [entry.detail for entry in world.entries("commit", actor="worker 1")] == ["fenced, remove 1, lease 1"]
    assert [event.type for event in world.simulation.events].count("instance.lease_lost") == 1


@does("commit", "pause during")
def paused_during_commit():
    # Worker 1 has taken "b" in hand with the commit that stored the outcome of "a".
    with QueueWorld(f"pause during commit 1 of {INSTANCE} by worker 1 for 1 commit", workers=2) as world:
        world.enqueue("a", "b")
        world.simulation.advance("2 hours")
        assert world.seconds("pause") == [0]
        assert world.seconds("resume") == [30]
        assert world.ended.count("a") == 1, "it was stored before the pause"
        assert world.seconds("renewal", f"{INSTANCE} lost", "worker 1") == [30], "and then it learns that it is late"
        assert [entry.actor for entry in world.entries("handler", "event b")] == ["worker 2"]


@does("commit", "freeze before")
def frozen_before_commit():
    world = worked_off(f"freeze before {COMMIT}")
    assert (world.seconds("pause"), world.seconds("resume")) == ([0], [3600])


@does("commit", "freeze during")
def frozen_during_commit():
    with QueueWorld(f"freeze during commit 1 of {INSTANCE} by worker 1 for 7s") as world:
        world.worked_off()
        assert (world.seconds("commit", actor="worker 1"), world.seconds("resume")) == ([0], [7])


@does("commit", "put the clock forward at")
def clock_forward_at_commit():
    with QueueWorld(f"put the clock forward at commit 1 of {INSTANCE} by worker 1 for 1h") as world:
        world.worked_off()
        runtime = world.simulation.processes["worker 1"].runtime
        assert runtime.now() - world.simulation.clock_ms == 3_600_000
        assert world.is_done


@does("commit", "put the clock back at")
def clock_back_at_commit():
    with QueueWorld(f"put the clock back at commit 1 of {INSTANCE} by worker 1 for 1h") as world:
        world.worked_off()
        runtime = world.simulation.processes["worker 1"].runtime
        assert runtime.now() - world.simulation.clock_ms == -3_600_000
        monotonic = runtime.monotonic()
        world.simulation.advance("1 second")
        assert runtime.monotonic() == monotonic + 1


# A claim.  Worker 1 makes its first one when it starts, and its second one when there is an event.


@does("claim", "refuse")
def claim_refused():
    assert worked_off("refuse claim 2").seconds("claim") == [1], "the worker looks again after a second"


@does("claim", "lose")
def claim_lost():
    assert worked_off("lose claim 2").seconds("claim") == [1]


@does("claim", "lose the reply of")
def reply_to_claim_lost():
    world = worked_off("lose the reply of claim 2")
    assert world.seconds("claim") == [0, 30], "it owned the instance and did not know"
    assert world.seconds("handler") == [30]


@does("claim", "delay")
def claim_delayed():
    world = worked_off("delay claim 2", " for 5s")
    assert (world.seconds("claim"), world.seconds("handler")) == ([5], [5])


@does("claim", "delay the reply of")
def reply_to_claim_delayed():
    world = worked_off("delay the reply of claim 2", " for 5s")
    assert (world.seconds("claim"), world.seconds("handler")) == ([0], [5])


@does("claim", "crash before")
def crash_before_claim():
    assert worked_off("crash before claim 2").seconds("claim") == [1]


@does("claim", "crash during")
def crash_during_claim():
    world = worked_off("crash during claim 2")
    assert (world.seconds("claim"), world.begun) == ([0, 30], ["a"])


@does("claim", "crash after")
def crash_after_claim():
    with QueueWorld("crash after claim 2 by worker 1", takes=1) as world:
        world.worked_off()
        assert (world.seconds("claim"), world.begun, world.ended) == ([0, 30], ["a", "a"], ["a"])


@does("claim", "shut down at")
def shutdown_at_claim():
    world = worked_off("shut down at claim 2")
    assert world.begun == ["a"]
    assert world.seconds("stop", actor="worker 1") == [0]
    assert [entry.actor for entry in world.entries("claim")] == ["worker 1", "worker 1"], "it gave the lease back"
    assert world.seconds("claim") == [0, 0]


@does("claim", "pause before")
def paused_before_claim():
    world = worked_off("pause before claim 2", workers=2)
    assert [entry.actor for entry in world.entries("claim")] == ["worker 2"]


@does("claim", "pause during")
def paused_during_claim():
    world = worked_off("pause during claim 2", workers=2)
    assert [entry.actor for entry in world.entries("claim")] == ["worker 1", "worker 2"]
    assert world.seconds("claim") == [0, 30]


@does("claim", "freeze before")
def frozen_before_claim():
    assert worked_off("freeze before claim 2", " for 7s").seconds("claim") == [7]


@does("claim", "freeze during")
def frozen_during_claim():
    world = worked_off("freeze during claim 2", " for 7s")
    assert (world.seconds("claim"), world.seconds("handler")) == ([0], [7])


@does("claim", "put the clock forward at")
def clock_forward_at_claim():
    assert worked_off("put the clock forward at claim 1", " for 1h").seconds("clock", "+3600000 ms") == [0]


@does("claim", "put the clock back at")
def clock_back_at_claim():
    world = worked_off("put the clock back at claim 1", " for 1s")
    assert world.seconds("clock", "-1000 ms") == [0]
    assert world.seconds("claim") == [1], "it does not start what is due a second later by its clock"


# Other questions to the store.


@does("read", "refuse")
def read_refused():
    with QueueWorld(f"refuse read 1 of {INSTANCE} by client") as world:
        with pytest.raises(StorageError) as caught:
            world.simulation.run(world.client.status())
        assert caught.value.outcome == "not_applied"
        assert world.simulation.run(world.client.status()).pending == 0


@does("read", "delay")
def read_delayed():
    with QueueWorld(f"delay read 1 of {INSTANCE} by client for 5s") as world:
        world.simulation.run(world.client.status())
        assert world.simulation.loop.time() == 5


@does("read", "crash before")
def crash_before_read():
    world = worked_off("crash before read 1")
    assert world.seconds("crash") == [0]
    assert world.seconds("start", actor="worker 1") == [0, 1]


@does("read", "pause before")
def paused_before_read():
    world = worked_off("pause before read 1", workers=2)
    assert [entry.actor for entry in world.entries("claim")] == ["worker 2"]


# Renewals.  The handler takes 35 seconds, so its lease is renewed after 10, 20 and 30.


def renewed(fault: str) -> QueueWorld:
    with QueueWorld(f"{fault} renewal 1 by worker 1", takes=35) as world:
        world.worked_off()
        assert world.is_done
        return world


@does("renewal", "refuse")
def renewal_refused():
    world = renewed("refuse")
    assert (world.seconds("renewal"), world.begun) == ([20, 30], ["a"]), "the next one is in time"


@does("renewal", "lose the reply of")
def reply_to_renewal_lost():
    world = renewed("lose the reply of")
    assert (world.seconds("renewal"), world.begun) == ([10, 20, 30], ["a"])


@does("renewal", "crash before")
def crash_before_renewal():
    world = renewed("crash before")
    assert world.seconds("crash") == [10]
    assert world.seconds("handler") == [0, 30]


# Wake-ups.


def due_in_a_minute(schedule: str) -> QueueWorld:
    with QueueWorld(schedule) as world:
        world.simulation.run(world.client.enqueue("a", id="a", delay="30 seconds"))
        world.simulation.advance("2 minutes")
        assert world.is_done
        return world


@does("wait", "cut short")
def wakes_early():
    world = due_in_a_minute("cut short wait 2 by worker 1")
    assert world.seconds("handler") == [30], "an early alarm starts nothing early"
    assert world.simulation.choices.at("wait", "worker 1") is None


@does("wait", "delay")
def wakes_late():
    world = due_in_a_minute("delay wait 2 by worker 1 for 5s")
    assert world.seconds("handler") == [35]


@does("wait", "repeat")
def wakes_twice():
    world = due_in_a_minute("repeat wait 2 by worker 1")
    assert world.seconds("handler") == [30]


# Handlers.


def handled(fault: str, **options: object) -> QueueWorld:
    with QueueWorld(f"{fault} {INSTANCE} by worker 1", **options) as world:
        world.worked_off()
        assert world.is_done
        return world


@does("handler", "fail")
def handler_fails():
    world = handled("fail handler 1 of")
    assert world.begun == ["a"], "it failed before its first line"
    assert world.seconds("returned") == [1], "and was retried"


@does("handler", "fail the end of")
def handler_fails_at_its_end():
    world = handled("fail the end of handler 1 of")
    assert world.ended == ["a", "a"]
    assert (world.seconds("raised"), world.seconds("returned")) == ([0], [1])


@does("handler", "fail during")
def handler_fails_on_its_way():
    world = handled("fail during handler 1 of", takes=5)
    assert (world.begun, world.ended) == (["a", "a"], ["a"]), "what it waited for raised"
    assert (world.seconds("raised"), world.seconds("returned")) == ([5, 5], [11])


@does("handler", "shut down at")
def process_leaves_while_a_handler_runs():
    world = handled("shut down at handler 1 of", takes=60)
    assert world.seconds("raised") == [20], "it was cancelled when the grace was over"
    assert world.seconds("stop") == [20]
    assert world.seconds("returned") == [80], "and another worker ran it at once"


@does("handler", "delay")
def handler_takes_too_long():
    world = handled("delay handler 1 of", timeout="1 minute")
    assert world.seconds("returned") == [61], "it was cut off after a minute, and retried"


@does("handler", "crash before")
def crash_before_handler():
    world = handled("crash before handler 1 of")
    assert (world.begun, world.seconds("handler")) == (["a"], [30])


@does("handler", "crash after")
def crash_after_handler():
    world = handled("crash after handler 1 of")
    assert (world.ended, world.seconds("handler")) == (["a", "a"], [0, 30])


@does("handler", "pause before")
def paused_before_handler():
    world = paused_until_overtaken("pause before handler 1 of")
    assert world.seconds("handler") == [30, 30], "two runs at a time, of which one can commit"
    assert [entry.detail for entry in world.entries("commit", actor="worker 1")] == ["fenced, remove 1, lease 1"]


@does("handler", "pause after")
def paused_after_handler():
    world = paused_until_overtaken("pause after handler 1 of")
    assert [entry.actor for entry in world.entries("handler")] == ["worker 1", "worker 2"]
    assert [entry.detail for entry in world.entries("commit", actor="worker 1")] == ["fenced, remove 1, lease 1"]


# Order.


@does("turn", "reorder")
def reordered():
    def order(*schedule: str) -> list[str]:
        told: list[str] = []

        async def tell(name: str) -> None:
            told.append(name)

        async def main() -> None:
            await asyncio.gather(tell("a"), tell("b"), tell("c"))

        with Simulation(workers=0, schedule=schedule) as simulation:
            simulation.run(main())
        return told

    assert order() == ["a", "b", "c"]
    orders = {tuple(order(f"reorder turn {nth} by loop for 1 place")) for nth in range(1, 6)}
    assert ("b", "a", "c") in orders
