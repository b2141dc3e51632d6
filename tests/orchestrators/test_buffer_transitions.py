"""The life of a batch: every listed move, every one that is not listed, and what holds after each.

Everything here is pure: decisions applied to a store, with no engine, no worker and no clock.
"""

from __future__ import annotations

from typing import Any

import pytest

from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives.errors import InvalidStateError
from durable_primitives.kernel.decision import NOTHING, Decision
from durable_primitives.kernel.record import NEVER, Record
from durable_primitives.kernel.transition import WINDOW_DUE, ClaimRequest, Due, Guard, NewItem, Outcome, Transition
from durable_primitives.primitives.buffer import Buffer, BufferEventContext
from durable_primitives.primitives.buffer.flushing import Ending, Flushing
from durable_primitives.primitives.buffer.orchestrator import BufferOrchestrator, NoRequest
from durable_primitives.primitives.buffer.stored import flush_id, gather, open_count, read
from durable_primitives.primitives.buffer.transitions import SETTLEMENTS, TRANSITIONS
from tests.orchestrators.coverage import moves_of, transition_coverage

INSTANCE = "buffer:b:a"
START = 1_700_000_000_000
WINDOW = 10_000
LEASE = 30_000
BACKOFF = 20_000
TABLE = {move: (after,) for move, after in TRANSITIONS.items()}

coverage = transition_coverage(TABLE)


class Machine:
    """One instance, driven by decisions alone."""

    def __init__(self, folds: bool) -> None:
        self.definition: Any = Buffer.make(
            "b",
            event_schema=str,
            on_event=collect if folds else None,
            flush_after="10 seconds",
            max_events=3,
            execute=_never,
        )
        self.orchestrator = BufferOrchestrator(self.definition, "default")
        self.flushing = Flushing(self.definition, "default")
        self.store = MemoryStore()
        self.now = START
        self.events = 0
        self.segment = 1
        for step in ("add", "flush", "begin", "returned"):
            self.do(step)
        self.look_at_the_next()

    def look_at_the_next(self) -> None:
        """The batch that is looked at is the one that the next event opens."""
        self.segment = self.record.segment
        self.id = flush_id(self.record, self.segment)
        self.first_event = f"e{self.events + 1}"

    @property
    def record(self) -> Record:
        record = self.store.load(INSTANCE, (), ()).record
        assert record is not None
        return record

    @property
    def state(self) -> str:
        """The state of the batch that is looked at, read from what is stored and from nothing else."""
        record = self.record
        stored = read(record)
        snapshot = self.store.load(INSTANCE, (self.first_event,), (self.id,))
        flush = stored.flush
        if flush is not None and flush.flush_id == self.id:
            return "flushing" if flush.retry_at is None else "retrying"
        if self.id in snapshot.letters:
            return "redriven" if self.id in stored.redrives else "dead"
        if record.segment == self.segment and open_count(record, stored):
            return "open"
        if stored.ended < self.segment < record.segment:
            return "sealed"
        if self.first_event not in snapshot.receipts:
            return "absent"
        settled = snapshot.receipts[self.first_event].settlement
        return next(state for state, settlement in ENDED.items() if settlement == settled)

    def do(self, step: str) -> None:
        """Let one thing happen."""
        getattr(self, step)()

    def apply(self, decision: Decision[Any]) -> Any:
        if decision.transition is None:
            return decision.reply(NOTHING)
        (outcome,), _ = self.store.commit([decision.transition], None)
        assert outcome.verdict == "applied", outcome.verdict
        return decision.reply(outcome)

    # Callers.

    def add(self) -> None:
        self.events += 1
        item = NewItem(f"e{self.events}", self.definition.event.encode("event"), None, NEVER)
        if self.definition.gathering.folds:
            self.apply(self.orchestrator.fold(INSTANCE, self.store.load(INSTANCE, (), ()), (item,), self.now))
        else:
            self.apply(self.orchestrator.add(INSTANCE, (item,), self.now))

    def fill(self) -> None:
        segment = self.record.segment
        while self.record.segment == segment:
            self.add()

    def ask(self, operation: str, request: Any) -> Any:
        snapshot = self.store.load(INSTANCE, (), (self.id,) if operation in ("redrive", "discard") else ())
        return self.apply(getattr(self.orchestrator, operation)(INSTANCE, snapshot, request, self.now))

    def flush(self) -> None:
        self.ask("flush", NoRequest())

    def clear(self) -> None:
        self.ask("clear", NoRequest())

    def redrive(self) -> None:
        self.ask("redrive", self.id)

    def discard(self) -> None:
        self.ask("discard", self.id)

    # The owner.

    def guard(self) -> Guard:
        record = self.record
        return Guard(token=record.token, generation=record.generation, version=record.version)

    def claim(self) -> bool:
        _, claims = self.store.commit([], ClaimRequest(owner="w", at=self.now, lease_ms=LEASE, limit=1, take=0))
        return bool(claims)

    def take_up(self) -> Outcome:
        decision = self.flushing.begin(self.record, self.guard(), self.now)
        assert decision.transition is not None
        (outcome,), _ = self.store.commit([decision.transition], None)
        assert outcome.verdict == "applied"
        return outcome

    def begin(self) -> None:
        """Wait until it is due, claim it, begin."""
        due = self.store.next_due()
        assert due is not None
        self.now = max(self.now, due)
        assert self.claim()
        assert not self.take_up().released

    def expire(self) -> None:
        """The time of the open batch comes while a dead letter waits for its retry: nothing else happens to it."""
        self.now += WINDOW
        assert self.claim()
        assert self.take_up().released

    def crash(self) -> None:
        """The owner is never heard of again; another takes over when its lease has run out."""
        self.now += LEASE
        assert self.claim()
        self.take_up()

    def shutdown(self) -> None:
        self.store.commit([self.flushing.give_back(INSTANCE, self.guard(), self.now)], None)

    def end(self, on: Any, **details: Any) -> None:
        batch = gather(self.store.items(INSTANCE, self.segment, 0, 100), "manual")
        ending = Ending(on=on, batch=batch, attempt=1, **details)
        self.apply(self.flushing.settle(self.record, self.guard(), ending, False, self.now))

    def returned(self) -> None:
        self.end("returned")

    def raised(self) -> None:
        self.end("raised", cause=OSError(), delay_ms=BACKOFF)

    def snoozed(self) -> None:
        self.end("snoozed", delay_ms=BACKOFF)

    def gave_up(self) -> None:
        self.end("gave_up", cause=OSError(), reason="max_attempts")

    def crash_looped(self) -> None:
        self.end("crash_looped", cause=OSError(), reason="crash_loop")

    def cancelled(self) -> None:
        self.end("cancelled")

    def vanished(self) -> None:
        self.end("vanished")


