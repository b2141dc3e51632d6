"""`Continuous.make`: a repeating job as data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Never, TypeVar, cast, overload

from typing_extensions import TypeForm

from durable_primitives.durations import Duration, format_ms, instant_ms, parse_ms
from durable_primitives.errors import DefinitionError
from durable_primitives.kernel.ids import check_name
from durable_primitives.primitives.continuous.context import ContinuousContext
from durable_primitives.primitives.continuous.invoking import Handler
from durable_primitives.primitives.continuous.lifecycle import Lifecycle, OnExhausted
from durable_primitives.retry import RetryPolicy
from durable_primitives.schema import Codec, Migration, codec_for
from durable_primitives.services.invocation import is_async
from durable_primitives.services.options import choice, refuse_not_yet, refuse_unknown, whole_number
from durable_primitives.services.schedule import MISFIRES, Custom, Every, Misfire, Plan, Schedule, Spaced

S = TypeVar("S")

Execute = Callable[[ContinuousContext[S]], Awaitable[None] | None]
OnError = Callable[[Exception, ContinuousContext[S]], Awaitable[None] | None]
NextTick = Callable[[datetime | None, datetime], datetime | None]
"""``(previous, now) -> next``, pure; `previous` is None at a start, and None as an answer ends the schedule."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ContinuousDefinition(Generic[S]):
    """A repeating job with a state of type `S`, ready to be registered.  Made by `Continuous.make`."""

    kind = "continuous"

    name: str
    aliases: tuple[str, ...]
    codec: Codec[S]
    lifecycle: Lifecycle
    execute: Handler
    on_error: Handler | None
    retry: RetryPolicy
    timeout_ms: int | None
    retention_ms: int

    def __repr__(self) -> str:
        return f"Continuous.make({self.name!r}, schedule={self.lifecycle.plan.schedule!r})"


