"""The tracking events of one try's end."""

from __future__ import annotations

from durable_primitives.events import (
    ContinuousExecuted,
    ContinuousFailed,
    ContinuousPaused,
    ContinuousRetryExhausted,
    ContinuousRetryScheduled,
    ContinuousStopped,
    ContinuousTerminated,
    ErrorInfo,
    PrimitiveEvent,
)
from durable_primitives.primitives.continuous.endings import Ended
from durable_primitives.primitives.continuous.lifecycle import EXHAUSTED
from durable_primitives.primitives.continuous.queries import identity
from durable_primitives.primitives.continuous.stored import Stored


class Teller:
    """Words one `Ended` for the tracker."""

    def __init__(self, namespace: str, instance: str, ended: Ended, now: int) -> None:
        self._who = identity(namespace, instance)
        self._run = ended.run
        self._duration_ms = ended.duration_ms
        self._now = now

    def executed(self, before: Stored, after: Stored) -> ContinuousExecuted:
        return ContinuousExecuted(
            at_ms=self._now,
            run_count=self._run.number,
            attempt=self._run.attempt,
            duration_ms=self._duration_ms,
            missed=before.run.missed if before.run is not None else 0,
            next_due_ms=after.next_run_at,
            **self._who,
        )

    def failed(self, error: BaseException, *, will_retry: bool) -> ContinuousFailed:
        return ContinuousFailed(
            at_ms=self._now,
            run_count=self._run.number,
            attempt=self._run.attempt,
            duration_ms=self._duration_ms,
            error=ErrorInfo.of(error),
            will_retry=will_retry,
            **self._who,
        )

    def retry_scheduled(self, due: int) -> ContinuousRetryScheduled:
        return ContinuousRetryScheduled(
            at_ms=self._now,
            run_count=self._run.number,
            attempt=self._run.attempt,
            next_due_ms=due,
            **self._who,
        )

    def exhausted(
        self, error: BaseException, reason: str, on_exhausted: str, after: Stored
    ) -> ContinuousRetryExhausted:
        return ContinuousRetryExhausted(
            at_ms=self._now,
            run_count=self._run.number,
            attempt=self._run.attempt,
            error=ErrorInfo.of(error),
            reason=reason,
            on_exhausted=on_exhausted,
            next_due_ms=after.next_run_at,
            **self._who,
        )

    def terminated(self, reason: str | None) -> ContinuousTerminated:
        return ContinuousTerminated(at_ms=self._now, run_count=self._run.number, reason=reason, **self._who)

    def turned(self, before: Stored, after: Stored) -> list[PrimitiveEvent]:
        """The pause or the stop that the end led to, if it did."""
        if after.mode == before.mode:
            return []
        if after.mode == "paused":
            return [ContinuousPaused(at_ms=self._now, reason=EXHAUSTED, **self._who)]
        return [ContinuousStopped(at_ms=self._now, run_count=after.run_count, reason=after.stop_reason, **self._who)]
