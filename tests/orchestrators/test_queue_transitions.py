"""The state machine of a Queue: what every attempt leads to, every listed move of an event, and every refused one.

Everything here is pure: decisions applied to a store, with no engine, no worker and no clock.
"""

from __future__ import annotations

from typing import Any

import pytest

from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives.errors import QueueFullError
from durable_primitives.events import ErrorInfo, PrimitiveEvent
from durable_primitives.kernel.decision import NOTHING, Decision
from durable_primitives.kernel.record import Item, Record
from durable_primitives.kernel.transition import (
    Burial,
    ClaimRequest,
    Guard,
    NewItem,
    Outcome,
    Removal,
    Reschedule,
    Transition,
)
from durable_primitives.primitives.queue import Queue
from durable_primitives.primitives.queue.orchestrator import (
    EnqueueRequest,
    IdsRequest,
    NoRequest,
    QueueOrchestrator,
    Verdict,
)
from durable_primitives.primitives.queue.transitions import ATTEMPTS, TRANSITIONS
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.services.failures import encode_failure
from durable_primitives.signals import Cancel, DeadLetter, Retry, Snooze
from tests.orchestrators.coverage import transition_coverage

INSTANCE = "queue:q:0"
START = 1_700_000_000_000
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
LEASE = 30 * SECOND
ATTEMPTS_ALLOWED = 3

coverage = transition_coverage({move: (after,) for move, after in TRANSITIONS.items()})


def make(**options: Any) -> Any:
    """A queue that backs off for ten seconds and never retries a `KeyError`."""
    retry = RetryPolicy(ATTEMPTS_ALLOWED, Backoff.constant("10 seconds", jitter="none"), give_up_on=(KeyError,))
    return Queue.make("q", event_schema=str, execute=_never, retry=retry, **options)


async def _never(ctx: Any) -> None:
    raise AssertionError("decisions run no user code")


# What an attempt leads to.

ERRORS: dict[str, BaseException] = {
    "raised": ValueError("boom"),
    "refused": KeyError("boom"),
    "retry": Retry(after="7 seconds"),
    "snooze": Snooze("1 minute"),
    "cancel": Cancel("not wanted"),
    "dead_letter": DeadLetter("poison"),
}

# attempt, the last one?, what becomes of the event, its next due time, the reason that is told
ROWS: list[tuple[str, bool, str, int | None, str | None]] = [
    ("returned", False, "completed", None, None),
    ("returned", True, "completed", None, None),
    ("raised", False, "retry", 10 * SECOND, None),
    ("raised", True, "dead", None, "max_attempts"),
    ("refused", False, "dead", None, "give_up_on"),
    ("refused", True, "dead", None, "max_attempts"),
    ("retry", False, "retry", 7 * SECOND, None),
    ("retry", True, "dead", None, "max_attempts"),
    ("snooze", False, "snoozed", MINUTE, None),
    ("snooze", True, "snoozed", MINUTE, None),
    ("cancel", False, "cancelled", None, "not wanted"),
    ("cancel", True, "cancelled", None, "not wanted"),
    ("dead_letter", False, "dead", None, "poison"),
    ("dead_letter", True, "dead", None, "poison"),
]
EARLIER = encode_failure(ErrorInfo("OSError", "the attempt before"))


def tried(attempt: str, item: Item, **options: Any) -> Verdict:
    """What the orchestrator makes of one attempt."""
    orchestrator = QueueOrchestrator(make(**options), "default")
    if attempt == "returned":
        return orchestrator.completed(item, START)
    return orchestrator.failed(item, ERRORS[attempt], START, draw=0.5)


def test_rows_below_are_those_of_the_table():
    assert {(how, last): ended for how, last, ended, _, _ in ROWS} == {
        (how, last): ended[last] for how, ended in ATTEMPTS.items() for last in (False, True)
    }


