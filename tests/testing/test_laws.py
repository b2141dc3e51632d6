"""Each law can fail: something does what the engine never would, and the watch names it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from durable_primitives import Buffer, Continuous, Queue
from durable_primitives.errors import StorageError
from durable_primitives.kernel.primitive import Call
from durable_primitives.kernel.record import NEVER, Item
from durable_primitives.kernel.transition import (
    Batching,
    Burial,
    Claim,
    ClaimRequest,
    Create,
    Due,
    Guard,
    NewItem,
    Outcome,
    Put,
    Removal,
    Reschedule,
    Retire,
    Transition,
)
from durable_primitives.primitives.continuous.stored import Run, write
from durable_primitives.primitives.continuous.stored import Stored as Repeating
from durable_primitives.testing.laws import LAWS, Watch
from durable_primitives.testing.simulation import CallInFlight, Execution, Simulation, Swarm
from durable_primitives.testing.simulation.store import finish
from tests.testing.busy_world import BusyWorld

HOUR_MS = 3_600_000


async def _handle(ctx: Any) -> None: ...


QUEUE = Queue.make("q", event_schema=str, execute=_handle, max_pending=2)
BUFFER = Buffer.make("b", event_schema=str, execute=_handle, max_events=3, flush_after="1 minute")
JOB = Continuous.make("c", state_schema=int, schedule=Continuous.every("1 minute"), execute=_handle)
INSTANCES = {"queue": "queue:q:0", "buffer": "buffer:b:x", "continuous": "continuous:c:x"}


class Rogue:
    """A process that commits and runs whatever it likes, on a store that is watched."""

    def __init__(self, kind: str) -> None:
        self.instance = INSTANCES[kind]
        definition: Any = {"queue": QUEUE, "buffer": BUFFER, "continuous": JOB}[kind]
        self.definition = definition
        self.simulation = Simulation(definition, workers=2)
        self.watch = Watch(self.simulation)
        self.simulation.open()

    @property
    def now(self) -> int:
        return self.simulation.clock_ms

    @property
    def token(self) -> int:
        """That of the newest lease."""
        record = self.simulation.store.record(self.instance)
        assert record is not None
        return record.token

    def commit(self, actor: str = "worker 1", **parts: Any) -> Outcome:
        transition = Transition(instance=self.instance, at=self.now, **parts)
        (outcome,), _ = self.simulation.store.commit(actor, [transition], None)
        return outcome

    def enqueue(self, *ids: str, lane: str | None = None) -> None:
        items = tuple(NewItem(id, self.definition.codec.encode(id), lane) for id in ids)
        self.commit("client", create=Create(status="active", linger_ms=HOUR_MS), append=items)

    def add(self, *ids: str) -> None:
        items = tuple(NewItem(id, self.definition.event.encode(id), None, NEVER) for id in ids)
        batching = Batching(3, 60_000)
        self.commit("client", create=Create(status="open", segment=1), append=items, batching=batching)

    def start(self, **parts: Any) -> Repeating:
        stored = Repeating(state=JOB.codec.encode(0), epoch=self.now, next_tick=self.now + 60_000, **parts)
        self.write(stored, Guard(exists=False))
        return stored

    def write(self, stored: Repeating, guard: Guard | None = None, **options: Any) -> None:
        guard = guard or Guard()
        self.simulation.store.commit(
            "worker 1",
            [write(stored, instance=self.instance, at=self.now, guard=guard, retention_ms=None, **options)],
            None,
        )

    def claim(self, actor: str = "worker 1") -> Claim:
        request = ClaimRequest(owner=actor, at=self.now, lease_ms=30_000, limit=1, take=10)
        _, claims = self.simulation.store.commit(actor, [], request)
        return claims[0]

    def begin(self, actor: str = "worker 1", **context: Any) -> Execution:
        known = {"instance_id": self.instance, "attempt": 1, "idempotency_key": "k", "partition_key": None}
        run = Execution(self.simulation.processes[actor], (SimpleNamespace(**known | context),), "execute")
        for begun in self.simulation.on_begin:
            begun(run)
        return run

    def own(self, actor: str, claim: Claim) -> None:
        """What `actor` begins from now on, it begins under this lease."""
        owned: Any = SimpleNamespace(token=claim.record.token, record=claim.record)
        self.simulation.processes[actor].running.engine.owned[self.instance] = owned

    def end(self, run: Execution, ended: Any = "returned", error: BaseException | None = None) -> None:
        run.ended, run.error = ended, error
        for told in self.simulation.on_end:
            told(run)

    def call(
        self,
        operation: str,
        request: Any,
        answer: Any = None,
        error: Any = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        kind, name, id = self.instance.split(":")
        call = CallInFlight(self.simulation.client_process, Call(kind, name, id, operation, request))
        for asked in self.simulation.on_call:
            asked(call)
        meanwhile()
        call.answer, call.error = answer, error
        for answered in self.simulation.on_answer:
            answered(call)

    def event(self, id: str, sequence: int = 1, **context: Any) -> Execution:
        return self.begin(event=id, event_id=id, sequence=sequence, **context)

    def batch(self, *events: str, number: int = 1, reason: str = "manual", **context: Any) -> Execution:
        flush_id = f"{self.instance}/1/{number:010d}"
        times = {"first_event_at": self.simulation.now, "last_event_at": self.simulation.now}
        known = {"state": list(events), "event_count": len(events), "flush_id": flush_id, "flush_reason": reason}
        return self.begin(**times | known | {"idempotency_key": flush_id} | context)

    def run(self, number: int = 1, **context: Any) -> Execution:
        known = {"state": 0, "run_count": number, "scheduled_for": self.simulation.now}
        return self.begin(**known | {"idempotency_key": str(number)} | context)


def _taken(rogue: Rogue, *ids: str, lane: str | None = None) -> Item:
    rogue.enqueue(*ids, lane=lane)
    return rogue.claim().items[0]


# One breach of each law.


def told_is_stored(rogue: Rogue) -> None:
    rogue.call("add", (NewItem("1", b""),), answer=[SimpleNamespace(duplicate=False)])


def accepted_once(rogue: Rogue) -> None:
    rogue.add("1")
    rogue.commit(retire=Retire(1, "done", rogue.now - 1), append=(NewItem("1", b"", fresh=True, due=NEVER),))


def duplicates_are_told(rogue: Rogue) -> None:
    for _ in range(2):
        rogue.call("add", (NewItem("1", b""),), answer=[SimpleNamespace(duplicate=False)])


def unknown_is_not_failed(rogue: Rogue) -> None:
    error = StorageError("no", outcome="not_applied")
    rogue.call("add", (NewItem("1", b""),), error=error, meanwhile=lambda: rogue.add("1"))


def no_event_lost(rogue: Rogue) -> None:
    rogue.add("1")
    rogue.commit(retire=Retire(1, "done", rogue.now + 1))
    finish(rogue.simulation.store.backend.sweep(rogue.now + 2, 10))
    rogue.watch.rest()


def ends_for_a_reason(rogue: Rogue) -> None:
    item = _taken(rogue, "1")
    rogue.commit(guard=Guard(token=rogue.token), remove=(Removal(item, "done", rogue.now + HOUR_MS),))


def due_never_lost(rogue: Rogue) -> None:
    stored = rogue.start()
    rogue.commit(put=Put(status="scheduled", data=b""), dues=(Due("run", "clear"),))
    assert stored.next_tick


def window_is_set(rogue: Rogue) -> None:
    rogue.add("1")
    rogue.commit(dues=(Due("window", "clear"),))


def nothing_early(rogue: Rogue) -> None:
    rogue.run(scheduled_for=rogue.simulation.now + timedelta(seconds=1))


def nothing_left_behind(rogue: Rogue) -> None:
    rogue.simulation.processes["worker 1"].crash()
    rogue.simulation.processes["worker 2"].crash()
    rogue.simulation.restarts = False
    rogue.enqueue("1")
    rogue.simulation.loop.skip_to(HOUR_MS * 1000)
    rogue.watch.rest()


def one_owner(rogue: Rogue) -> None:
    rogue.enqueue("1")
    rogue.claim("worker 1")
    rogue.commit("worker 2", guard=Guard(token=rogue.token), release="yes")


def fresh_token(rogue: Rogue) -> None:
    rogue.enqueue("1")
    claim = rogue.claim()
    for granted in rogue.simulation.store.on_claim:
        granted("worker 2", claim)


def generations(rogue: Rogue) -> None:
    rogue.start()
    record = rogue.watch.history.records[rogue.instance]
    record.generation = 7
    rogue.commit(put=Put(status="scheduled", data=record.data))


def written_as_seen(rogue: Rogue) -> None:
    stored = rogue.start()
    rogue.write(stored, Guard(exists=True))


def committed_once(rogue: Rogue) -> None:
    rogue.enqueue("1")
    rogue.claim()
    transition = Transition(instance=rogue.instance, at=rogue.now, guard=Guard(token=rogue.token), release="yes")
    for _ in range(2):
        rogue.simulation.store.commit("worker 1", [transition], None)


def no_overlap(rogue: Rogue) -> None:
    rogue.run(1)
    rogue.run(2, actor="worker 2")


def attempts_count(rogue: Rogue) -> None:
    rogue.end(rogue.event("1"))
    rogue.event("1", attempt=3)


def retry_waits(rogue: Rogue) -> None:
    item = _taken(rogue, "1")
    run = rogue.event("1", item.seq)
    rogue.end(run, "raised", ValueError())
    later = Reschedule(item, rogue.now + 1000, 1, 0, None, True)
    rogue.commit(guard=Guard(token=rogue.token), reschedule=(later,), release="yes")
    rogue.event("1", item.seq, attempt=2)


def crash_loops_end(rogue: Rogue) -> None:
    rogue.event("1", delivery=6)


def same_work(rogue: Rogue) -> None:
    rogue.end(rogue.event("1"), "raised", ValueError())
    rogue.event("2", attempt=2)


def not_after_its_end(rogue: Rogue) -> None:
    item = _taken(rogue, "1")
    rogue.end(rogue.event("1", item.seq))
    rogue.commit(guard=Guard(token=rogue.token), remove=(Removal(item, "done", rogue.now + HOUR_MS),), release="yes")
    rogue.event("1", item.seq)


def once_undisturbed(rogue: Rogue) -> None:
    for _ in range(2):
        rogue.end(rogue.event("1"))


def batch_is_exact(rogue: Rogue) -> None:
    rogue.add("1", "2")
    rogue.batch("1")


def batch_bound(rogue: Rogue) -> None:
    rogue.batch("1", "2", "3", "4")


def batch_order(rogue: Rogue) -> None:
    rogue.end(rogue.batch("1", number=2))
    rogue.batch("1", number=1)


def lane_order(rogue: Rogue) -> None:
    _taken(rogue, "1", "2", lane="a")
    rogue.event("2", 2, partition_key="a")


def queue_width(rogue: Rogue) -> None:
    rogue.event("1", 1)
    rogue.event("2", 2)


def queue_bound(rogue: Rogue) -> None:
    rogue.enqueue("1", "2", "3")


def pause_holds(rogue: Rogue) -> None:
    rogue.enqueue("1", "2")
    rogue.claim()
    rogue.commit(put=Put(status="paused", data=b"", held=True))
    outcome = Outcome(verdict="applied", held=True, items=(Item(2, "2", b"", 0),))
    for told in rogue.simulation.store.on_commit:
        told(
            "worker 1",
            Transition(instance=rogue.instance, at=rogue.now, guard=Guard(token=rogue.token), take=1),
            outcome,
        )


def state_is_the_runs(rogue: Rogue) -> None:
    stored = rogue.start()
    rogue.run(state=5, idempotency_key=f"{rogue.instance}@1.{stored.epoch}.{stored.run_count}")


def runs_count(rogue: Rogue) -> None:
    stored = rogue.start()
    rogue.write(Repeating(state=stored.state, epoch=stored.epoch, next_tick=stored.next_tick, run_count=2))


def no_defect(rogue: Rogue) -> None:
    rogue.simulation.store.defects.append("worker 1: it makes no sense")
    rogue.watch.rest()


BREACHES: dict[str, tuple[str, Callable[[Rogue], None]]] = {
    "told_is_stored": ("buffer", told_is_stored),
    "accepted_once": ("buffer", accepted_once),
    "duplicates_are_told": ("buffer", duplicates_are_told),
    "unknown_is_not_failed": ("buffer", unknown_is_not_failed),
    "no_event_lost": ("buffer", no_event_lost),
    "ends_for_a_reason": ("queue", ends_for_a_reason),
    "due_never_lost": ("continuous", due_never_lost),
    "window_is_set": ("buffer", window_is_set),
    "nothing_early": ("continuous", nothing_early),
    "nothing_left_behind": ("queue", nothing_left_behind),
    "one_owner": ("queue", one_owner),
    "fresh_token": ("queue", fresh_token),
    "generations": ("continuous", generations),
    "written_as_seen": ("continuous", written_as_seen),
    "committed_once": ("queue", committed_once),
    "no_overlap": ("continuous", no_overlap),
    "attempts_count": ("queue", attempts_count),
    "retry_waits": ("queue", retry_waits),
    "crash_loops_end": ("queue", crash_loops_end),
    "same_work": ("queue", same_work),
    "not_after_its_end": ("queue", not_after_its_end),
    "once_undisturbed": ("queue", once_undisturbed),
    "batch_is_exact": ("buffer", batch_is_exact),
    "batch_bound": ("buffer", batch_bound),
    "batch_order": ("buffer", batch_order),
    "lane_order": ("queue", lane_order),
    "queue_width": ("queue", queue_width),
    "queue_bound": ("queue", queue_bound),
    "pause_holds": ("queue", pause_holds),
    "state_is_the_runs": ("continuous", state_is_the_runs),
    "runs_count": ("continuous", runs_count),
    "no_defect": ("queue", no_defect),
}


def test_every_law_has_a_breach_and_a_sentence():
    assert set(BREACHES) == set(LAWS)
    assert all(law.__doc__ for law in LAWS.values())


@pytest.mark.parametrize("law", BREACHES)
def test_a_breach_of_the_law_is_found(law: str):
    kind, breach = BREACHES[law]
    rogue = Rogue(kind)
    with closing(rogue.simulation):
        breach(rogue)
        assert law in {violation.law for violation in rogue.watch.violations}


def given_up_although_it_had_returned(rogue: Rogue) -> None:
    item = _taken(rogue, "1")
    rogue.end(rogue.event("1", item.seq))
    burial = Burial("1", item, item.payload, 1, "", 1, rogue.now + HOUR_MS)
    rogue.commit(guard=Guard(token=rogue.token), bury=(burial,), release="yes")


def overtakes_a_cancelled_event_that_runs(rogue: Rogue) -> None:
    item = _taken(rogue, "1", "2", lane="a")
    rogue.event("1", item.seq, partition_key="a")
    rogue.commit("client", cancel=("1",))
    rogue.event("2", 2, partition_key="a")


def stores_a_failure_while_another_runs_without_the_lease(rogue: Rogue) -> None:
    stored = rogue.start()
    rogue.simulation.loop.skip_to(60_000_000)
    lost = rogue.claim("worker 1")
    rogue.simulation.loop.skip_to(91_000_000)
    rogue.own("worker 2", rogue.claim("worker 2"))
    times = {"epoch": stored.epoch, "next_tick": stored.next_tick, "run_count": 1}
    rogue.write(Repeating(state=stored.state, run=Run(stored.epoch), **times), Guard(token=rogue.token))
    key = f"{rogue.instance}@1.{stored.epoch}.1"
    rogue.end(rogue.run(actor="worker 2", idempotency_key=key), "raised", ValueError())
    rogue.own("worker 1", lost)
    rogue.end(rogue.run(actor="worker 1", idempotency_key=key))
    transition = write(
        Repeating(state=JOB.codec.encode(7), **times),
        instance=rogue.instance,
        at=rogue.now,
        guard=Guard(token=rogue.token),
        retention_ms=None,
    )
    rogue.simulation.store.commit("worker 2", [transition], None)


FURTHER: dict[str, tuple[str, str, Callable[[Rogue], None]]] = {
    "given up although it had returned": ("ends_for_a_reason", "queue", given_up_although_it_had_returned),
    "overtakes a cancelled event that runs": ("lane_order", "queue", overtakes_a_cancelled_event_that_runs),
    "stores a failure while another runs without the lease": (
        "state_is_the_runs",
        "continuous",
        stores_a_failure_while_another_runs_without_the_lease,
    ),
}


@pytest.mark.parametrize("breach", FURTHER)
def test_what_a_law_excuses_is_no_more_than_it_must(breach: str):
    law, kind, happens = FURTHER[breach]
    rogue = Rogue(kind)
    with closing(rogue.simulation):
        happens(rogue)
        assert law in {violation.law for violation in rogue.watch.violations}


def test_a_redrive_that_did_nothing_does_not_begin_the_attempts_anew():
    """Whoever asks again, for the answer was lost, asks about a batch that runs already."""
    rogue = Rogue("buffer")
    with closing(rogue.simulation):
        rogue.add("1")
        run = rogue.batch("1")
        rogue.end(run, "raised", ValueError())
        rogue.call("redrive", run.context.flush_id, answer=0)
        rogue.batch("1")
        assert "attempts_count" in {violation.law for violation in rogue.watch.violations}


def test_a_watch_holds_only_the_laws_that_it_is_given():
    simulation = Simulation(QUEUE)
    watch = Watch(simulation, ["queue_bound"])
    with simulation:
        for told in simulation.on_begin:
            told(Execution(simulation.processes["worker 1"], (SimpleNamespace(instance_id="queue:q:0"),), "on_error"))
        watch.rest()
    assert watch.violations == []


@pytest.mark.parametrize("seed", range(60))
def test_no_law_is_broken_in_a_busy_world(seed: int):
    logging.disable()
    world = BusyWorld(seed, swarm=Swarm(seed, rate=0.1))
    watch = Watch(world.simulation)
    simulation = world.play()
    watch.rest()
    assert watch.violations == [], [str(deviation) for deviation in simulation.choices.taken]
    simulation.close()
    logging.disable(logging.NOTSET)
