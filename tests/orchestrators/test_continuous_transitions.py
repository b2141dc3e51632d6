"""The state machine of a Continuous: every listed move, every refused one, and what holds after each.

Everything here is pure: decisions applied to a store, with no engine, no worker and no clock.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives.durations import to_datetime
from durable_primitives.errors import InstanceNotFoundError, InvalidStateError
from durable_primitives.kernel.decision import NOTHING, Decision
from durable_primitives.kernel.record import TERMINATED, Record
from durable_primitives.kernel.transition import ClaimRequest, Guard
from durable_primitives.primitives.continuous import Continuous
from durable_primitives.primitives.continuous.endings import (
    Abandoned,
    Ended,
    Ending,
    Postponed,
    Raised,
    Returned,
    RunRef,
    Stopped,
    Superseded,
    Terminated,
)
from durable_primitives.primitives.continuous.orchestrator import ContinuousOrchestrator
from durable_primitives.primitives.continuous.requests import EndRequest, PlainRequest, StartRequest
from durable_primitives.primitives.continuous.runs import Runs
from durable_primitives.primitives.continuous.stored import RETRY_DUE, RUN_DUE, read
from durable_primitives.primitives.continuous.transitions import TRANSITIONS, check
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Cancel
from tests.orchestrators.coverage import moves_of, transition_coverage

INSTANCE = "continuous:c:a"
START = 1_700_000_000_000
MINUTE = 60_000
LEASE = 30_000

coverage = transition_coverage(TRANSITIONS)


class Machine:
    """One instance, driven by decisions alone.  Each step is one that the table knows, or lets time pass."""

    def __init__(self, **options: Any) -> None:
        defaults: dict[str, Any] = {
            "schedule": Continuous.every("10 minutes"),
            "retry": RetryPolicy(max_attempts=2, backoff=Backoff.constant("1 minute", jitter="none")),
        }
        definition = Continuous.make("c", state_schema=int, execute=_never, **(defaults | options))
        self.codec = definition.codec
        self.orchestrator = ContinuousOrchestrator(definition, "default")
        self.runs = Runs(definition, "default")
        self.store = MemoryStore()
        self.now = START
        self.run: RunRef | None = None

    @property
    def record(self) -> Record | None:
        record = self.store.load(INSTANCE, (), ()).record
        return None if record is None or record.status == TERMINATED else record

    @property
    def status(self) -> str:
        return "not_found" if self.record is None else self.record.status

    def do(self, step: str) -> Any:
        """Perform one step by name."""
        return getattr(self, step)()

    def apply(self, decision: Decision[Any]) -> Any:
        if decision.transition is None:
            return decision.reply(NOTHING)
        (outcome,), _ = self.store.commit([decision.transition], None)
        assert outcome.verdict == "applied"
        return decision.reply(outcome)

    # Callers.

    def call(self, operation: str, request: Any) -> Any:
        snapshot = self.store.load(INSTANCE, (), ())
        return self.apply(getattr(self.orchestrator, operation)(INSTANCE, snapshot, request, self.now))

    def start(self) -> Any:
        return self.call("start", StartRequest(self.codec.encode(0)))

    def restart(self) -> Any:
        return self.call("start", StartRequest(self.codec.encode(0), "restart"))

    def stop(self) -> Any:
        return self.call("stop", EndRequest("enough"))

    def terminate(self) -> Any:
        return self.call("terminate", EndRequest())

    def trigger(self) -> Any:
        return self.call("trigger", PlainRequest())

    def pause(self) -> Any:
        return self.call("pause", PlainRequest())

    def resume(self) -> Any:
        return self.call("resume", PlainRequest())

    # A worker.

    def guard(self) -> Guard:
        assert self.record is not None
        return Guard(token=self.record.token, version=self.record.version)

    def claim(self) -> bool:
        _, claims = self.store.commit([], ClaimRequest(owner="w", at=self.now, lease_ms=LEASE, limit=1, take=0))
        return bool(claims)

    def begin(self) -> None:
        """Claim, waiting for the due time if need be, and commit the begin of a run."""
        due = self.store.next_due()
        self.now = max(self.now, due or 0)
        assert self.claim()
        assert self.record is not None
        stored, decision = self.runs.begin(self.record, self.guard(), self.now)
        self.apply(decision)
        if stored is not None:
            assert stored.run is not None
            self.run = RunRef(stored.epoch, stored.run_count, stored.run.attempt)

    def skip(self) -> None:
        self.begin()

    def save(self) -> None:
        assert self.record is not None
        assert self.run is not None
        self.apply(self.runs.checkpoint(self.record, self.guard(), self.run, self.codec.encode(7), self.now))

    def end(self, ending: Ending) -> None:
        assert self.record is not None
        assert self.run is not None
        self.apply(self.runs.finish(self.record, self.guard(), Ended(self.run, ending, 5), self.now, 0.5))
        self.run = None

    def succeed(self) -> None:
        self.end(Returned(self.codec.encode(1)))

    def fail(self) -> None:
        self.end(Raised(ValueError("boom")))

    def exhaust(self) -> None:
        assert self.run is not None
        self.run = RunRef(self.run.epoch, self.run.number, 2)
        self.fail()

    def abandon(self) -> None:
        self.end(Abandoned(Cancel()))

    def postpone(self) -> None:
        self.end(Postponed(self.now + MINUTE))

    # Time.

    def wait(self) -> None:
        self.now += 25 * MINUTE


async def _never(ctx: Any) -> None:
    raise AssertionError("decisions run no user code")


REACH: dict[str, tuple[str, ...]] = {
    "not_found": (),
    "scheduled": ("start",),
    "running": ("start", "begin"),
    "retrying": ("start", "begin", "fail"),
    "paused": ("start", "pause"),
    "stopped": ("start", "stop"),
}
"""How each status is reached where nothing else is asked for."""

IN_FLIGHT = ("start", "begin", "pause")
SOON_OVER = {"until": to_datetime(START + 15 * MINUTE)}
LONG_OVER = {"until": to_datetime(START - MINUTE)}


def ends_after(minutes: int) -> Any:
    last = to_datetime(START + minutes * MINUTE)
    return lambda previous, now: (previous or now) + timedelta(minutes=5) if now < last else None


SPECIAL: dict[tuple[str, str, str], tuple[dict[str, Any], tuple[str, ...]]] = {
    ("not_found", "start", "stopped"): (LONG_OVER, ()),
    ("stopped", "start", "stopped"): (SOON_OVER, ("start", "stop", "wait")),
    **{
        (before, "restart", "stopped"): (SOON_OVER, (*REACH[before], "wait"))
        for before in ("scheduled", "running", "retrying", "paused", "stopped")
    },
    ("paused", "resume", "running"): ({}, IN_FLIGHT),
    ("paused", "resume", "retrying"): ({}, ("start", "begin", "fail", "pause")),
    ("paused", "resume", "stopped"): (
        {**SOON_OVER, "misfire": "skip", "start_immediately": False},
        ("start", "pause", "wait"),
    ),
    ("scheduled", "skip", "scheduled"): ({"misfire": "skip", "start_immediately": False}, ("start", "wait")),
    ("scheduled", "skip", "stopped"): (
        {**SOON_OVER, "misfire": "skip", "start_immediately": False},
        ("start", "wait"),
    ),
    ("running", "succeed", "stopped"): ({"max_runs": 1}, ("start", "begin")),
    ("running", "abandon", "stopped"): ({"max_runs": 1}, ("start", "begin")),
    ("running", "exhaust", "paused"): ({"on_exhausted": "pause"}, ("start", "begin")),
    ("running", "exhaust", "stopped"): ({"on_exhausted": "stop"}, ("start", "begin")),
    ("paused", "succeed", "paused"): ({}, IN_FLIGHT),
    ("paused", "succeed", "stopped"): ({"max_runs": 1}, IN_FLIGHT),
    ("paused", "fail", "paused"): ({}, IN_FLIGHT),
    ("paused", "exhaust", "paused"): ({}, IN_FLIGHT),
    ("paused", "exhaust", "stopped"): ({"on_exhausted": "stop"}, IN_FLIGHT),
    ("paused", "abandon", "paused"): ({}, IN_FLIGHT),
    ("paused", "abandon", "stopped"): ({"max_runs": 1}, IN_FLIGHT),
    ("paused", "postpone", "paused"): ({}, IN_FLIGHT),
    ("scheduled", "save", "scheduled"): ({}, ("start", "begin", "stop", "start")),
    ("paused", "save", "paused"): ({}, IN_FLIGHT),
    ("stopped", "save", "stopped"): ({}, ("start", "begin", "stop")),
}
"""The moves that need certain options, or another way to where they begin."""


@pytest.mark.parametrize("move", moves_of(TRANSITIONS), ids=lambda move: f"{move[0]} {move[1]} {move[2]}")
def test_listed_move_leads_where_the_table_says(move: tuple[str, str, str], coverage: Any) -> None:
    before, on, after = move
    options, steps = SPECIAL.get(move, ({}, REACH[before]))
    machine = Machine(**options)
    for step in steps:
        machine.do(step)
    assert machine.status == before

    machine.do(on)

    coverage.saw(before, on, machine.status)
    assert machine.status == after
    holds(machine)


REQUESTS = ("start", "trigger", "pause", "resume", "stop", "terminate")
UNLISTED = [(before, on) for before in REACH for on in REQUESTS if (before, on) not in TRANSITIONS]


@pytest.mark.parametrize(("before", "on"), UNLISTED)
def test_request_that_is_not_listed_changes_nothing(before: str, on: str) -> None:
    machine = Machine()
    for step in REACH[before]:
        machine.do(step)
    stored = machine.record

    try:
        machine.do(on)
    except (InvalidStateError, InstanceNotFoundError):
        pass

    assert machine.record == stored


def test_start_may_refuse_what_exists() -> None:
    machine = Machine()
    machine.start()

    with pytest.raises(InvalidStateError) as refused:
        machine.call("start", StartRequest(machine.codec.encode(0), "raise"))

    assert (refused.value.expected, refused.value.actual) == (("not_found",), "scheduled")


def test_pause_of_a_stopped_instance_says_in_which_states_it_is_possible() -> None:
    machine = Machine()
    machine.start()
    machine.stop()

    with pytest.raises(InvalidStateError) as refused:
        machine.pause()

    assert refused.value.expected == ("scheduled", "running", "retrying")


@pytest.mark.parametrize(
    ("before", "on", "after"),
    [
        ("stopped", "begin", "running"),
        ("paused", "begin", "running"),
        ("not_found", "succeed", "scheduled"),
        ("scheduled", "fly", "scheduled"),
    ],
)
def test_unlisted_move_is_refused_before_it_is_stored(before: str, on: str, after: str) -> None:
    with pytest.raises(AssertionError, match=f"{before} must not become {after} on '{on}'"):
        check(before, on, after)


@pytest.mark.parametrize("step", ["trigger", "pause", "stop", "restart", "terminate"])
def test_late_outcome_of_a_run_never_undoes_what_a_caller_did(step: str) -> None:
    """What the owner saw before the caller's change no longer passes its guard; decided anew, it yields to it."""
    machine = Machine()
    machine.start()
    machine.begin()
    stale = machine.guard()
    machine.do(step)
    assert machine.record is None or machine.record.version != stale.version
    if machine.record is None:
        return
    status = machine.status

    machine.succeed()

    assert machine.status == {"running": "scheduled"}.get(status, status)
    holds(machine)


