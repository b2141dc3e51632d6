"""The data of a record: everything that the state machine knows about one instance."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct, structs

from durable_primitives.events import ErrorInfo
from durable_primitives.kernel.record import RECHECK_DUE, Record
from durable_primitives.kernel.transition import Due, Guard, Put, Transition
from durable_primitives.services.versioned import Count, Instant, decode_versioned

FORMAT: Final = 1

RUN_DUE = "run"
"""The named due at which the next run begins."""

RETRY_DUE = "retry"
"""The named due at which an open run is tried again."""

NOT_FOUND = "not_found"
"""The status of an instance that does not exist."""

Status = Literal["scheduled", "running", "retrying", "paused", "stopped"]


class Run(Struct, frozen=True, gc=False, array_like=True):
    """A run that has begun and has no outcome yet."""

    scheduled_for: Instant
    missed: Count = 0
    """Ticks that it stands for beyond its own."""
    attempt: Count = 1
    """The try that runs, or comes next."""
    retry_at: Instant | None = None
    """None: somebody runs it, or did when their worker died."""


class Stored(Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """One instance.  Its status and its due times are functions of this and are never set by hand."""

    format: int = FORMAT
    state: bytes
    epoch: Count
    """Which life of the instance this is: raised by a restart, so that a run of the life before cannot write here."""
    mode: Literal["live", "paused", "stopped"] = "live"
    run: Run | None = None
    next_tick: Instant | None = None
    """The next regular tick; None when the schedule has ended."""
    override_at: Instant | None = None
    """What `ctx.schedule` put in the place of the next tick."""
    triggered_at: Instant | None = None
    """Since when a run is asked for out of turn.  Set while one is open: exactly one more follows it."""
    missed: Count = 0
    """Ticks that passed since the last run began and got no run."""
    run_count: Count = 0
    first_run: Count = 0
    """`run_count` at the last start: `max_runs` counts from there."""
    last_run_at: Instant | None = None
    consecutive_failures: Count = 0
    last_error: ErrorInfo | None = None
    stop_reason: str | None = None

    @property
    def status(self) -> Status:
        if self.mode != "live":
            return self.mode
        if self.run is None:
            return "scheduled"
        return "running" if self.run.retry_at is None else "retrying"

    @property
    def planned_at(self) -> int | None:
        """When the schedule, or the handler in its place, wants the next run."""
        return self.next_tick if self.override_at is None else self.override_at

    @property
    def run_at(self) -> int | None:
        """When the next run is due."""
        if self.triggered_at is None or self.planned_at is None:
            return self.planned_at if self.triggered_at is None else self.triggered_at
        return min(self.triggered_at, self.planned_at)

    @property
    def next_run_at(self) -> int | None:
        """When user code runs next, as far as it is known."""
        if self.mode != "live":
            return None
        return self.run_at if self.run is None or self.run.retry_at is None else self.run.retry_at

    def dues(self) -> tuple[Due, ...]:
        """Every named due of the instance, set or cleared.  While a retry waits, no tick brings it to execution."""
        retry_at = self.run.retry_at if self.run is not None else None
        run_at = self.run_at if retry_at is None else None
        if self.mode == "stopped":
            retry_at = run_at = None
        return (_due(RUN_DUE, run_at), _due(RETRY_DUE, retry_at), Due(RECHECK_DUE, "clear"))


def _due(name: str, at: int | None) -> Due:
    return Due(name, "clear") if at is None else Due(name, "set", at)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Stored)


def read(record: Record) -> Stored:
    """What a record holds.

    Raises:
        SerializationError: A later release wrote it, or it is damaged.
    """
    stored = decode_versioned(_decoder, record.data, "record of a continuous", newest=FORMAT)
    run = stored.run
    if run is not None and run.retry_at is None and record.owner is None:
        # Parked in the middle of a run: nobody has it in hand, so it waits.
        return structs.replace(stored, run=structs.replace(run, retry_at=record.updated_at))
    return stored


def write(
    stored: Stored,
    *,
    instance: str,
    at: int,
    guard: Guard,
    retention_ms: int | None,
    release: bool = False,
) -> Transition:
    """The one form of every change: the data, the status and the due times that follow from it, in one commit."""
    return Transition(
        instance=instance,
        at=at,
        guard=guard,
        put=Put(
            status=stored.status,
            data=_encoder.encode(stored),
            held=stored.mode == "paused",
            linger_ms=retention_ms if stored.mode == "stopped" else None,
        ),
        dues=stored.dues(),
        release="yes" if release else "no",
    )
