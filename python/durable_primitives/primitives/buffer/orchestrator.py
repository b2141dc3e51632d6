"""What clients do to a buffer.  Pure: time is an argument."""

from __future__ import annotations

from msgspec import Struct, structs

from durable_primitives.errors import InvalidStateError
from durable_primitives.events import BufferCleared, BufferDiscarded, BufferFlushRequested, BufferRedriven
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.record import Record, Snapshot
from durable_primitives.kernel.transition import FLUSH_DUE, Clear, Due, Guard, Outcome, Transition
from durable_primitives.primitives.buffer import queries
from durable_primitives.primitives.buffer.adding import Adding
from durable_primitives.primitives.buffer.results import ClearResult, FlushReceipt
from durable_primitives.primitives.buffer.stored import OPEN, alive, flush_id, open_count, read
from durable_primitives.primitives.buffer.writing import put, sealing
from durable_primitives.services.metadata import identify


class NoRequest(Struct, frozen=True):
    """An operation that needs no argument."""


class BufferOrchestrator(Adding):
    """Decides for one definition."""

    status = staticmethod(queries.status)
    state = staticmethod(queries.state)
    instances = staticmethod(queries.instances)
    letter = staticmethod(queries.letter)
    letters = staticmethod(queries.letters)

    def revive(self, record: Record) -> str:
        """A parked buffer goes on where it stood."""
        return OPEN

    def flush(self, instance: str, snapshot: Snapshot, request: NoRequest, now: int) -> Decision[FlushReceipt]:
        """Seal the open batch now.  Batches that were sealed before it still go first."""
        record = alive(snapshot.record)
        stored = None if record is None else read(record)
        if record is None or stored is None or not (seen := open_count(record, stored)):
            return Decision(None, lambda _: FlushReceipt(instance, False, 0, None))
        id = flush_id(record, record.segment)
        changed, items = sealing(stored, {record.segment: "manual"})

        def count(outcome: Outcome) -> int:
            # Those that came in between the look and the commit are flushed with the others.
            return seen + outcome.count - len(items) - record.count

        transition = Transition(
            instance=instance,
            at=now,
            guard=Guard(version=record.version, segment=record.segment),
            put=put(self.definition, record, changed),
            append=items,
            seal=True,
        )
        who = identify(self.namespace, instance)
        return Decision(
            transition,
            lambda outcome: FlushReceipt(instance, True, count(outcome), id),
            lambda outcome: (BufferFlushRequested(at_ms=now, event_count=count(outcome), flush_id=id, **who),),
        )

    def clear(self, instance: str, snapshot: Snapshot, request: NoRequest, now: int) -> Decision[ClearResult]:
        """Drop the open batch.  Batches that are sealed are out of its reach."""
        record = alive(snapshot.record)
        stored = None if record is None else read(record)
        if record is None or stored is None or not open_count(record, stored):
            return Decision(None, lambda _: ClearResult(instance, False, 0))
        in_record = stored.folded.count if stored.folded is not None else 0
        # What comes in between the look and the commit is dropped with the rest, and counted.
        transition = Transition(
            instance=instance,
            at=now,
            guard=Guard(version=record.version, segment=record.segment),
            put=put(self.definition, record, structs.replace(stored, folded=None)),
            clear=Clear(record.segment, now + self.definition.dedupe_ms),
        )
        who = identify(self.namespace, instance)
        return Decision(
            transition,
            lambda outcome: ClearResult(instance, True, outcome.cleared + in_record),
            lambda outcome: (BufferCleared(at_ms=now, event_count=outcome.cleared + in_record, **who),),
        )

    # Dead letters.

    def redrive(self, instance: str, snapshot: Snapshot, flush_id: str, now: int) -> Decision[int]:
        """Flush a dead batch again, before those that wait, with all attempts before it.  Answers 0 or 1."""
        record, letter = alive(snapshot.record), snapshot.letters.get(flush_id)
        if record is None or letter is None:
            return Decision(None, lambda _: 0)
        stored = read(record)
        if flush_id in stored.redrives or (stored.flush is not None and stored.flush.flush_id == flush_id):
            return Decision(None, lambda _: 0)
        transition = Transition(
            instance=instance,
            at=now,
            guard=Guard(version=record.version),
            put=put(self.definition, record, structs.replace(stored, redrives=(*stored.redrives, flush_id))),
            dues=(Due(FLUSH_DUE, "earlier", now),),
        )
        who = identify(self.namespace, instance)
        told = BufferRedriven(at_ms=now, flush_id=flush_id, event_count=letter.count, **who)
        return Decision(transition, lambda _: 1, lambda _: (told,))

    def discard(self, instance: str, snapshot: Snapshot, flush_id: str, now: int) -> Decision[int]:
        """Delete a dead batch for good.  Answers 0 or 1.

        Raises:
            InvalidStateError: It was redriven and is being flushed.
        """
        record, letter = alive(snapshot.record), snapshot.letters.get(flush_id)
        if record is None or letter is None:
            return Decision(None, lambda _: 0)
        stored = read(record)
        if stored.flush is not None and stored.flush.flush_id == flush_id:
            raise InvalidStateError("dead", "flushing", "discard")
        redrives = tuple(id for id in stored.redrives if id != flush_id)
        transition = Transition(
            instance=instance,
            at=now,
            guard=Guard(version=record.version),
            put=put(self.definition, record, structs.replace(stored, redrives=redrives)),
            discard=(flush_id,),
        )
        who = identify(self.namespace, instance)
        told = BufferDiscarded(at_ms=now, flush_id=flush_id, event_count=letter.count, **who)
        return Decision(transition, lambda _: 1, lambda _: (told,))
