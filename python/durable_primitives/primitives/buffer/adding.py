"""How events get into the open batch.  Pure: time is an argument.

Adding to a list is one blind transition: it never reads, so producers conflict neither with each other nor with the
owner.  A reducer needs the state so far: it decides on a snapshot, and is asked again if somebody else wrote meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Never

from msgspec import structs

from durable_primitives.durations import to_datetime
from durable_primitives.errors import ReducerError
from durable_primitives.events import BufferDuplicate, BufferEventReceived, BufferRejected, ErrorInfo, PrimitiveEvent
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.record import Receipt, Record, Snapshot
from durable_primitives.kernel.transition import (
    WINDOW_DUE,
    Accepted,
    Batching,
    Create,
    Due,
    Guard,
    NewItem,
    Outcome,
    Transition,
)
from durable_primitives.primitives.buffer.definition import BufferDefinition
from durable_primitives.primitives.buffer.gathering import ByReducer
from durable_primitives.primitives.buffer.results import AddResult
from durable_primitives.primitives.buffer.stored import OPEN, Folded, Stored, alive, read
from durable_primitives.primitives.buffer.writing import put, sealing
from durable_primitives.services.metadata import identify

AddRequest = tuple[NewItem, ...]
"""Encoded events, with their ids."""


class Adding:
    """The part of the orchestrator that accepts events."""

    def __init__(self, definition: BufferDefinition[Any, Any], namespace: str) -> None:
        self.definition = definition
        self.namespace = namespace
        self._max_events = definition.max_events
        self._create = Create(status=OPEN, segment=1, linger_ms=definition.dedupe_ms)
        self._batching = Batching(max_items=definition.max_events, window_ms=definition.flush_after_ms)

    def add(self, instance: str, request: AddRequest, now: int) -> Decision[list[AddResult]]:
        """Append events to the list: they are stored, the timer is armed and their ids are remembered in one commit."""
        return Decision(
            Transition(instance=instance, at=now, create=self._create, append=request, batching=self._batching),
            lambda outcome: self._results(instance, outcome.accepted, _window(outcome), outcome.created, now),
            lambda outcome: self._told(instance, request, outcome.accepted, _window(outcome), now),
        )

    def fold(self, instance: str, snapshot: Snapshot, request: AddRequest, now: int) -> Decision[list[AddResult]]:
        """Fold events into the state.  Answers for those that fit into the open batch: ask again with the rest."""
        record = alive(snapshot.record)
        stored = Stored() if record is None else read(record)
        if record is not None and record.segment_count:
            return self._close_list(record, stored, now)
        try:
            accepted, folded = self._fold_all(instance, stored.folded, snapshot, request, now)
        except ReducerError as error:
            return self._rejected(error, now)
        transition, window = self._store_folded(instance, record, stored, folded, now)
        remember = [item.id for item, one in zip(request, accepted, strict=False) if item.id and not one.duplicate]
        return Decision(
            None if folded is stored.folded else structs.replace(transition, remember=tuple(remember)),
            # Anything but "applied" is an id that came in meanwhile: asked again, it will be seen in the snapshot.
            lambda outcome: (
                self._results(instance, accepted, window, outcome.created, now) if outcome.verdict == "applied" else []
            ),
            lambda _: self._told(instance, request, accepted, window, now),
        )

    def _fold_all(
        self, instance: str, folded: Folded | None, snapshot: Snapshot, request: AddRequest, now: int
    ) -> tuple[list[Accepted], Folded | None]:
        """What becomes of each event until the batch is full, and of the batch."""
        gathering = self.definition.gathering
        assert isinstance(gathering, ByReducer)
        known = {id for id, receipt in snapshot.receipts.items() if _is_valid(receipt, now)}
        accepted: list[Accepted] = []
        for item in request:
            duplicate = item.id in known
            if not duplicate:
                folded = gathering.fold(instance, folded, item, now)
                if item.id is not None:
                    known.add(item.id)
            count = 0 if folded is None else folded.count
            accepted.append(Accepted(0, 0, 0, count, duplicate))
            if self._is_full(count):
                break
        return accepted, folded

    def _store_folded(
        self, instance: str, record: Record | None, stored: Stored, folded: Folded | None, now: int
    ) -> tuple[Transition, int | None]:
        """The change that stores the state, sealed if it is full, and when its window ends."""
        changed = structs.replace(stored, folded=folded)
        full = folded is not None and self._is_full(folded.count)
        items: tuple[NewItem, ...] = ()
        if full:
            changed, items = sealing(changed, {})
        window = None if record is None else record.dues.get(WINDOW_DUE)
        dues: tuple[Due, ...] = ()
        if stored.folded is None and self._batching.window_ms is not None and not full:
            window = now + self._batching.window_ms
            dues = (Due(WINDOW_DUE, "set", window),)
        transition = Transition(
            instance=instance,
            at=now,
            guard=Guard(exists=False) if record is None else Guard(version=record.version),
            create=self._create if record is None else None,
            put=put(self.definition, record, changed),
            append=items,
            seal=full,
            dues=dues,
        )
        return transition, window

    def _close_list(self, record: Record, stored: Stored, now: int) -> Decision[list[AddResult]]:
        """Events that were stored before there was an `on_event` form a batch of their own: seal it, then ask again."""
        transition = Transition(
            instance=record.instance,
            at=now,
            guard=Guard(version=record.version),
            put=put(self.definition, record, stored),
            seal=True,
        )
        return Decision(transition, lambda _: [])

    def _rejected(self, error: ReducerError, now: int) -> Decision[list[AddResult]]:
        def refuse(_: Outcome) -> Never:
            raise error

        told = BufferRejected(
            at_ms=now,
            reason="reducer",
            event_id=error.event_id,
            error=ErrorInfo.of(error.__cause__ or error),
            **identify(self.namespace, error.instance_id),
        )
        return Decision(None, refuse, lambda _: (told,))

    # Answers.

    def _is_full(self, count: int) -> bool:
        return self._max_events is not None and count >= self._max_events

    def _dues(self, accepted: Sequence[Accepted], window: int | None, now: int) -> list[int | None]:
        """When the batch of each event is due: now, if this commit filled it."""
        full = {one.segment for one in accepted if self._is_full(one.segment_count) and not one.duplicate}
        return [now if one.segment in full and not one.duplicate else window for one in accepted]

    def _results(
        self, instance: str, accepted: Sequence[Accepted], window: int | None, created: bool, now: int
    ) -> list[AddResult]:
        return [
            AddResult(
                instance,
                one.segment_count,
                None if due is None else to_datetime(due),
                one.duplicate,
                created and position == 0,
            )
            for position, (one, due) in enumerate(zip(accepted, self._dues(accepted, window, now), strict=True))
        ]

    def _told(
        self, instance: str, request: AddRequest, accepted: Sequence[Accepted], window: int | None, now: int
    ) -> Iterator[PrimitiveEvent]:
        who = identify(self.namespace, instance)
        # A batch that is full ends the answers before the request does.
        for item, one, due in zip(request, accepted, self._dues(accepted, window, now), strict=False):
            if one.duplicate:
                yield BufferDuplicate(at_ms=now, event_id=item.id or "", **who)
            else:
                yield BufferEventReceived(
                    at_ms=now, event_count=one.segment_count, event_id=item.id, next_due_ms=due, **who
                )


def _is_valid(receipt: Receipt, now: int) -> bool:
    """Whether an id is still remembered; a store keeps receipts for a while after they have expired."""
    return receipt.expires_at is None or receipt.expires_at > now


def _window(outcome: Outcome) -> int | None:
    """When the open batch is due after a commit."""
    return None if outcome.dues is None else outcome.dues.get(WINDOW_DUE)