@pytest.mark.parametrize("ordering", ["strict", "relaxed"])
@pytest.mark.parametrize(("how", "last", "ended", "wait", "reason"), ROWS)
def test_attempt(how: str, last: bool, ended: str, wait: int | None, reason: str | None, ordering: str):
    finished = ATTEMPTS_ALLOWED - 1 if last else 0
    item = Item(7, "evt", b"payload", START - HOUR, "lane", attempt=finished, delivery=2, error=EARLIER)

    verdict = tried(how, item, ordering=ordering, dedupe_window="1 hour")

    assert (verdict.ended, verdict.reason) == (ended, reason)
    told = None if how == "returned" else ErrorInfo.of(ERRORS[how])
    changes: dict[str, Removal | Reschedule | Burial] = {
        "completed": Removal(item, "done", START + HOUR),
        "cancelled": Removal(item, "cancelled", START + HOUR),
        # A retry counts the attempt and stores its error; a snooze does neither.  Both clear the deliveries.
        "retry": Reschedule(
            item, START + (wait or 0), finished + 1, 0, told and encode_failure(told), ordering == "strict"
        ),
        "snoozed": Reschedule(item, START + (wait or 0), finished, 0, EARLIER, ordering == "strict"),
        "dead": Burial("evt", item, b"payload", finished + 1, told and encode_failure(told), 1, START + 30 * DAY),
    }
    assert verdict.change == changes[ended]
    assert verdict.error == (told if ended in ("retry", "dead") else None)


def test_signal_without_arguments_means_the_usual():
    orchestrator = QueueOrchestrator(make(), "default")
    item = Item(1, "evt", b"", START)

    again = orchestrator.failed(item, Retry(), START, draw=0.5)
    assert isinstance(again.change, Reschedule)
    assert again.change.due == START + 10 * SECOND
    assert orchestrator.failed(item, Cancel(), START, draw=0.5).reason is None
    assert orchestrator.failed(item, DeadLetter(), START, draw=0.5).reason == "dead_letter"


def test_retry_at_once_is_due_but_not_ready():
    """A due time of zero would mean "ready": the event would lose its place before the others of its key."""
    orchestrator = QueueOrchestrator(make(), "default")

    verdict = orchestrator.failed(Item(1, "evt", b"", 0), Retry(after="0s"), now=0, draw=0.5)

    assert isinstance(verdict.change, Reschedule)
    assert verdict.change.due == 1


def test_only_listed_exceptions_are_retried_if_any_are_listed():
    policy = RetryPolicy(ATTEMPTS_ALLOWED, retry_on=(OSError,))
    queue = Queue.make("q", event_schema=str, execute=_never, retry=policy)
    orchestrator = QueueOrchestrator(queue, "default")
    item = Item(1, "evt", b"", START)

    assert orchestrator.failed(item, ConnectionError(), START, draw=0.5).ended == "retry"
    assert orchestrator.failed(item, ValueError(), START, draw=0.5).ended == "dead"
    assert orchestrator.failed(item, Retry(), START, draw=0.5).ended == "retry"


@pytest.mark.parametrize(
    ("age", "delay", "attempt", "expires"),
    [
        (HOUR - 1, 0, 0, False),
        (HOUR, 0, 0, True),
        (DAY, 0, 0, True),
        (DAY, 0, 1, False),
        (DAY + HOUR - 1, DAY, 0, False),
        (DAY + HOUR, DAY, 0, True),
    ],
)
def test_event_expires_unless_it_was_tried_in_time(age: int, delay: int, attempt: int, expires: bool):
    """The time that counts begins when the event could have started."""
    orchestrator = QueueOrchestrator(make(expires_after="1 hour"), "default")
    item = Item(1, "evt", b"", START, due=START + delay if delay else 0, attempt=attempt)

    verdict = orchestrator.expired(item, START + age)

    assert (verdict is not None) == expires
    assert QueueOrchestrator(make(), "default").expired(item, START + 10 * DAY) is None


def test_crash_loop_is_a_dead_letter_that_counts_no_attempt():
    item = Item(1, "evt", b"payload", START, attempt=1, delivery=5)

    verdict = QueueOrchestrator(make(), "default").crashed(INSTANCE, item, START)

    assert isinstance(verdict.change, Burial)
    assert (verdict.change.attempts, verdict.change.payload, verdict.reason) == (1, b"payload", "crash_loop")


# The life of one event.


