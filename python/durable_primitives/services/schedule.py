"""When something repeats: the ticks of a schedule, and what becomes of those that were missed.  Pure arithmetic.

All times are integers: milliseconds since the epoch, UTC.  Each tick follows from the one before, never from the time
at which somebody looked, so a cadence does not drift.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from durable_primitives._core import xxh3_64
from durable_primitives.durations import instant_ms, to_datetime
from durable_primitives.errors import DefinitionError

Misfire = Literal["run_once", "skip", "run_all"]
MISFIRES: tuple[Misfire, ...] = ("run_once", "skip", "run_all")

MAX_LATE_MS = 60_000
"""Under ``"skip"``, how late a run may start: a tenth of the way to the next tick, and never more than this."""

MAX_COUNTED = 10_000
"""How many ticks of a `Custom` schedule are counted one by one; after a longer gap it goes on from now."""


class Reached(Struct, frozen=True, gc=False):
    """The ticks from a given one up to now."""

    count: int
    latest: Sequence[int]
    """The last of them, oldest first."""
    following: int | None
    """The first one after now; None when there is no further one."""


@runtime_checkable
class Schedule(Protocol):
    """Where the ticks are.  `instance` is who asks: jitter is a fixed property of it."""

    def first(self, start: int, instance: str) -> int | None:
        """The first tick after a start."""
        ...

    def reached(self, tick: int, now: int, instance: str, keep: int) -> Reached:
        """The ticks from `tick`, which is not after `now`, up to `now`, of which the last `keep` are listed."""
        ...

    def after_run(self, tick: int | None, finished: int, instance: str) -> int | None:
        """The next tick once a run has finished, if that moves it; otherwise `tick` again."""
        ...


def phase_ms(instance: str, jitter_ms: int) -> int:
    """The fixed share of `jitter_ms` by which the ticks of one instance are later: the same in every process.

    >>> phase_ms("continuous:poll:user-42", 60_000) == phase_ms("continuous:poll:user-42", 60_000)
    True
    """
    return xxh3_64(instance.encode()) % jitter_ms if jitter_ms else 0


class Every(Struct, frozen=True, gc=False):
    """Ticks at ``start + phase + k * interval``, k = 1, 2, …, however long the runs take.

    >>> Every(interval_ms=10).reached(tick=20, now=45, instance="x", keep=2)
    Reached(count=3, latest=range(30, 41, 10), following=50)
    """

    interval_ms: int
    jitter_ms: int = 0

    def first(self, start: int, instance: str) -> int:
        return start + self.interval_ms + phase_ms(instance, self.jitter_ms)

    def reached(self, tick: int, now: int, instance: str, keep: int) -> Reached:
        count = (now - tick) // self.interval_ms + 1
        following = tick + count * self.interval_ms
        oldest = following - min(count, keep) * self.interval_ms
        return Reached(count, range(oldest, following - self.interval_ms + 1, self.interval_ms), following)

    def after_run(self, tick: int | None, finished: int, instance: str) -> int | None:
        return tick


class Spaced(Struct, frozen=True, gc=False):
    """Each tick comes an interval after the run before it has finished, so there is never more than one to catch up."""

    interval_ms: int
    jitter_ms: int = 0

    def first(self, start: int, instance: str) -> int:
        return start + self.interval_ms + phase_ms(instance, self.jitter_ms)

    def reached(self, tick: int, now: int, instance: str, keep: int) -> Reached:
        return Reached(1, (tick,), self.first(now, instance))

    def after_run(self, tick: int | None, finished: int, instance: str) -> int:
        return self.first(finished, instance)


class Custom(Struct, frozen=True, gc=False):
    """Ticks from a pure function ``(previous, now) -> datetime | None``; `previous` is None at a start."""

    function: Callable[[datetime | None, datetime], datetime | None]

    def first(self, start: int, instance: str) -> int | None:
        return self._next(None, start)

    def reached(self, tick: int, now: int, instance: str, keep: int) -> Reached:
        latest = deque((tick,), maxlen=keep)
        count, following = 1, self._next(tick, now)
        while following is not None and following <= now:
            if count == MAX_COUNTED:
                return Reached(count, tuple(latest), self._next(now, now))
            latest.append(following)
            count, following = count + 1, self._next(following, now)
        return Reached(count, tuple(latest), following)

    def after_run(self, tick: int | None, finished: int, instance: str) -> int | None:
        return tick

    def _next(self, previous: int | None, now: int) -> int | None:
        try:
            answer = self.function(None if previous is None else to_datetime(previous), to_datetime(now))
        except Exception as error:
            raise DefinitionError(
                f"the schedule function raised {type(error).__name__}",
                help="it must be a pure function (previous, now) -> datetime | None that accepts every pair",
            ) from error
        if answer is None:
            return None
        tick = instant_ms(answer, what="what the schedule function returned")
        if previous is not None and tick <= previous:
            raise DefinitionError(
                f"the schedule function returned {answer}, which is not after the tick before it",
                help="return a later time, or None when there is none",
            )
        return tick


class Slot(Struct, frozen=True, gc=False):
    """What the ticks that were reached lead to."""

    at: int | None
    """The tick that gets a run now; None: none of them does."""
    missed: int
    """Ticks that get no run of their own."""
    following: int | None
    """The next tick, which may have been reached too where every one gets its run."""


class Plan(Struct, frozen=True):
    """A schedule with its end and with the rule for ticks that were missed."""

    schedule: Schedule
    misfire: Misfire = "run_once"
    catchup_limit: int = 100
    until_ms: int | None = None
    """No tick is later than this."""

    def allows(self, at: int) -> bool:
        """Whether something may be due at this time."""
        return self.until_ms is None or at <= self.until_ms

    def first(self, start: int, instance: str) -> int | None:
        """The first tick after a start."""
        return self._bounded(self.schedule.first(start, instance))

    def after_run(self, tick: int | None, finished: int, instance: str) -> int | None:
        """The next tick once a run has finished."""
        return self._bounded(self.schedule.after_run(tick, finished, instance))

    def settle(self, tick: int, now: int, instance: str) -> Slot:
        """Apply the rule to the ticks from `tick`, which has been reached, up to `now`.

        ``"run_once"``: the latest of them gets a run that stands for all.  ``"skip"``: the same, but only if it is
        hardly late.  ``"run_all"``: the oldest gets its run, then the next; of more than `catchup_limit` the oldest are
        given up.
        """
        if self.misfire == "run_all":
            reached = self._reached(tick, now, instance, self.catchup_limit)
            rest = reached.latest[1:]
            return Slot(reached.latest[0], reached.count - len(rest) - 1, rest[0] if rest else reached.following)
        reached = self._reached(tick, now, instance, 1)
        latest, following = reached.latest[-1], reached.following
        if self.misfire == "skip" and now - latest > _grace_ms(latest, following):
            return Slot(None, reached.count, following)
        return Slot(latest, reached.count - 1, following)

    def coalesce(self, tick: int | None, now: int, instance: str) -> Slot:
        """Ticks that were reached while a run was under way: it stands for them, unless every one gets its run."""
        if self.misfire == "run_all" or tick is None or tick > now:
            return Slot(None, 0, tick)
        reached = self._reached(tick, now, instance, 1)
        return Slot(None, reached.count, reached.following)

    def after(self, tick: int | None, at: int, instance: str) -> int | None:
        """The first tick later than both `tick` and `at`: what comes after a run that took the place of `tick`."""
        return None if tick is None else self._reached(tick, max(tick, at), instance, 1).following

    def _reached(self, tick: int, now: int, instance: str, keep: int) -> Reached:
        until = now if self.until_ms is None else max(tick, min(now, self.until_ms))
        reached = self.schedule.reached(tick, until, instance, keep)
        return Reached(reached.count, reached.latest, self._bounded(reached.following))

    def _bounded(self, tick: int | None) -> int | None:
        return tick if tick is not None and self.allows(tick) else None


def _grace_ms(tick: int, following: int | None) -> int:
    return MAX_LATE_MS if following is None else min(MAX_LATE_MS, (following - tick) // 10)