def collect(ctx: BufferEventContext[str, list[str]]) -> list[str]:
    return [*(ctx.state or []), ctx.event]


async def _never(ctx: Any) -> None:
    raise AssertionError("decisions run no user code")


REACH: dict[str, tuple[str, ...]] = {
    "absent": (),
    "open": ("add",),
    "sealed": ("add", "flush"),
    "flushing": ("add", "flush", "begin"),
    "retrying": ("add", "flush", "begin", "raised"),
    "flushed": ("add", "flush", "begin", "returned"),
    "dead": ("add", "flush", "begin", "gave_up"),
    "redriven": ("add", "flush", "begin", "gave_up", "redrive"),
    "cleared": ("add", "flush", "begin", "cancelled"),
    "discarded": ("add", "flush", "begin", "gave_up", "discard"),
}
"""How each state is reached."""

ENDED = {"flushed": "done", "cleared": "cleared", "discarded": "dead"}
"""How the receipts of a batch are settled that is nowhere any more."""


def reach(state: str, folds: bool) -> Machine:
    machine = Machine(folds)
    for step in REACH[state]:
        machine.do(step)
    assert machine.state == state
    return machine


def holds(machine: Machine) -> None:
    """What is true after every move."""
    record = machine.record
    stored = read(record)
    assert 0 <= stored.ended < record.segment
    assert (WINDOW_DUE in record.dues) == (open_count(record, stored) > 0)
    waits = stored.flush is not None or stored.redrives or stored.ended < record.segment - 1
    if waits and record.owner is None:
        assert record.alarm is not None
    if stored.flush is not None and stored.flush.retry_at is not None and record.owner is None:
        assert record.dues["retry"] == stored.flush.retry_at
    assert set(stored.reasons) <= set(range(stored.ended + 1, record.segment))
    if not waits and not open_count(record, stored) and record.owner is None:
        assert record.count == 0
        assert record.linger_ms == machine.definition.dedupe_ms


