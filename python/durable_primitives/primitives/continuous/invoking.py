"""User code, from its call to its `Ending`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from durable_primitives.durations import format_ms, parse_ms
from durable_primitives.errors import ExecutionError
from durable_primitives.logs import get_logger
from durable_primitives.primitives.continuous.attempt import Attempt
from durable_primitives.primitives.continuous.context import ContinuousContext
from durable_primitives.primitives.continuous.endings import Abandoned, Ending, Postponed, Raised, Returned
from durable_primitives.services.invocation import AsyncHandler, as_handler
from durable_primitives.signals import Cancel, Signal, Snooze

if TYPE_CHECKING:
    from durable_primitives.primitives.continuous.definition import ContinuousDefinition

_log = get_logger("durable_primitives.continuous")


class Handler(Struct, frozen=True):
    """A function of the user's."""

    call: AsyncHandler
    in_thread: bool
    """It is a plain `def`, so nothing can interrupt it."""

    @classmethod
    def of(cls, function: object, what: str) -> Handler:
        call = as_handler(function, what)
        return cls(call, call is not function)


async def try_run(
    definition: ContinuousDefinition[Any], attempt: Attempt[Any], context: ContinuousContext[Any]
) -> Ending:
    """Run the handler once.  A failure is told to the log and to `on_error`, which may still stop the instance."""
    error = await _outcome(definition.execute, definition.timeout_ms, attempt, context)
    ending = _ending(error, attempt)
    if isinstance(ending, Raised):
        attempt.forget()
        _log.warning(
            "a run failed",
            instance_id=context.instance_id,
            run_count=context.run_count,
            attempt=context.attempt,
            exc_info=ending.error,
        )
        if definition.on_error is not None:
            await _tell(definition.on_error, ending.error, definition, attempt, context)
            ending = attempt.end or ending
    return ending


async def _tell(
    on_error: Handler,
    error: BaseException,
    definition: ContinuousDefinition[Any],
    attempt: Attempt[Any],
    context: ContinuousContext[Any],
) -> None:
    if not isinstance(error, Exception):
        error = ExecutionError(definition.kind, context.name, context.instance_id, cause=error)
    failure = await _outcome(on_error, definition.timeout_ms, attempt, error, context)
    if failure is not None and attempt.end is None:
        _log.error("on_error failed", instance_id=context.instance_id, exc_info=failure)


async def _outcome(
    handler: Handler, timeout_ms: int | None, attempt: Attempt[Any], *arguments: object
) -> BaseException | None:
    """What the handler raised, if it did.  `asyncio.CancelledError` passes if it is this task that is cancelled."""
    try:
        if timeout_ms is None:
            await handler.call(*arguments)
        else:
            await _within(timeout_ms, handler, attempt, *arguments)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return error
    except (Exception, Signal, BaseExceptionGroup) as error:
        return error
    return None


async def _within(timeout_ms: int, handler: Handler, attempt: Attempt[Any], *arguments: object) -> None:
    """Call the handler; it fails if it takes longer.

    A thread is asked to end, and waited for: a further run must not start beside it.
    """
    scope, expired = asyncio.timeout(None), False

    def expire() -> None:
        nonlocal expired
        expired = attempt.cancelled = True
        if not handler.in_thread:
            scope.reschedule(0.0)

    timer = asyncio.get_running_loop().call_later(timeout_ms / 1000, expire)
    try:
        async with scope:
            await handler.call(*arguments)
    except TimeoutError:
        if not expired:
            raise
    finally:
        timer.cancel()
    if expired:
        raise TimeoutError(f"the run took longer than {format_ms(timeout_ms)}")


def _ending(error: BaseException | None, attempt: Attempt[Any]) -> Ending:
    if attempt.end is not None:
        return attempt.end
    match error:
        case None:
            return Returned(attempt.changed_state, attempt.schedule_at)
        case Snooze():
            return Postponed(attempt.now() + parse_ms(error.after, what="Snooze(after)"))
        case Cancel():
            return Abandoned(error)
        case _:
            return Raised(error)