class Machine:
    """One instance with one event, driven by decisions alone.  Each method is one happening of the table."""

    def __init__(self, **options: Any) -> None:
        options = {"expires_after": "10 hours", "max_pending": 1, "on_full": "drop_oldest"} | options
        self.orchestrator = QueueOrchestrator(make(**options), "default")
        self.store = MemoryStore()
        self.now = START
        self.told: list[PrimitiveEvent] = []

    @property
    def record(self) -> Record | None:
        return self.store.load(INSTANCE, (), ()).record

    @property
    def state(self) -> str:
        """Where the event stands, read from the store alone."""
        snapshot = self.store.load(INSTANCE, ("evt",), ("evt",))
        receipt = snapshot.receipts.get("evt")
        if receipt is None:
            return "absent"
        if receipt.settlement == "dead":
            return "dead" if snapshot.letters else "discarded"
        if receipt.settlement is not None:
            return receipt.settlement
        if self.record is not None and receipt.seq in self.record.taken:
            return "in_hand"
        return "waiting" if receipt.due > self.now else "ready"

    def do(self, happening: str) -> Any:
        return getattr(self, happening)()

    def apply(self, decision: Decision[Any]) -> Any:
        outcome = NOTHING if decision.transition is None else self.commit(decision.transition)
        if outcome.verdict == "applied" and decision.transition is not None and decision.events is not None:
            self.told += decision.events(outcome)
        return decision.reply(outcome)

    def commit(self, transition: Transition) -> Outcome:
        return self.store.commit([transition], None)[0][0]

    # Clients.

    def send(self, id: str, due: int = 0) -> Any:
        request = EnqueueRequest(0, (NewItem(id, id.encode(), "lane", due),))
        return self.apply(self.orchestrator.enqueue(INSTANCE, request, self.now))

    def enqueue(self) -> Any:
        return self.send("evt")

    def delay(self) -> Any:
        return self.send("evt", self.now + MINUTE)

    def overflow(self) -> Any:
        return self.send("other", self.now + 9 * DAY)

    def cancel(self) -> str:
        return self.apply(self.orchestrator.cancel(INSTANCE, IdsRequest(("evt",)), self.now))

    def clear(self) -> int:
        return self.apply(self.orchestrator.clear(INSTANCE, NoRequest(), self.now))

    def redrive(self) -> int:
        return self.apply(self.orchestrator.redrive(INSTANCE, IdsRequest(("evt",)), self.now))

    def discard(self) -> int:
        return self.apply(self.orchestrator.discard(INSTANCE, IdsRequest(("evt",)), self.now))

    def hold(self, operation: str) -> bool:
        snapshot = self.store.load(INSTANCE, (), ())
        return self.apply(getattr(self.orchestrator, operation)(INSTANCE, snapshot, NoRequest(), self.now))

    # The owner.

    def take(self) -> None:
        """Claim and take, a minute later: whatever waited is due."""
        self.now += MINUTE
        self.claim(take=1)

    def claim(self, take: int) -> None:
        self.store.commit([], ClaimRequest(owner="w", at=self.now, lease_ms=LEASE, limit=1, take=take))

    def crash(self) -> None:
        """Nothing is heard of the owner; when its lease is over, another claims."""
        self.now += LEASE
        self.claim(take=0)

    def give_back(self) -> None:
        self.own(give_back=(self.item.seq,))

    @property
    def item(self) -> Item:
        (item,) = self.store.items(INSTANCE, 0, 0, 10)
        return item

    def own(self, **parts: Any) -> None:
        assert self.record is not None
        guard = Guard(token=self.record.token)
        outcome = self.commit(Transition(instance=INSTANCE, at=self.now, guard=guard, release="yes", **parts))
        assert outcome.verdict == "applied"

    def settle(self, verdict: Verdict | None) -> None:
        assert verdict is not None
        part = {Removal: "remove", Reschedule: "reschedule", Burial: "bury"}[type(verdict.change)]
        self.own(**{part: (verdict.change,)})

    def completed(self) -> None:
        self.settle(self.orchestrator.completed(self.item, self.now))

    def retry(self) -> None:
        self.settle(self.orchestrator.failed(self.item, ValueError(), self.now, 0.5))

    def snoozed(self) -> None:
        self.settle(self.orchestrator.failed(self.item, Snooze("1 minute"), self.now, 0.5))

    def cancelled(self) -> None:
        self.settle(self.orchestrator.failed(self.item, Cancel(), self.now, 0.5))

    def dead(self) -> None:
        self.settle(self.orchestrator.failed(self.item, KeyError(), self.now, 0.5))

    def expired(self) -> None:
        self.settle(self.orchestrator.expired(self.item, self.now + 10 * HOUR))


REACH: dict[str, tuple[str, ...]] = {
    "absent": (),
    "ready": ("enqueue",),
    "waiting": ("delay",),
    "in_hand": ("enqueue", "take"),
    "done": ("enqueue", "take", "completed"),
    "dead": ("enqueue", "take", "dead"),
    "cancelled": ("enqueue", "cancel"),
    "cleared": ("enqueue", "clear"),
    "expired": ("enqueue", "take", "expired"),
    "discarded": ("enqueue", "take", "dead", "discard"),
}
"""How each state is reached."""

ASKED = ("enqueue", "delay", "cancel", "clear", "overflow", "redrive", "discard", "take")
"""What can be tried in every state; the rest only the owner says, of what it has in hand."""


