"""How a try of user code can end, as the executor reports it to the state machine."""

from __future__ import annotations

from msgspec import Struct

from durable_primitives.signals import Signal


class RunRef(Struct, frozen=True):
    """Which try is meant: one of an earlier life must not write into a later one."""

    epoch: int
    number: int
    attempt: int


class Returned(Struct, frozen=True):
    """The handler came to its end."""

    state: bytes | None
    """What it set, if it did."""
    schedule_at: int | None = None


class Raised(Struct, frozen=True):
    """It failed: an exception, a timeout, or a `Retry` or `DeadLetter` that it raised."""

    error: BaseException


class Postponed(Struct, frozen=True):
    """It raised `Snooze`: the same attempt again at this time."""

    until: int


class Abandoned(Struct, frozen=True):
    """It raised `Cancel`."""

    error: BaseException


class Stopped(Struct, frozen=True):
    """It called `ctx.stop`."""

    reason: str | None
    state: bytes | None


class Terminated(Struct, frozen=True):
    """It called `ctx.terminate`."""

    reason: str | None


Ending = Returned | Raised | Postponed | Abandoned | Stopped | Terminated


class Ended(Struct, frozen=True):
    """One try, and how it ended."""

    run: RunRef
    ending: Ending
    duration_ms: int


class EndOfRun(Signal):
    """Raised by `ctx.stop` and `ctx.terminate`: the handler ends there.

    Not an `Exception`, so that ``except Exception`` in the handler does not swallow it.
    """


class Superseded(Signal):
    """Raised by `ctx.checkpoint` in a run whose instance has begun another life: nothing of it can be saved."""