def test_alarm_that_comes_early_begins_nothing() -> None:
    machine = Machine(start_immediately=False)
    machine.start()
    assert early(machine), "the first tick is not due"
    machine.wait()
    machine.begin()
    machine.fail()
    assert early(machine), "the retry is not due"


def early(machine: Machine) -> bool:
    """Whether a worker that looks at it now finds nothing to run, and gives it back as it is."""
    before = machine.record
    assert before is not None
    run, decision = machine.runs.begin(before, Guard(version=before.version), machine.now)
    machine.apply(decision)
    after = machine.record
    assert after is not None
    return run is None and (after.data, after.dues) == (before.data, before.dues)


def test_run_that_puts_itself_off_after_a_stop_changes_nothing() -> None:
    machine = Machine()
    machine.start()
    machine.begin()
    machine.stop()
    data = machine.record.data if machine.record else b""

    machine.postpone()

    assert machine.record is not None
    assert (machine.status, machine.record.data, machine.record.dues) == ("stopped", data, {})


def test_trigger_runs_where_all_ticks_are_skipped() -> None:
    machine = Machine(misfire="skip")
    machine.start()
    machine.begin()
    machine.succeed()
    machine.now += 25 * MINUTE
    machine.trigger()

    machine.begin()

    assert machine.record is not None
    run = read(machine.record).run
    assert run is not None
    assert (machine.status, run.scheduled_for, run.missed) == ("running", machine.now, 2)