def reach(state: str, **options: Any) -> Machine:
    machine = Machine(**options)
    for step in REACH[state]:
        machine.do(step)
    assert machine.state == state
    return machine


@pytest.mark.parametrize(("before", "on"), TRANSITIONS)
def test_listed_move(before: str, on: str, coverage: Any):
    machine = reach(before)

    machine.do(on)

    coverage.saw(before, on, machine.state)


@pytest.mark.parametrize(
    ("state", "on"), [(state, on) for state in REACH for on in ASKED if (state, on) not in TRANSITIONS]
)
def test_what_is_not_listed_changes_nothing(state: str, on: str):
    machine = reach(state)

    machine.do(on)

    assert machine.state == state


@pytest.mark.parametrize("state", [state for state in REACH if state != "absent"])
def test_known_event_is_a_duplicate_in_every_state(state: str):
    machine = reach(state)

    (accepted,) = machine.enqueue()

    assert accepted.duplicate
    assert machine.told[-1].type == "queue.duplicate"


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("absent", "not_found"),
        ("ready", "cancelled"),
        ("waiting", "cancelled"),
        ("in_hand", "running"),
        ("done", "done"),
        ("dead", "done"),
        ("cancelled", "cancelled"),
        ("cleared", "done"),
        ("expired", "done"),
        ("discarded", "done"),
    ],
)
def test_cancel_answers_with_what_it_found(state: str, answer: str):
    assert reach(state).cancel() == answer


def test_cancel_of_what_is_in_hand_asks_its_owner_once():
    machine = reach("in_hand")

    assert [machine.cancel(), machine.cancel()] == ["running", "running"]
    assert machine.record is not None
    assert machine.record.cancels == (machine.item.seq,)


@pytest.mark.parametrize(
    ("operation", "state", "answer", "told"),
    [
        ("clear", "ready", 1, "queue.cleared"),
        ("clear", "waiting", 1, "queue.cleared"),
        ("clear", "in_hand", 0, "queue.cleared"),
        ("clear", "absent", 0, None),
        ("redrive", "dead", 1, "queue.redriven"),
        ("redrive", "done", 0, None),
        ("redrive", "absent", 0, None),
        ("discard", "dead", 1, "queue.discarded"),
        ("discard", "done", 0, None),
        ("discard", "absent", 0, None),
    ],
)
def test_operations_answer_and_tell_what_they_did(operation: str, state: str, answer: int, told: str | None):
    machine = reach(state)
    machine.told.clear()

    assert machine.do(operation) == answer
    assert [event.type for event in machine.told] == ([] if told is None else [told])


def test_redriven_event_has_all_its_attempts_and_no_delivery_behind_it():
    machine = reach("dead")

    machine.redrive()

    assert (machine.item.attempt, machine.item.delivery, machine.item.error) == (0, 0, None)
    assert (machine.item.payload, machine.item.lane) == (b"evt", "lane")


def test_full_instance_refuses_what_is_new_and_stays_as_it_was():
    machine = reach("ready", on_full="reject")

    with pytest.raises(QueueFullError) as full:
        machine.send("other")

    assert (full.value.pending, full.value.limit) == (1, 1)
    assert machine.item.id == "evt"
    assert machine.enqueue()[0].duplicate


# The instance.


@pytest.mark.parametrize("state", ["absent", "ready", "in_hand", "done"])
def test_pause_and_resume(state: str):
    machine = reach(state)
    machine.told.clear()

    assert [machine.hold("pause"), machine.hold("pause")] == [True, True]
    assert machine.record is not None
    assert (machine.record.held, machine.record.status) == (True, "paused")
    assert [machine.hold("resume"), machine.hold("resume")] == [False, False]
    assert (machine.record.held, machine.record.status) == (False, "active")
    assert machine.state == state
    assert [event.type for event in machine.told] == ["queue.paused", "queue.resumed"]


def test_paused_instance_accepts_and_hands_nothing_out():
    machine = Machine()
    machine.hold("pause")
    machine.enqueue()

    assert machine.store.next_due() is None
    machine.take()
    assert machine.state == "ready"
    machine.hold("resume")
    machine.take()
    assert machine.state == "in_hand"


def test_nothing_but_enqueue_and_pause_makes_an_instance():
    machine = Machine()
    for operation in ("cancel", "clear", "redrive", "discard"):
        machine.do(operation)
    machine.hold("resume")

    assert machine.record is None
    assert machine.told == []


def test_parked_instance_goes_on_as_active():
    machine = reach("ready")
    assert machine.record is not None
    assert machine.orchestrator.revive(machine.record) == "active"
