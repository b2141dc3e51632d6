"""Owns a leased instance for one run: claim, commit, run, commit."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from durable_primitives.errors import DefinitionError, DurablePrimitivesError, SerializationError
from durable_primitives.events import ErrorInfo
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.record import Record
from durable_primitives.logs import bind_context
from durable_primitives.primitives.continuous.attempt import Attempt
from durable_primitives.primitives.continuous.context import ContinuousContext
from durable_primitives.primitives.continuous.endings import Ended, RunRef
from durable_primitives.primitives.continuous.invoking import try_run
from durable_primitives.primitives.continuous.orchestrator import ContinuousOrchestrator
from durable_primitives.primitives.continuous.runs import Runs
from durable_primitives.primitives.continuous.stored import Stored
from durable_primitives.services.environment import Environment
from durable_primitives.services.metadata import park_failed
from durable_primitives.services.ownership import MAX_DELIVERIES, Ownership
from durable_primitives.services.state import StateManager

if TYPE_CHECKING:
    from durable_primitives.primitives.continuous.definition import ContinuousDefinition


class ContinuousExecutor:
    """Runs the instances of one definition."""

    def __init__(
        self, definition: ContinuousDefinition[Any], orchestrator: ContinuousOrchestrator, environment: Environment
    ) -> None:
        self._definition = definition
        self._environment = environment
        self._runs = Runs(definition, environment.namespace)

    async def run(self, ownership: Ownership) -> None:
        """Run what is due, once, and give the lease back in every case."""
        execution = _Execution(self._definition, self._runs, self._environment, ownership)
        try:
            await execution.run()
        except asyncio.CancelledError:
            # The worker's grace is over.  A commit that is on its way is applied before this one.
            with suppress(DurablePrimitivesError):
                await execution.give_back()
            raise


class _CrashLoopError(Exception):
    """The instance was claimed too often without an outcome."""


class _Execution:
    """One run of one owned instance."""

    def __init__(
        self, definition: ContinuousDefinition[Any], runs: Runs, environment: Environment, ownership: Ownership
    ) -> None:
        self._definition = definition
        self._runs = runs
        self._environment = environment
        self._ownership = ownership
        self._now = ownership.runtime.now
        self._attempt: Attempt[Any] | None = None
        self._context: ContinuousContext[Any] | None = None
        self._changed = False
        self._looking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        ownership = self._ownership
        if ownership.draining:
            await self.give_back()
            return
        ownership.on_change = self._on_change
        try:
            await self._ownership.decide(self._begin)
        except SerializationError as error:
            await park_failed(ownership, "undecodable", ErrorInfo.of(error))
        except DefinitionError as error:
            await park_failed(ownership, "schedule_failed", ErrorInfo.of(error.__cause__ or error))
        except _CrashLoopError:
            await park_failed(ownership, "crash_loop", recheck=False)
        else:
            if self._attempt is not None and self._context is not None:
                await self._run(self._attempt, self._context)

    async def give_back(self) -> None:
        """Let another worker take over at once; no attempt is consumed."""
        await self._stop_looking()
        await self._ownership.decide(
            lambda record: self._runs.give_back(record, self._ownership.versioned(), self._now())
        )

    # The commits.

    def _begin(self, record: Record) -> Decision[None]:
        self._attempt = self._context = None
        stored, decision = self._runs.begin(record, self._ownership.versioned(), self._now())
        if stored is not None:
            if record.deliveries > MAX_DELIVERIES:
                raise _CrashLoopError
            self._open(record, stored)
        return decision

    def _open(self, record: Record, stored: Stored) -> None:
        """Decode the state before anything is committed: a run that cannot have it must not begin."""
        assert stored.run is not None
        ref = RunRef(stored.epoch, stored.run_count, stored.run.attempt)
        state = StateManager(self._definition.codec, stored.state, self._environment.max_payload)
        self._attempt = Attempt(ref, state, self._now, self._save)
        self._context = ContinuousContext(
            record.instance, record.generation, stored.run, self._attempt, self._environment
        )

    async def _save(self, state: bytes) -> None:
        attempt = self._attempt
        assert attempt is not None
        await self._ownership.decide(
            lambda record: self._runs.checkpoint(record, self._ownership.versioned(), attempt.run, state, self._now())
        )

    async def _run(self, attempt: Attempt[Any], context: ContinuousContext[Any]) -> None:
        runtime = self._ownership.runtime
        started = runtime.monotonic()
        if self._changed:
            # It happened while the begin was on its way, perhaps to an attempt that was decided anew since.
            self._on_change()
        with bind_context(
            primitive=self._definition.kind,
            instance_id=context.instance_id,
            run_count=context.run_count,
            attempt=context.attempt,
        ):
            try:
                ending = await try_run(self._definition, attempt, context)
            finally:
                attempt.over = True
        await self._stop_looking()
        ended = Ended(attempt.run, ending, round((runtime.monotonic() - started) * 1000))
        draw = runtime.random()
        await self._ownership.decide(
            lambda record: self._runs.finish(record, self._ownership.versioned(), ended, self._now(), draw)
        )

    # What others do meanwhile.

    def _on_change(self) -> None:
        self._changed = True
        if self._attempt is None:
            return
        if self._ownership.lost or self._ownership.draining:
            self._attempt.cancelled = True
        elif self._looking is None:
            self._looking = self._ownership.runtime.spawn(self._look(), "durable-primitives look")

    async def _look(self) -> None:
        """Ask the handler to end if its run is no longer wanted."""
        try:
            while self._changed:
                self._changed = False
                record = await self._ownership.refresh()
                attempt = self._attempt
                if attempt is not None and not self._runs.is_current(record, attempt.run):
                    attempt.cancelled = True
        except DurablePrimitivesError:
            # A lost lease has said so itself; a store that is away is asked again by the next heartbeat.
            return
        finally:
            self._looking = None

    async def _stop_looking(self) -> None:
        self._ownership.on_change = None
        if self._looking is not None:
            await asyncio.wait((self._looking,))