def test_run_of_an_earlier_life_writes_nothing() -> None:
    machine = Machine()
    machine.start()
    machine.begin()
    machine.restart()
    data = machine.record.data if machine.record else b""

    machine.succeed()

    assert machine.record is not None
    assert machine.record.data == data
    assert machine.record.owner is None
    assert machine.record.dues == {RUN_DUE: START}


def test_handler_can_stop_and_terminate_its_instance(coverage: Any) -> None:
    for ending, expected in ((Stopped("done", None), "stopped"), (Terminated("gone"), "not_found")):
        machine = Machine()
        machine.start()
        machine.begin()
        machine.end(ending)
        coverage.saw("running", "stop" if expected == "stopped" else "terminate", machine.status)
        assert machine.status == expected


STEPS = ("start", "restart", "trigger", "pause", "resume", "stop", "terminate", "wait")
ENDS = ("succeed", "fail", "exhaust", "abandon", "postpone", "save")

OPTIONS = st.fixed_dictionaries(
    {
        "misfire": st.sampled_from(["run_once", "skip", "run_all"]),
        "on_exhausted": st.sampled_from(["continue", "pause", "stop"]),
        "start_immediately": st.booleans(),
        "max_runs": st.sampled_from([None, 1, 3]),
        "until": st.sampled_from([None, datetime.fromtimestamp(START / 1000 + 5400, UTC)]),
        "schedule": st.sampled_from(
            [
                Continuous.every("10 minutes"),
                Continuous.every("10 minutes", anchor="finish", jitter="1 minute"),
                ends_after(120),
            ]
        ),
    }
)


