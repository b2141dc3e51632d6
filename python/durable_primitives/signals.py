"""What a handler raises to say how its work should go on, other than "it failed".

A signal is no error, and a handler that wraps its work in ``except Exception`` must not swallow one: `Signal` derives
from `BaseException`, as `asyncio.CancelledError` does for the same reason.  Cleanup in ``finally`` and ``with`` runs
as usual.  Raised inside an `asyncio.TaskGroup`, a signal leaves it wrapped in a `BaseExceptionGroup`: raise it after
the group.
"""

from __future__ import annotations

from datetime import timedelta

from durable_primitives.durations import Duration, parse


class Signal(BaseException):
    """The root of all signals."""


class Retry(Signal):
    """This attempt failed, and counts: try again, `after` this long or, without it, after the usual backoff.

    Example:
        >>> raise Retry(after="30 seconds")
        Traceback (most recent call last):
        durable_primitives.signals.Retry: after 0:00:30
    """

    def __init__(self, after: Duration | None = None) -> None:
        self.after: timedelta | None = None if after is None else parse(after, what="Retry(after=)", allow_zero=True)
        super().__init__(self.after)

    def __str__(self) -> str:
        return "after the usual backoff" if self.after is None else f"after {self.after}"


class Snooze(Signal):
    """Not now: run the same attempt again `after` this long.  No attempt is consumed, so it may go on for ever.

    `after` is longer than zero, or a handler could spin.
    """

    def __init__(self, after: Duration) -> None:
        self.after: timedelta = parse(after, what="Snooze(after)")
        super().__init__(self.after)

    def __str__(self) -> str:
        return f"for {self.after}"


class Cancel(Signal):
    """Give this work up and forget it: no retry, no dead letter.  `reason` is kept in its receipt."""

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(reason)


class DeadLetter(Signal):
    """Give this work up at once and keep it as a dead letter, with `reason`, for somebody to look at."""

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(reason)