@pytest.mark.parametrize("folds", [False, True], ids=["list", "reducer"])
@pytest.mark.parametrize("move", moves_of(TABLE), ids=lambda move: f"{move[0]} {move[1]}")
def test_listed_move_leads_where_the_table_says(move: tuple[str, str, str], folds: bool, coverage: Any) -> None:
    before, on, after = move
    machine = held_back(folds) if on == "expire" else reach(before, folds)

    machine.do(on)

    coverage.saw(before, on, machine.state)
    assert machine.state == after
    holds(machine)


def held_back(folds: bool) -> Machine:
    """An open batch behind one that waits for its retry: its time can come without its turn."""
    machine = Machine(folds)
    for step in REACH["retrying"]:
        machine.do(step)
    machine.look_at_the_next()
    machine.do("add")
    return machine


REQUESTS = ("add", "fill", "flush", "clear", "redrive", "discard")
UNLISTED = [
    (before, on) for before in REACH for on in REQUESTS if (before, on) not in {*TRANSITIONS, ("absent", "fill")}
]


@pytest.mark.parametrize("folds", [False, True], ids=["list", "reducer"])
@pytest.mark.parametrize(("before", "on"), UNLISTED)
def test_request_that_is_not_listed_leaves_the_batch_as_it_is(before: str, on: str, folds: bool) -> None:
    machine = reach(before, folds)
    items = machine.store.items(INSTANCE, machine.segment, 0, 100)

    try:
        machine.do(on)
    except InvalidStateError:
        assert (before, on) in {("flushing", "discard"), ("retrying", "discard")}

    assert machine.state == before
    assert machine.store.items(INSTANCE, machine.segment, 0, 100) == items
    holds(machine)


def test_every_settlement_is_the_end_of_a_flush() -> None:
    ends = {after for (before, _), after in TRANSITIONS.items() if before == "flushing"} - {"flushing", "retrying"}

    assert set(SETTLEMENTS) == ends


ENDINGS = ("returned", "raised", "snoozed", "gave_up", "crash_looped", "cancelled", "vanished")


@pytest.mark.parametrize("folds", [False, True], ids=["list", "reducer"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_owner_that_lost_its_lease_ends_nothing(ending: str, folds: bool) -> None:
    machine = reach("flushing", folds)
    stale, record = machine.guard(), machine.record
    machine.crash()
    before = machine.record
    batch = gather(machine.store.items(INSTANCE, machine.segment, 0, 100), "manual")
    late = Ending(on=ending, batch=batch, attempt=1, cause=OSError())  # type: ignore[arg-type]
    decision = machine.flushing.settle(record, stale, late, False, machine.now)
    assert decision.transition is not None
    (outcome,), _ = machine.store.commit([decision.transition], None)

    assert outcome.verdict == "fenced"
    assert machine.record == before


def test_stale_timer_of_an_empty_batch_is_cleared_by_the_claim_that_it_caused() -> None:
    machine = Machine(folds=False)
    machine.store.commit(
        [Transition(instance=INSTANCE, at=machine.now, dues=(Due(WINDOW_DUE, "set", machine.now + 1),))], None
    )
    machine.now += 1
    assert machine.claim()
    machine.take_up()

    assert machine.record.dues == {}
    assert machine.flushing.is_idle(machine.record)


def test_redriven_batch_takes_no_other_one_s_turn() -> None:
    machine = reach("redriven", folds=False)
    ended = read(machine.record).ended
    for step in ("begin", "returned"):
        machine.do(step)

    assert read(machine.record).ended == ended


def test_retry_that_is_not_due_is_not_begun() -> None:
    machine = reach("retrying", folds=False)
    due = machine.store.next_due()
    machine.do("fill")
    assert machine.claim()
    assert machine.take_up().released

    assert (machine.state, machine.store.next_due()) == ("retrying", due)