@given(OPTIONS, st.lists(st.sampled_from((*STEPS, *ENDS, "work", "work")), max_size=40))
def test_any_sequence_of_steps_keeps_the_laws(options: dict[str, Any], steps: list[str]) -> None:
    machine = Machine(**options)
    for step in steps:
        if step == "work":
            if machine.run is None and machine.store.next_due() is not None:
                machine.begin()
        elif step in ENDS:
            if machine.run is not None and machine.record is not None:
                with suppress(Superseded):  # a checkpoint of a run whose instance was restarted
                    machine.do(step)
        else:
            try:
                machine.do(step)
            except (InvalidStateError, InstanceNotFoundError):
                pass
            if machine.record is None:
                machine.run = None
        holds(machine)


def holds(machine: Machine) -> None:
    """A live instance has a due time or an owner; what is held back has none that would bring it to execution."""
    record = machine.record
    if record is None:
        return
    stored = read(record)
    assert record.status == stored.status
    assert record.held == (stored.mode == "paused")
    if stored.mode == "live" and record.owner is None:
        assert record.alarm is not None
        assert set(record.dues) == ({RETRY_DUE} if stored.status == "retrying" else {RUN_DUE})
    if stored.mode == "stopped":
        assert not record.dues
        assert record.linger_ms is not None
    else:
        assert record.linger_ms is None
