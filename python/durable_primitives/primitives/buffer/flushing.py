"""What the owner of a buffer decides: which batch to hand over next, and what becomes of it.  Pure.

Batches are handed over one at a time, the oldest first; one that waits for its retry holds back those behind it.

The due `FLUSH_DUE` says that a batch was sealed, and an append that fills a batch sets it behind the owner's back.  So
that none is overlooked, only `begin` clears it, and unless a retry is due anyway the owner reads the record once more
after that commit: what was sealed before, it sees; what is sealed later leaves the due set.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from msgspec import Struct, structs

from durable_primitives.events import ErrorInfo
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.record import NEVER, Record
from durable_primitives.kernel.transition import (
    FLUSH_DUE,
    WINDOW_DUE,
    Burial,
    Due,
    Guard,
    NewItem,
    Retire,
    Transition,
)
from durable_primitives.primitives.buffer.definition import BufferDefinition
from durable_primitives.primitives.buffer.stored import (
    Batch,
    Flush,
    Stored,
    encode,
    flush_id,
    open_count,
    read,
)
from durable_primitives.primitives.buffer.telling import ended
from durable_primitives.primitives.buffer.transitions import SETTLEMENTS, TRANSITIONS
from durable_primitives.primitives.buffer.writing import put, sealing
from durable_primitives.services.failures import encode_failure
from durable_primitives.services.purge import DEAD_LETTER_MS
from durable_primitives.signals import Cancel, DeadLetter, Retry, Snooze

RETRY_DUE = "retry"


class Ending(Struct, frozen=True, kw_only=True):
    """How an attempt ended."""

    on: Literal["returned", "raised", "snoozed", "gave_up", "crash_looped", "cancelled", "vanished"]
    batch: Batch
    attempt: int
    """Which attempt it was."""
    duration_ms: int = 0
    cause: BaseException | None = None
    """What went wrong, if anything did."""
    reason: str = ""
    """Why the batch was given up on."""
    delay_ms: int = 0
    """How long it waits for its next attempt."""

    @property
    def error(self) -> ErrorInfo | None:
        """`cause` as it is stored and told."""
        return None if self.cause is None else ErrorInfo.of(self.cause)


class Flushing:
    """Decides for the owner of an instance."""

    def __init__(self, definition: BufferDefinition[Any, Any], namespace: str) -> None:
        self._definition = definition
        self._namespace = namespace

    def begin(self, record: Record, guard: Guard, now: int) -> Decision[object]:
        """Take up the next batch; if its time has not come, give the instance back; if there is none, look again."""
        stored, items = read(record), tuple[NewItem, ...]()
        dues = [Due(FLUSH_DUE, "clear"), Due(RETRY_DUE, "clear")]
        expired = record.dues.get(WINDOW_DUE, NEVER) <= now
        seal = expired and open_count(record, stored) > 0
        if seal:
            stored, items = sealing(stored, {record.segment: "flush_after"})
        elif expired:
            dues.append(Due(WINDOW_DUE, "clear"))
        flush = stored.flush or _oldest(record, stored, record.segment if seal else record.segment - 1)
        starts = flush is not None and (flush.retry_at is None or flush.retry_at <= now)
        if flush is not None and starts:
            flush = structs.replace(flush, retry_at=None)
        elif flush is not None:
            dues.append(Due(RETRY_DUE, "set", flush.retry_at or now))
        redrives = tuple(id for id in stored.redrives if flush is None or id != flush.flush_id)
        transition = Transition(
            instance=record.instance,
            at=now,
            guard=structs.replace(guard, segment=record.segment) if seal else guard,
            put=put(self._definition, record, structs.replace(stored, flush=flush, redrives=redrives)),
            append=items,
            seal=seal,
            dues=tuple(dues),
            # The deliveries that are counted from here on are those of this batch.
            progress=starts and stored.flush is None,
            release="no" if starts or flush is None else "yes",
        )
        return Decision(transition, lambda _: None)

    def is_idle(self, record: Record) -> bool:
        """Whether there is nothing to hand over."""
        stored = read(record)
        return stored.flush is None and _oldest(record, stored, record.segment - 1) is None

    def give_back(self, instance: str, guard: Guard, now: int) -> Transition:
        """Leave everything as it is, no attempt counted, to be taken up at once by whoever comes next."""
        return Transition(instance=instance, at=now, guard=guard, dues=(Due(FLUSH_DUE, "earlier", now),), release="yes")

    def judge(self, error: BaseException, attempt: int, batch: Batch, draw: float) -> Ending:
        """How an attempt ended that raised `error`; `draw` is random, in [0, 1)."""
        retry = self._definition.retry
        ending = Ending(on="raised", batch=batch, attempt=attempt, cause=error)
        if isinstance(error, Snooze):
            return structs.replace(ending, on="snoozed", delay_ms=_ms(error.after), cause=None)
        if isinstance(error, Cancel):
            return structs.replace(ending, on="cancelled", cause=None)
        if isinstance(error, DeadLetter):
            return structs.replace(ending, on="gave_up", reason=error.reason or "dead_letter")
        if attempt >= retry.max_attempts:
            return structs.replace(ending, on="gave_up", reason="max_attempts")
        if isinstance(error, Retry) and error.after is not None:
            return structs.replace(ending, delay_ms=_ms(error.after))
        if not isinstance(error, Retry) and retry.gives_up(error):
            return structs.replace(ending, on="gave_up", reason="give_up_on")
        return structs.replace(ending, delay_ms=retry.backoff.delay_ms(attempt, draw))

    def settle(self, record: Record, guard: Guard, ending: Ending, go_on: bool, now: int) -> Decision[object]:
        """Record how the attempt ended.  The instance is given back, unless the owner may `go_on` and has reason to."""
        if TRANSITIONS["flushing", ending.on] == "retrying":
            return self._wait(record, guard, ending, now)
        return self._end(record, guard, ending, go_on, now)

    def _wait(self, record: Record, guard: Guard, ending: Ending, now: int) -> Decision[object]:
        """The batch stays as it is and is tried again later; nothing that comes in meanwhile changes when."""
        stored = read(record)
        flush = stored.flush
        assert flush is not None
        at = now + ending.delay_ms
        tried = flush.attempt + (ending.on == "raised")
        changed = structs.replace(
            stored,
            flush=structs.replace(flush, attempt=tried, retry_at=at),
            last_error=encode_failure(ending.error) if ending.error is not None else stored.last_error,
        )
        transition = Transition(
            instance=record.instance,
            at=now,
            guard=guard,
            put=put(self._definition, record, changed),
            dues=(Due(RETRY_DUE, "set", at),),
            release="yes",
        )
        return Decision(transition, lambda _: None, lambda _: ended(self._namespace, record, flush, ending, now, at))

    def _end(self, record: Record, guard: Guard, ending: Ending, go_on: bool, now: int) -> Decision[object]:
        """The batch leaves: flushed, dead or dropped."""
        stored, to = read(record), TRANSITIONS["flushing", ending.on]
        flush = stored.flush
        assert flush is not None
        changed = structs.replace(
            stored,
            flush=None,
            ended=stored.ended if flush.segment is None else flush.segment,
            reasons={segment: reason for segment, reason in stored.reasons.items() if segment != flush.segment},
            last_error=None if ending.error is None else encode_failure(ending.error),
            buried=stored.buried + (to == "dead"),
        )
        waiting = bool(changed.redrives) or changed.ended < record.segment - 1
        go_on = go_on and (waiting or to == "dead")
        transition = Transition(
            instance=record.instance,
            at=now,
            guard=guard,
            put=put(self._definition, record, changed),
            bury=(_burial(flush, ending, now),) if to == "dead" else (),
            discard=(flush.flush_id,) if flush.segment is None and to != "dead" else (),
            retire=None
            if flush.segment is None
            else Retire(flush.segment, SETTLEMENTS[to], now + self._definition.dedupe_ms),
            dues=(Due(FLUSH_DUE, "earlier", now),) if waiting else (),
            progress=True,
            release="no" if go_on else "yes",
        )
        return Decision(transition, lambda _: None, lambda _: ended(self._namespace, record, flush, ending, now))


def _oldest(record: Record, stored: Stored, last_sealed: int) -> Flush | None:
    """What is to be handed over next: a dead letter that was redriven, else the oldest sealed batch."""
    if stored.redrives:
        return Flush(stored.redrives[0], None)
    segment = stored.ended + 1
    return Flush(flush_id(record, segment), segment) if segment <= last_sealed else None


def _burial(flush: Flush, ending: Ending, now: int) -> Burial:
    assert ending.error is not None
    return Burial(
        id=flush.flush_id,
        item=None,
        payload=encode(ending.batch),
        attempts=ending.attempt,
        error=encode_failure(ending.error),
        count=ending.batch.count,
        expires_at=now + DEAD_LETTER_MS,
    )


def _ms(delay: timedelta) -> int:
    return delay // timedelta(milliseconds=1)
