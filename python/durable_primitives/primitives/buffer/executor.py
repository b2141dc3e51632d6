"""Hands sealed batches over to user code, one at a time, the oldest first."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from msgspec import structs

from durable_primitives.durations import format_ms, to_datetime
from durable_primitives.errors import (
    CrashLoopError,
    DefinitionError,
    DurablePrimitivesError,
    SerializationError,
    StorageError,
)
from durable_primitives.events import ErrorInfo
from durable_primitives.kernel.transition import Outcome, Transition
from durable_primitives.logs import bind_context, get_logger
from durable_primitives.primitives.buffer.context import BufferDeadLetterContext, BufferExecuteContext
from durable_primitives.primitives.buffer.definition import BufferDefinition
from durable_primitives.primitives.buffer.flushing import Ending, Flushing
from durable_primitives.primitives.buffer.orchestrator import BufferOrchestrator
from durable_primitives.primitives.buffer.queries import items_of
from durable_primitives.primitives.buffer.stored import Batch, Flush, gather, read, read_batch
from durable_primitives.services.environment import Environment
from durable_primitives.services.metadata import park_failed
from durable_primitives.services.ownership import MAX_DELIVERIES, Ownership
from durable_primitives.signals import Signal

RETRY_SECONDS = 0.5
"""Between the tries of a commit that a busy or full store refused."""

_log = get_logger("durable_primitives.buffer")


class BufferExecutor:
    """Runs one definition."""

    def __init__(
        self, definition: BufferDefinition[Any, Any], orchestrator: BufferOrchestrator, environment: Environment
    ) -> None:
        self._definition = definition
        self._flushing = Flushing(definition, orchestrator.namespace)
        self._environment = environment

    async def run(self, owned: Ownership) -> None:
        """Hand over batch after batch until none is left, or one has to wait, and give the instance back."""
        try:
            released = False
            while not released and not owned.draining:
                released = await self._hand_over_next(owned)
            if not released:
                await self._give_back(owned)
        except SerializationError as error:
            # The record's own part.  What is in a batch is decoded inside an attempt, whose outcome a failure is.
            await park_failed(owned, "undecodable", ErrorInfo.of(error))
        except asyncio.CancelledError:
            with contextlib.suppress(DurablePrimitivesError):
                await self._give_back(owned)
            raise

    async def _hand_over_next(self, owned: Ownership) -> bool:
        """One batch; returns whether the instance was given back."""
        begun = await owned.decide(lambda record: self._flushing.begin(record, owned.versioned(), owned.runtime.now()))
        if begun.released:
            return True
        flush = read(await owned.refresh()).flush
        if flush is None:
            return await self._rest(owned)
        ending = await self._flush(owned, flush)
        tells = ending.on == "gave_up" and self._definition.on_dead_letter is not None
        go_on = tells or not (owned.draining or owned.crowded())
        settled = await self._settle(owned, ending, go_on)
        if tells:
            await self._tell_user(owned, flush, ending)
        if not settled.released:
            await owned.refresh()
        return settled.released

    async def _settle(self, owned: Ownership, ending: Ending, go_on: bool) -> Outcome:
        """Record how an attempt ended.  A busy or full store is asked again: the handler must not run anew for it."""
        while True:
            try:
                return await owned.decide(
                    lambda record: self._flushing.settle(record, owned.versioned(), ending, go_on, owned.runtime.now())
                )
            except StorageError as error:
                if error.outcome != "not_applied" or owned.lost:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    async def _rest(self, owned: Ownership) -> bool:
        """Nothing was waiting; returns whether that is still so, and the instance was given back."""
        idle = self._flushing.is_idle(owned.record)
        if idle:
            at = owned.runtime.now()
            await owned.commit(Transition(instance=owned.instance, at=at, guard=owned.fence, release="yes"))
        return idle

    async def _give_back(self, owned: Ownership) -> None:
        await owned.commit(self._flushing.give_back(owned.instance, owned.fence, owned.runtime.now()))

    # One batch.

    async def _flush(self, owned: Ownership, flush: Flush) -> Ending:
        batch = await self._load(owned, flush)
        if batch.count == 0:
            return Ending(on="vanished", batch=batch, attempt=flush.attempt)
        if owned.record.deliveries > MAX_DELIVERIES:
            cause = CrashLoopError(owned.kind, owned.name, owned.instance, MAX_DELIVERIES)
            return Ending(on="crash_looped", batch=batch, attempt=flush.attempt, cause=cause, reason="crash_loop")
        return await self._attempt(owned, flush, batch)

    async def _load(self, owned: Ownership, flush: Flush) -> Batch:
        """The content of a batch; empty if its dead letter has outlived its retention."""
        if flush.segment is not None:
            reason = read(owned.record).reasons.get(flush.segment, "max_events")
            return gather(await items_of(owned.storage, owned.instance, flush.segment), reason)
        letter = (await owned.storage.load(owned.instance, (), (flush.flush_id,))).letters.get(flush.flush_id)
        return gather((), "manual") if letter is None else read_batch(letter.payload)

    async def _attempt(self, owned: Ownership, flush: Flush, batch: Batch) -> Ending:
        runtime, attempt = owned.runtime, flush.attempt + 1
        started = runtime.monotonic()
        try:
            await self._execute(owned, flush, batch)
        except (Exception, Signal, BaseExceptionGroup, asyncio.CancelledError) as error:
            if _is_shutdown(error):
                raise
            ending = self._flushing.judge(error, attempt, batch, runtime.random())
        else:
            ending = Ending(on="returned", batch=batch, attempt=attempt)
        return structs.replace(ending, duration_ms=round((runtime.monotonic() - started) * 1000))

    async def _execute(self, owned: Ownership, flush: Flush, batch: Batch) -> None:
        definition = self._definition
        state = definition.gathering.read(owned.instance, batch)
        context = BufferExecuteContext(owned, self._environment, flush, batch, state)
        with bind_context(
            primitive=owned.name, instance_id=owned.instance, flush_id=flush.flush_id, attempt=context.attempt
        ):
            limit = asyncio.timeout(definition.timeout_s)
            try:
                async with limit:
                    answer = await definition.execute(context)
            except TimeoutError as error:
                if not limit.expired() or definition.timeout_s is None:
                    raise
                taken = format_ms(round(definition.timeout_s * 1000))
                raise TimeoutError(f"execute took longer than its timeout of {taken}") from error
        if answer is not None:
            raise DefinitionError(
                f"execute of buffer {definition.name!r} returned {type(answer).__name__}, and must return None",
                help="raise to fail the batch; giving back single events is not available in this release",
            )

    async def _tell_user(self, owned: Ownership, flush: Flush, ending: Ending) -> None:
        """Call `on_dead_letter`.  The batch is a dead letter by now, whatever it does."""
        hook, batch = self._definition.on_dead_letter, ending.batch
        assert hook is not None
        context = BufferDeadLetterContext(
            instance_id=owned.instance,
            id=owned.id,
            name=owned.name,
            flush_id=flush.flush_id,
            attempts=ending.attempt,
            event_count=batch.count,
            first_event_at=to_datetime(batch.first_at),
            last_event_at=to_datetime(batch.last_at),
            failed_at=to_datetime(owned.runtime.now()),
        )
        try:
            await hook(self._definition.state_or_none(owned.instance, batch), ending.cause, context)
        except (Exception, Signal, BaseExceptionGroup, asyncio.CancelledError) as failure:
            if _is_shutdown(failure):
                raise
            _log.warning(
                "on_dead_letter failed", instance_id=owned.instance, flush_id=flush.flush_id, error=repr(failure)
            )


def _is_shutdown(error: BaseException) -> bool:
    """Whether this run was cancelled; a cancellation of something that the handler awaited is a failure like others."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
