"""The state machine of a queue instance and of its events.  Pure: time and random draws are arguments.

Which attempt leads where is a table, `transitions.ATTEMPTS`; here it becomes changes to the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from msgspec import Struct

from durable_primitives.errors import CrashLoopError, QueueFullError
from durable_primitives.events import (
    ErrorInfo,
    PrimitiveEvent,
    QueueCancelled,
    QueueCleared,
    QueueDiscarded,
    QueueDuplicate,
    QueueEnqueued,
    QueuePaused,
    QueueRedriven,
    QueueRejected,
    QueueResumed,
)
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.ids import split_instance
from durable_primitives.kernel.record import TERMINATED, Item, Record, Snapshot
from durable_primitives.kernel.transition import (
    Accepted,
    Burial,
    CancelAnswer,
    Clear,
    Create,
    Guard,
    NewItem,
    Outcome,
    Put,
    Removal,
    Reschedule,
    Transition,
)
from durable_primitives.primitives.queue.definition import QueueDefinition
from durable_primitives.primitives.queue.inspection import QueueInspection
from durable_primitives.primitives.queue.stored import encode
from durable_primitives.primitives.queue.transitions import ATTEMPTS, SETTLEMENTS, Attempt, Ended
from durable_primitives.services.failures import encode_failure
from durable_primitives.services.metadata import identify
from durable_primitives.services.purge import DEAD_LETTER_MS
from durable_primitives.signals import Cancel, DeadLetter, Retry, Signal, Snooze

ACTIVE = "active"
PAUSED = "paused"


_SIGNALS: Mapping[type[Signal], Attempt] = {
    Retry: "retry",
    Snooze: "snooze",
    Cancel: "cancel",
    DeadLetter: "dead_letter",
}


class EnqueueRequest(Struct, frozen=True, gc=False):
    """Events for one instance, encoded and routed."""

    index: int
    items: tuple[NewItem, ...]


class IdsRequest(Struct, frozen=True, gc=False):
    """Some events of one instance, by id."""

    ids: tuple[str, ...]


class NoRequest(Struct, frozen=True):
    """An operation that needs no argument."""


class Verdict(Struct, frozen=True):
    """What becomes of an event after an attempt, and how it is told."""

    change: Removal | Reschedule | Burial
    ended: Ended
    reason: str | None = None
    error: ErrorInfo | None = None


class QueueOrchestrator(QueueInspection):
    """Decides for one definition."""

    def __init__(self, definition: QueueDefinition[object], namespace: str) -> None:
        self._definition = definition
        self._retry = definition.retry
        self._namespace = namespace
        self._create = Create(status=ACTIVE, linger_ms=definition.dedupe_ms)
        self._guards = [
            None if room is None else Guard(room=room)
            for room in (definition.room(index) for index in range(definition.concurrency))
        ]

    def revive(self, record: Record) -> str:
        """A parked queue goes on where it stood."""
        return ACTIVE

    # Operations.

    def enqueue(self, instance: str, request: EnqueueRequest, now: int) -> Decision[tuple[Accepted, ...]]:
        """One blind commit: it never reads first, so producers neither conflict with each other nor with the owner."""
        guard = self._guards[request.index] if request.index < len(self._guards) else None
        transition = Transition(
            instance=instance,
            at=now,
            guard=guard,
            create=self._create,
            append=request.items,
            on_full=self._definition.on_full,
        )

        def reply(outcome: Outcome) -> tuple[Accepted, ...]:
            if outcome.verdict == "full":
                room = self._definition.room(request.index) or 0
                raise QueueFullError(room, room)
            return outcome.accepted

        return Decision(
            transition, reply, lambda outcome: self._told_enqueued(instance, request, outcome, now), guard is None
        )

    def _told_enqueued(
        self, instance: str, request: EnqueueRequest, outcome: Outcome, now: int
    ) -> Iterable[PrimitiveEvent]:
        common = identify(self._namespace, instance)
        if outcome.verdict == "full":
            limit = self._definition.room(request.index)
            for new in request.items:
                yield QueueRejected(
                    reason="full", event_id=new.id, partition_key=new.lane, limit=limit, at_ms=now, **common
                )
            return
        for new, accepted in zip(request.items, outcome.accepted, strict=True):
            if accepted.duplicate:
                yield QueueDuplicate(event_id=new.id or "", partition_key=new.lane, at_ms=now, **common)
            else:
                yield QueueEnqueued(
                    event_id=new.id or "",
                    partition_key=new.lane,
                    priority=-new.rank,
                    next_due_ms=new.due or None,
                    at_ms=now,
                    **common,
                )

    def cancel(self, instance: str, request: IdsRequest, now: int) -> Decision[CancelAnswer]:
        """Take an event out, or ask its worker to stop it."""
        transition = Transition(instance=instance, at=now, guard=Guard(exists=True), cancel=request.ids)

        def reply(outcome: Outcome) -> CancelAnswer:
            return outcome.cancelled[0] if outcome.cancelled else "not_found"

        def told(outcome: Outcome) -> Iterable[PrimitiveEvent]:
            for id, answer in zip(request.ids, outcome.cancelled, strict=True):
                if answer == "cancelled":
                    yield QueueCancelled(event_id=id, reason="client", at_ms=now, **identify(self._namespace, instance))

        return Decision(transition, reply, told)

    def pause(self, instance: str, snapshot: Snapshot, request: NoRequest, now: int) -> Decision[bool]:
        """Hold an instance: it accepts events and starts none."""
        told = QueuePaused(at_ms=now, **identify(self._namespace, instance))
        return self._hold(instance, snapshot.record, True, told, now)

    def resume(self, instance: str, snapshot: Snapshot, request: NoRequest, now: int) -> Decision[bool]:
        """Let a held instance go on."""
        told = QueueResumed(at_ms=now, **identify(self._namespace, instance))
        return self._hold(instance, snapshot.record, False, told, now)

    def _hold(self, instance: str, record: Record | None, held: bool, told: PrimitiveEvent, now: int) -> Decision[bool]:
        live = record if record is not None and record.status != TERMINATED else None
        if (live.held if live is not None else False) == held:
            return Decision(None, lambda _: held)
        guard = Guard(version=live.version) if live is not None else Guard(exists=False)
        put = Put(
            status=PAUSED if held else ACTIVE,
            data=b"" if live is None else live.data,
            held=held,
            linger_ms=self._definition.dedupe_ms,
        )
        return Decision(Transition(instance=instance, at=now, guard=guard, put=put), lambda _: held, lambda _: (told,))

    def clear(self, instance: str, request: NoRequest, now: int) -> Decision[int]:
        """Drop every event that no worker has in hand."""
        expires_at = now + self._definition.dedupe_ms
        transition = Transition(instance=instance, at=now, guard=Guard(exists=True), clear=Clear(0, expires_at))
        return Decision(
            transition,
            lambda outcome: outcome.cleared,
            lambda outcome: (
                QueueCleared(event_count=outcome.cleared, at_ms=now, **identify(self._namespace, instance)),
            ),
        )

    def redrive(self, instance: str, request: IdsRequest, now: int) -> Decision[int]:
        """Dead letters go to the end of their lane, with all attempts before them."""
        transition = Transition(instance=instance, at=now, guard=Guard(exists=True), redrive=request.ids)
        return Decision(
            transition,
            lambda outcome: outcome.cleared,
            lambda outcome: [
                QueueRedriven(event_id=id, at_ms=now, **identify(self._namespace, instance))
                for id in request.ids[: outcome.cleared]
            ],
        )

    def discard(self, instance: str, request: IdsRequest, now: int) -> Decision[int]:
        """Dead letters are deleted for good."""
        transition = Transition(instance=instance, at=now, guard=Guard(exists=True), discard=request.ids)
        return Decision(
            transition,
            lambda outcome: outcome.cleared,
            lambda outcome: [
                QueueDiscarded(event_id=id, at_ms=now, **identify(self._namespace, instance))
                for id in request.ids[: outcome.cleared]
            ],
        )

    # What becomes of an event.

    def completed(self, item: Item, now: int) -> Verdict:
        """The handler returned."""
        return self._gone(item, "completed", now)

    def expired(self, item: Item, now: int) -> Verdict | None:
        """The end of an event that was never tried and waits longer than it may; None for all others.

        The wait begins when the event could have started: a delay that was asked for is no part of it.
        """
        expires_ms = self._definition.expires_ms
        if expires_ms is None or item.attempt or now < max(item.at, item.due) + expires_ms:
            return None
        return self._gone(item, "expired", now)

    def withdrawn(self, item: Item, reason: str | None, now: int) -> Verdict:
        """The event was cancelled."""
        return self._gone(item, "cancelled", now, reason)

    def failed(self, item: Item, error: BaseException, now: int, draw: float) -> Verdict:
        """The handler raised, or a signal said how to go on.  `draw` is random, in [0, 1)."""
        attempt = item.attempt + 1
        last = attempt >= self._retry.max_attempts
        ended = ATTEMPTS[self._how(error)][last]
        if ended == "cancelled":
            return self.withdrawn(item, _reason(error), now)
        if ended == "snoozed":
            return self._later(item, item.attempt, _after_ms(error) or 0, None, "snoozed", now)
        info = ErrorInfo.of(error)
        if ended == "dead":
            usual = "dead_letter" if isinstance(error, DeadLetter) else "max_attempts" if last else "give_up_on"
            return self.buried(item, attempt, _reason(error) or usual, info, now)
        asked = _after_ms(error)
        wait_ms = self._retry.backoff.delay_ms(attempt, draw) if asked is None else asked
        return self._later(item, attempt, wait_ms, info, "retry", now)

    def suspect(
        self, record: Record, guard: Guard, suspects: Iterable[int], now: int, *counted: Item
    ) -> Decision[None]:
        """Remember who may have killed a process; of those in `counted`, which start again, the deliveries count."""
        put = Put(status=record.status, data=encode(suspects), held=record.held, linger_ms=record.linger_ms)
        transition = Transition(instance=record.instance, at=now, guard=guard, put=put, mark=counted)
        return Decision(transition, lambda _: None)

    def crashed(self, instance: str, item: Item, now: int) -> Verdict:
        """The event keeps killing the process that runs it."""
        _, name, _ = split_instance(instance)
        error = CrashLoopError("queue", name, instance, item.delivery)
        return self.buried(item, item.attempt, "crash_loop", ErrorInfo.of(error), now)

    def buried(self, item: Item, attempts: int, reason: str, error: ErrorInfo, now: int) -> Verdict:
        """The event is given up on, and kept."""
        assert item.id is not None
        burial = Burial(item.id, item, item.payload, attempts, encode_failure(error), 1, now + DEAD_LETTER_MS)
        return Verdict(burial, "dead", reason, error)

    def _how(self, error: BaseException) -> Attempt:
        for signal, attempt in _SIGNALS.items():
            if isinstance(error, signal):
                return attempt
        return "refused" if self._retry.gives_up(error) else "raised"

    def _gone(self, item: Item, ended: Ended, now: int, reason: str | None = None) -> Verdict:
        return Verdict(Removal(item, SETTLEMENTS[ended], now + self._definition.dedupe_ms), ended, reason)

    def _later(
        self, item: Item, attempt: int, wait_ms: int, error: ErrorInfo | None, ended: Ended, now: int
    ) -> Verdict:
        text = item.error if error is None else encode_failure(error)
        blocks = self._definition.ordering == "strict"
        # A due time of at least one: zero would mean "ready", and an event in backoff is not.
        return Verdict(Reschedule(item, max(now + wait_ms, 1), attempt, 0, text, blocks), ended, None, error)


def _reason(error: BaseException) -> str | None:
    """What the handler said."""
    return error.reason if isinstance(error, (Cancel, DeadLetter)) else None


def _after_ms(error: BaseException) -> int | None:
    """How long the handler asked to wait."""
    after = error.after if isinstance(error, (Retry, Snooze)) else None
    return None if after is None else after // timedelta(milliseconds=1)