class Continuous:
    """A durable repeating job per id, with its own state, cadence, retries and life."""

    @staticmethod
    def every(interval: Duration, *, anchor: str = "start", jitter: Duration | None = None) -> Schedule:
        """Again and again.

        Args:
            interval: From tick to tick.
            anchor: ``"start"``: ticks lie at the start plus whole intervals, however long the runs take.
                ``"finish"``: each comes one interval after the run before it has finished.
            jitter: Every id's ticks are later by a fixed share of this, so that many ids do not run all at once.

        Example:
            >>> Continuous.every("30 minutes", jitter="1 minute")
            Every(interval_ms=1800000, jitter_ms=60000)
        """
        interval_ms = parse_ms(interval, what="every(interval)")
        jitter_ms = 0 if jitter is None else parse_ms(jitter, what="every(jitter=)", allow_zero=True)
        if jitter_ms > interval_ms:
            raise DefinitionError(
                f"every(jitter=) is {format_ms(jitter_ms)}, more than the interval of {format_ms(interval_ms)}",
                help="spread the ids over at most one interval",
            )
        if choice(anchor, ("start", "finish"), "every(anchor=)") == "start":
            return Every(interval_ms, jitter_ms)
        return Spaced(interval_ms, jitter_ms)

    @staticmethod
    def cron(expression: str, *, tz: str | None = None) -> Schedule:
        """Not available in this release: raises `DefinitionError`."""
        raise _not_yet("cron")

    @staticmethod
    def at(times: Iterable[datetime]) -> Schedule:
        """Not available in this release: raises `DefinitionError`."""
        raise _not_yet("at")

    @overload
    @staticmethod
    def make(
        name: str,
        *,
        state_schema: TypeForm[S],
        schedule: Schedule | NextTick,
        execute: Execute[S],
        start_immediately: bool = ...,
        retry: RetryPolicy = ...,
        on_exhausted: OnExhausted = ...,
        misfire: Misfire = ...,
        catchup_limit: int = ...,
        timeout: Duration | None = ...,
        max_runs: int | None = ...,
        until: datetime | None = ...,
        retention: Duration = ...,
        on_error: OnError[S] | None = ...,
        schema_version: int = ...,
        aliases: tuple[str, ...] = ...,
    ) -> ContinuousDefinition[S]: ...

    @overload
    @staticmethod
    def make(
        name: str,
        *,
        state_schema: TypeForm[S],
        schedule: Schedule | NextTick,
        start_immediately: bool = ...,
        retry: RetryPolicy = ...,
        on_exhausted: OnExhausted = ...,
        misfire: Misfire = ...,
        catchup_limit: int = ...,
        timeout: Duration | None = ...,
        max_runs: int | None = ...,
        until: datetime | None = ...,
        retention: Duration = ...,
        on_error: OnError[S] | None = ...,
        schema_version: int = ...,
        aliases: tuple[str, ...] = ...,
    ) -> Callable[[Execute[S]], ContinuousDefinition[S]]: ...

    @staticmethod
    def make(
        name: str,
        *,
        state_schema: Any,
        schedule: Any,
        execute: Any = None,
        start_immediately: bool = True,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        on_exhausted: OnExhausted = "continue",
        misfire: Misfire = "run_once",
        catchup_limit: int = 100,
        timeout: Duration | None = None,
        max_runs: int | None = None,
        until: datetime | None = None,
        retention: Duration = "7 days",
        on_error: Any = None,
        schema_version: int = 1,
        migrate: Mapping[int, Migration] | None = None,
        aliases: tuple[str, ...] = (),
        **unknown: Never,
    ) -> Any:
        """Define a repeating job.  Without `execute` it returns a decorator for the handler.

        Args:
            name: Stable: stored instances are found by it.
            state_schema: The type of the state; checked at `start` and whenever it is set.
            schedule: `Continuous.every`, or a pure function ``(previous, now) -> datetime | None``.
            execute: ``async def execute(ctx: ContinuousContext[S])``; a plain ``def`` runs in a thread.
            start_immediately: Whether the first run comes at the start or at the first tick.
            retry: Total attempts at one run and the delay between them.
            on_exhausted: After the last attempt: ``"continue"`` with the next tick, ``"pause"`` or ``"stop"``.
            misfire: What becomes of missed ticks: ``"run_once"``, one run for all of them (`ctx.missed` says how many);
                ``"skip"``, none; ``"run_all"``, one for each.
            catchup_limit: How many missed ticks ``"run_all"`` runs; of more, the oldest are given up.
            timeout: How long one attempt may take; longer is a failure with `TimeoutError`.
            max_runs: Stop after so many runs.
            until: No tick is later than this (aware); after the last one the instance is stopped.
            retention: How long a stopped instance is kept.
            on_error: ``async def on_error(error, ctx)``: told about each failed attempt.  It may call `ctx.stop`.
            schema_version: Raise it when the schema changes in a way that old bytes do not fit.
            migrate: Not available in this release.
            aliases: Old names of the definition.
            **unknown: Refused.

        Raises:
            DefinitionError: For an option that is unknown or cannot be meant.

        Example:
            >>> @Continuous.make("heartbeat", state_schema=int, schedule=Continuous.every("30 seconds"))
            ... async def heartbeat(ctx: ContinuousContext[int]) -> None:
            ...     ctx.set_state(ctx.state + 1)
            >>> heartbeat.name
            'heartbeat'
        """
        refuse_unknown(unknown, Continuous.make, "Continuous.make")
        refuse_not_yet("Continuous.make", migrate=migrate or None)

        def define(handler: object) -> ContinuousDefinition[Any]:
            return ContinuousDefinition(
                name=check_name(name, "the name of a continuous"),
                aliases=_names(aliases),
                codec=codec_for(state_schema, version=schema_version),
                lifecycle=Lifecycle(
                    plan=Plan(
                        schedule=_schedule(schedule),
                        misfire=choice(misfire, MISFIRES, "misfire"),
                        catchup_limit=whole_number(catchup_limit, "catchup_limit"),
                        until_ms=None if until is None else instant_ms(until, what="until"),
                    ),
                    start_immediately=start_immediately,
                    max_runs=None if max_runs is None else whole_number(max_runs, "max_runs"),
                    on_exhausted=choice(on_exhausted, ("continue", "pause", "stop"), "on_exhausted"),
                ),
                execute=Handler.of(handler, "execute"),
                on_error=None if on_error is None else Handler.of(on_error, "on_error"),
                retry=_policy(retry),
                timeout_ms=None if timeout is None else parse_ms(timeout, what="timeout"),
                retention_ms=parse_ms(retention, what="retention", allow_zero=True),
            )

        return define if execute is None else define(execute)


def _schedule(given: Any) -> Schedule:
    if isinstance(given, Schedule):
        return given
    if callable(given) and not is_async(given):
        return Custom(cast("NextTick", given))
    raise DefinitionError(
        f"schedule must be a schedule or a plain function, got {given!r}",
        help='write Continuous.every("30 minutes"), or give a function (previous, now) -> datetime | None',
    )


def _names(given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        raise DefinitionError("aliases is one str", help=f"write aliases=({given!r},)")
    return tuple(cast("Iterable[str]", given))


def _policy(given: object) -> RetryPolicy:
    if isinstance(given, RetryPolicy):
        return given
    raise DefinitionError(
        f"retry must be a RetryPolicy, got {given!r}",
        help='write RetryPolicy(max_attempts=3, backoff=Backoff.exponential(base="1 second"))',
    )


def _not_yet(what: str) -> DefinitionError:
    return DefinitionError(
        f"Continuous.{what} is not available in this release",
        help="use Continuous.every, or a function (previous, now) -> datetime | None",
    )
