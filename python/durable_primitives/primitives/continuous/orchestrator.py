"""Decides what callers ask for.  Pure: a snapshot, a request and the time give one `Decision`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from durable_primitives.errors import InstanceNotFoundError, InvalidStateError, SerializationError
from durable_primitives.events import (
    ContinuousPaused,
    ContinuousResumed,
    ContinuousStarted,
    ContinuousStopped,
    ContinuousTerminated,
    ContinuousTriggered,
    PrimitiveEvent,
)
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.record import Record, Snapshot
from durable_primitives.kernel.transition import Guard, Transition
from durable_primitives.primitives.continuous.queries import (
    ContinuousQueries,
    identity,
    live_record,
    next_run_at,
    state_of,
    time_of,
)
from durable_primitives.primitives.continuous.requests import EndRequest, PlainRequest, StartRequest
from durable_primitives.primitives.continuous.results import (
    PauseResult,
    StartResult,
    StopResult,
    TerminateResult,
    TriggerResult,
)
from durable_primitives.primitives.continuous.stored import NOT_FOUND, Stored, read, write
from durable_primitives.primitives.continuous.transitions import allowed, check, sources

if TYPE_CHECKING:
    from durable_primitives.primitives.continuous.definition import ContinuousDefinition

R = TypeVar("R")


class ContinuousOrchestrator(ContinuousQueries):
    """One definition in one namespace, as its callers see it."""

    def __init__(self, definition: ContinuousDefinition[Any], namespace: str) -> None:
        self._lifecycle = definition.lifecycle
        self._retention_ms = definition.retention_ms
        self._namespace = namespace

    # Beginning.

    def start(self, instance: str, snapshot: Snapshot, request: StartRequest, now: int) -> Decision[StartResult]:
        """Absent: a new life.  Stopped: it goes on.  Otherwise what `if_exists` says."""
        record = live_record(snapshot)
        if record is None:
            return self._started(self._lifecycle.start(instance, request.state, now, now), instance, None, now)
        if request.if_exists == "raise":
            raise InvalidStateError(NOT_FOUND, record.status, "start")
        if request.if_exists == "restart":
            before = _read_or_blank(record, now)
            return self._started(self._lifecycle.restart(before, instance, request.state, now), instance, record, now)
        stored = read(record)
        if stored.mode == "stopped":
            return self._started(self._lifecycle.start_again(stored, instance, now), instance, record, now)
        return _nothing(StartResult(instance, False, state_of(record), next_run_at(record, stored)))

    def _started(self, stored: Stored, instance: str, record: Record | None, now: int) -> Decision[StartResult]:
        event = ContinuousStarted(
            at_ms=now,
            next_due_ms=stored.next_run_at,
            restarted=record is not None,
            **identity(self._namespace, instance),
        )
        reply = StartResult(instance, record is None, stored.status, time_of(stored.next_run_at))
        return self._commit(stored, instance, record, now, reply, event)

    # Ending.

    def stop(self, instance: str, snapshot: Snapshot, request: EndRequest, now: int) -> Decision[StopResult]:
        """Keep the state, clear the dues.  A run in flight is asked to end and can no longer schedule anything."""
        record = live_record(snapshot)
        if record is None:
            return _nothing(StopResult(instance, False, None))
        before = read(record)
        if before.mode == "stopped":
            return _nothing(StopResult(instance, True, before.stop_reason))
        stored = self._lifecycle.stop(before, request.reason)
        event = ContinuousStopped(
            at_ms=now, run_count=stored.run_count, reason=request.reason, **identity(self._namespace, instance)
        )
        return self._commit(stored, instance, record, now, StopResult(instance, True, request.reason), event)

    def terminate(self, instance: str, snapshot: Snapshot, request: EndRequest, now: int) -> Decision[TerminateResult]:
        """Delete everything and fence the generation.  Works on bytes that nobody can read, too."""
        record = live_record(snapshot)
        if record is None:
            return _nothing(TerminateResult(instance, False))
        before = _read_or_blank(record, now)
        check(before.status, "terminate", NOT_FOUND)
        event = ContinuousTerminated(
            at_ms=now, run_count=before.run_count, reason=request.reason, **identity(self._namespace, instance)
        )
        transition = Transition(instance=instance, at=now, guard=Guard(version=record.version), erase=True)
        return Decision(transition, lambda _: TerminateResult(instance, True), lambda _: [event])

    # In between.

    def trigger(self, instance: str, snapshot: Snapshot, request: PlainRequest, now: int) -> Decision[TriggerResult]:
        """One run beyond the schedule."""
        record = _existing(instance, snapshot)
        before = read(record)
        if not allowed(before.status, "trigger"):
            return _nothing(TriggerResult(instance, False))
        event = ContinuousTriggered(
            at_ms=now, while_running=before.status == "running", **identity(self._namespace, instance)
        )
        stored = self._lifecycle.trigger(before, now)
        return self._commit(stored, instance, record, now, TriggerResult(instance, True), event)

    def pause(self, instance: str, snapshot: Snapshot, request: PlainRequest, now: int) -> Decision[PauseResult]:
        """No run begins until `resume`."""
        record = _existing(instance, snapshot)
        before = read(record)
        if before.mode == "paused":
            return _nothing(PauseResult(instance, True))
        if not allowed(before.status, "pause"):
            raise InvalidStateError(sources("pause"), before.status, "pause")
        event = ContinuousPaused(at_ms=now, **identity(self._namespace, instance))
        return self._commit(self._lifecycle.pause(before), instance, record, now, PauseResult(instance, True), event)

    def resume(self, instance: str, snapshot: Snapshot, request: PlainRequest, now: int) -> Decision[PauseResult]:
        """Apply the misfire rule to the gap and go on.  A parked instance is tried again at once."""
        record = _existing(instance, snapshot)
        before = read(record)
        if before.mode == "stopped":
            raise InvalidStateError(sources("resume"), before.status, "resume")
        if before.mode == "live" and record.status == before.status:
            return _nothing(PauseResult(instance, False))
        stored, missed = before, 0
        if before.mode == "paused":
            stored, missed = self._lifecycle.resume(before, instance, now)
        event = ContinuousResumed(
            at_ms=now, missed=missed, next_due_ms=stored.next_run_at, **identity(self._namespace, instance)
        )
        return self._commit(stored, instance, record, now, PauseResult(instance, False), event)

    def revive(self, record: Record) -> str:
        """The status that a parked instance takes up again: parking left it in the data."""
        return _read_or_blank(record, 0).status

    def _commit(
        self, stored: Stored, instance: str, record: Record | None, now: int, reply: R, event: PrimitiveEvent
    ) -> Decision[R]:
        guard = Guard(exists=False) if record is None else Guard(version=record.version)
        transition = write(stored, instance=instance, at=now, guard=guard, retention_ms=self._retention_ms)
        return Decision(transition, lambda _: reply, lambda _: [event])


def _nothing(reply: R) -> Decision[R]:
    return Decision(None, lambda _: reply)


def _existing(instance: str, snapshot: Snapshot) -> Record:
    record = live_record(snapshot)
    if record is None:
        raise InstanceNotFoundError(instance)
    return record


def _read_or_blank(record: Record, now: int) -> Stored:
    """What a record holds; for bytes that nobody can read, a life that is about to be replaced or erased."""
    try:
        return read(record)
    except SerializationError:
        return Stored(state=b"", epoch=now)
