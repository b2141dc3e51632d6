"""Decides what a worker asks for: the begin of a run, its checkpoints, its end.  Pure, like the orchestrator.

Every change carries the guard of the lease's owner: its fence, and that nobody wrote the record meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from durable_primitives.durations import parse_ms
from durable_primitives.events import ContinuousStopped, ErrorInfo, PrimitiveEvent
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.record import Record
from durable_primitives.kernel.transition import Guard, Transition
from durable_primitives.primitives.continuous.endings import (
    Abandoned,
    Ended,
    Postponed,
    Raised,
    Returned,
    RunRef,
    Stopped,
    Superseded,
    Terminated,
)
from durable_primitives.primitives.continuous.queries import identity
from durable_primitives.primitives.continuous.stored import NOT_FOUND, Stored, read, write
from durable_primitives.primitives.continuous.telling import Teller
from durable_primitives.primitives.continuous.transitions import check
from durable_primitives.signals import DeadLetter, Retry

if TYPE_CHECKING:
    from durable_primitives.primitives.continuous.definition import ContinuousDefinition

Move = tuple[Stored, Sequence[PrimitiveEvent]]


class Runs:
    """One definition in one namespace, as its workers see it."""

    def __init__(self, definition: ContinuousDefinition[Any], namespace: str) -> None:
        self._lifecycle = definition.lifecycle
        self._retry = definition.retry
        self._retention_ms = definition.retention_ms
        self._namespace = namespace

    def begin(self, record: Record, guard: Guard, now: int) -> tuple[Stored | None, Decision[None]]:
        """What to commit before user code runs, with the run that is then open; None: nothing is to run.

        Raises:
            SerializationError: Nobody can read the record.
            DefinitionError: The schedule function gives no answer.
        """
        before = read(record)
        after = self._lifecycle.begin(before, record.instance, now)
        if after is None:
            return None, self._commit(before, record, guard, now, release=True)
        if after.run is not None:
            return after, self._commit(after, record, guard, now)
        events: list[PrimitiveEvent] = []
        if after.mode == "stopped":
            name = identity(self._namespace, record.instance)
            events.append(ContinuousStopped(at_ms=now, run_count=after.run_count, reason=after.stop_reason, **name))
        return None, self._commit(after, record, guard, now, events, release=True)

    def is_current(self, record: Record, run: RunRef) -> bool:
        """Whether the run is still wanted: nobody stopped, restarted or terminated its instance."""
        stored = read(record)
        return stored.epoch == run.epoch and stored.run is not None

    def checkpoint(self, record: Record, guard: Guard, run: RunRef, state: bytes, now: int) -> Decision[None]:
        """Keep the progress of a run that goes on.  Raises `Superseded` if another life has begun."""
        before = read(record)
        if before.epoch != run.epoch:
            raise Superseded
        return self._commit(self._lifecycle.save(before, state), record, guard, now)

    def give_back(self, record: Record, guard: Guard, now: int) -> Decision[None]:
        """The worker shuts down: a run that is open is due at once, for another worker."""
        stored = read(record)
        if stored.run is not None and stored.run.retry_at is None:
            stored = self._lifecycle.postpone(stored, now)
        return self._commit(stored, record, guard, now, release=True)

    def finish(self, record: Record, guard: Guard, ended: Ended, now: int, draw: float) -> Decision[None]:
        """How the run ended, and the lease given back.  What callers did meanwhile is never overwritten."""
        before = read(record)
        if before.epoch != ended.run.epoch:
            return self._commit(before, record, guard, now, release=True)
        tell = Teller(self._namespace, record.instance, ended, now)
        if isinstance(ended.ending, Terminated):
            check(before.status, "terminate", NOT_FOUND)
            event = tell.terminated(ended.ending.reason)
            transition = Transition(instance=record.instance, at=now, guard=guard, erase=True)
            return Decision(transition, lambda _: None, lambda _: [event])
        if before.run is None:
            after, events = self._settle_late(before, ended, tell)
        else:
            after, events = self._settle(before, record.instance, ended, tell, now, draw)
        return self._commit(after, record, guard, now, events, release=True)

    # The ways to end.

    def _settle(self, before: Stored, instance: str, ended: Ended, tell: Teller, now: int, draw: float) -> Move:
        match ended.ending:
            case Returned(state=state, schedule_at=schedule_at):
                after = self._lifecycle.succeed(before, instance, now, state, schedule_at)
                return after, [tell.executed(before, after), *tell.turned(before, after)]
            case Stopped(reason=reason, state=state):
                after = self._lifecycle.stop_itself(before, reason, state)
                return after, [tell.executed(before, after), *tell.turned(before, after)]
            case Abandoned(error=error):
                after = self._lifecycle.abandon(before, instance, now)
                return after, [tell.failed(error, will_retry=False), *tell.turned(before, after)]
            case Postponed(until=until):
                return self._lifecycle.postpone(before, until), [tell.retry_scheduled(until)]
            case Raised(error=error):
                return self._raised(before, instance, error, ended.run.attempt, tell, now, draw)
            case Terminated():
                raise AssertionError("what is terminated is erased, not settled")

    def _raised(
        self, before: Stored, instance: str, error: BaseException, attempt: int, tell: Teller, now: int, draw: float
    ) -> Move:
        reason = self._why_exhausted(error, attempt)
        failed = tell.failed(error, will_retry=reason is None)
        if reason is None:
            retry_at = now + self._delay_ms(error, attempt, draw)
            after = self._lifecycle.fail(before, ErrorInfo.of(error), retry_at)
            return after, [failed, tell.retry_scheduled(retry_at)]
        after = self._lifecycle.exhaust(before, instance, now, ErrorInfo.of(error))
        exhausted = tell.exhausted(error, reason, self._lifecycle.on_exhausted, after)
        return after, [failed, exhausted, *tell.turned(before, after)]

    def _settle_late(self, before: Stored, ended: Ended, tell: Teller) -> Move:
        """The instance was stopped while this ran: what it did to the state is kept, what it wants next is not."""
        match ended.ending:
            case Returned(state=state) | Stopped(state=state):
                after = before if state is None else self._lifecycle.save(before, state)
                return after, [tell.executed(before, after)]
            case Raised(error=error) | Abandoned(error=error):
                return before, [tell.failed(error, will_retry=False)]
            case _:
                return before, []

    # Whether and when again.

    def _why_exhausted(self, error: BaseException, attempt: int) -> str | None:
        """Why there is no further attempt; None if there is one."""
        if isinstance(error, DeadLetter):
            return "dead_letter"
        if attempt >= self._retry.max_attempts:
            return "max_attempts"
        if isinstance(error, Retry) or not self._retry.gives_up(error):
            return None
        return "give_up_on" if isinstance(error, self._retry.give_up_on) else "retry_on"

    def _delay_ms(self, error: BaseException, attempt: int, draw: float) -> int:
        if isinstance(error, Retry) and error.after is not None:
            return parse_ms(error.after, what="Retry(after=)", allow_zero=True)
        return self._retry.backoff.delay_ms(attempt, draw)

    def _commit(
        self,
        stored: Stored,
        record: Record,
        guard: Guard,
        now: int,
        events: Sequence[PrimitiveEvent] = (),
        *,
        release: bool = False,
    ) -> Decision[None]:
        transition = write(
            stored,
            instance=record.instance,
            at=now,
            guard=guard,
            retention_ms=self._retention_ms,
            release=release,
        )
        return Decision(transition, lambda _: None, lambda _: events)
