"""The moves of the state machine: each takes what is stored and the time, and gives what is to be stored."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, structs

from durable_primitives.events import ErrorInfo
from durable_primitives.primitives.continuous.stored import NOT_FOUND, Run, Stored
from durable_primitives.primitives.continuous.transitions import check
from durable_primitives.services.schedule import Plan, Slot

OnExhausted = Literal["continue", "pause", "stop"]

SCHEDULE_ENDED = "schedule_ended"
"""The stop reason of an instance whose schedule, or whose `until`, left no further tick."""

MAX_RUNS = "max_runs"
"""The stop reason of an instance that has run as often as it may."""

EXHAUSTED = "exhausted"
"""The stop reason of an instance whose retries were exhausted under ``on_exhausted="stop"``."""


class Lifecycle(Struct, frozen=True, kw_only=True):
    """The machine of one definition.  No I/O, no clock, no randomness."""

    plan: Plan
    start_immediately: bool = True
    max_runs: int | None = None
    on_exhausted: OnExhausted = "continue"

    # What callers ask for.

    def start(self, instance: str, state: bytes, epoch: int, now: int) -> Stored:
        """A new life."""
        return _moved(None, "start", self._begun(Stored(state=state, epoch=epoch), instance, now))

    def restart(self, before: Stored, instance: str, state: bytes, now: int) -> Stored:
        """A new life in the place of another; a run of that one, if it is in flight, cannot write here."""
        fresh = Stored(state=state, epoch=max(before.epoch + 1, now))
        return _moved(before, "restart", self._begun(fresh, instance, now))

    def start_again(self, before: Stored, instance: str, now: int) -> Stored:
        """A stopped instance goes on with its state and its count of runs, at a cadence that begins now."""
        fresh = structs.replace(
            before, mode="live", stop_reason=None, consecutive_failures=0, first_run=before.run_count, missed=0
        )
        return _moved(before, "start", self._begun(fresh, instance, now))

    def trigger(self, before: Stored, now: int) -> Stored:
        """Ask for one run beyond the schedule: now, or right after the one that is in flight."""
        run = before.run if before.status == "running" else None
        since = now if before.triggered_at is None else before.triggered_at
        return _moved(before, "trigger", structs.replace(before, run=run, triggered_at=since))

    def pause(self, before: Stored) -> Stored:
        """No run begins until `resume`; one that is in flight goes on to its end."""
        return _moved(before, "pause", structs.replace(before, mode="paused"))

    def resume(self, before: Stored, instance: str, now: int) -> tuple[Stored, int]:
        """Go on; also how many ticks of the gap get no run of their own."""
        live = structs.replace(before, mode="live")
        missed = 0
        if live.run is None and live.override_at is None and live.next_tick is not None and live.next_tick <= now:
            slot = self.plan.settle(live.next_tick, now, instance)
            missed = slot.missed
            if slot.at is None:
                live = _ended_if_idle(_skipped(live, slot))
        return _moved(before, "resume", live), missed

    def stop(self, before: Stored, reason: str | None) -> Stored:
        """Keep the state and nothing to do."""
        return _moved(before, "stop", _stopped(before, reason))

    # What a worker does.

    def begin(self, before: Stored, instance: str, now: int) -> Stored | None:
        """The claim of a due instance: a run that is open now, with the next tick already stored.

        None: nothing is due.  Without an open run in the answer, the ticks that were due are skipped.
        """
        if before.mode != "live":
            return None
        if before.run is not None:
            return self._begin_again(before, before.run, instance, now)
        if before.run_at is None or before.run_at > now:
            return None
        slot = self._due_slot(before, before.run_at, instance, now)
        if slot.at is None:
            return _moved(before, "skip", _ended_if_idle(_skipped(before, slot)))
        return _moved(
            before,
            "begin",
            structs.replace(
                before,
                run=Run(scheduled_for=slot.at, missed=before.missed + slot.missed),
                next_tick=slot.following,
                override_at=None if _reached(before.override_at, now) else before.override_at,
                triggered_at=None,
                missed=0,
                run_count=before.run_count + 1,
                last_run_at=now,
            ),
        )

    def _begin_again(self, before: Stored, run: Run, instance: str, now: int) -> Stored | None:
        if run.retry_at is not None and run.retry_at > now:
            return None
        slot = Slot(None, 0, before.next_tick)
        if before.override_at is None:
            slot = self.plan.coalesce(before.next_tick, now, instance)
        run = structs.replace(run, missed=run.missed + slot.missed, retry_at=None)
        return _moved(before, "begin", structs.replace(before, run=run, next_tick=slot.following, last_run_at=now))

    def _due_slot(self, before: Stored, run_at: int, instance: str, now: int) -> Slot:
        """Which time the run that is due now stands for, and what becomes of the ticks up to now."""
        if before.override_at is not None and before.override_at <= now:
            # It took the place of the next tick and of all others before it: those were not missed.
            following = self.plan.after(before.next_tick, before.override_at, instance)
            gap = self.plan.coalesce(following, now, instance)
            return Slot(before.override_at, gap.missed, gap.following)
        if before.override_at is None and before.next_tick is not None and before.next_tick <= now:
            slot = self.plan.settle(before.next_tick, now, instance)
            if slot.at is not None or before.triggered_at is None:
                return slot
            return Slot(before.triggered_at, slot.missed, slot.following)
        return Slot(run_at, 0, before.next_tick)

    # How a run ends.

    def succeed(self, before: Stored, instance: str, now: int, state: bytes | None, schedule_at: int | None) -> Stored:
        """It returned: its state, and the time it asked for if it did."""
        saved = _succeeded(before, state)
        if schedule_at is not None:
            saved = structs.replace(saved, override_at=schedule_at)
        return _moved(before, "succeed", self._closed(saved, instance, now))

    def stop_itself(self, before: Stored, reason: str | None, state: bytes | None) -> Stored:
        """Its handler ended the run and the instance with it."""
        return _moved(before, "stop", _stopped(_succeeded(before, state), reason))

    def fail(self, before: Stored, error: ErrorInfo, retry_at: int) -> Stored:
        """It failed and is tried again; its state is as it was."""
        assert before.run is not None
        run = structs.replace(before.run, attempt=before.run.attempt + 1, retry_at=retry_at)
        return _moved(before, "fail", structs.replace(before, run=run, last_error=error))

    def exhaust(self, before: Stored, instance: str, now: int, error: ErrorInfo) -> Stored:
        """It failed for the last time: what happens next is the definition's choice; nothing is deleted."""
        failed = structs.replace(before, last_error=error, consecutive_failures=before.consecutive_failures + 1)
        closed = self._closed(failed, instance, now)
        if closed.mode != "stopped" and self.on_exhausted == "stop":
            closed = _stopped(closed, EXHAUSTED)
        elif closed.mode == "live" and self.on_exhausted == "pause":
            closed = structs.replace(closed, mode="paused")
        return _moved(before, "exhaust", closed)

    def abandon(self, before: Stored, instance: str, now: int) -> Stored:
        """Its handler gave it up: no failure, no retry, nothing saved."""
        return _moved(before, "abandon", self._closed(before, instance, now))

    def postpone(self, before: Stored, until: int) -> Stored:
        """The same attempt again later: a snooze, or a worker that shuts down."""
        assert before.run is not None
        run = structs.replace(before.run, retry_at=until)
        return _moved(before, "postpone", structs.replace(before, run=run))

    def save(self, before: Stored, state: bytes) -> Stored:
        """New state and nothing else."""
        return _moved(before, "save", structs.replace(before, state=state))

    # Parts.

    def _begun(self, fresh: Stored, instance: str, now: int) -> Stored:
        """With its first tick, and with a run now if that is wanted."""
        immediate = now if self.start_immediately and self.plan.allows(now) else None
        return _ended_if_idle(structs.replace(fresh, next_tick=self.plan.first(now, instance), triggered_at=immediate))

    def _closed(self, before: Stored, instance: str, now: int) -> Stored:
        """Without its run, and due for the next one if there is to be one."""
        override_at = before.override_at
        if override_at is not None and not self.plan.allows(override_at):
            override_at = None
        next_tick = self.plan.after_run(before.next_tick, now, instance)
        closed = structs.replace(before, run=None, override_at=override_at, next_tick=next_tick)
        if self.max_runs is not None and closed.run_count - closed.first_run >= self.max_runs:
            return _stopped(closed, MAX_RUNS)
        return _ended_if_idle(closed)


def _moved(before: Stored | None, on: str, after: Stored) -> Stored:
    check(NOT_FOUND if before is None else before.status, on, after.status)
    return after


def _succeeded(before: Stored, state: bytes | None) -> Stored:
    return structs.replace(
        before, state=before.state if state is None else state, consecutive_failures=0, last_error=None
    )


def _reached(at: int | None, now: int) -> bool:
    return at is not None and at <= now


def _skipped(before: Stored, slot: Slot) -> Stored:
    """The ticks that were due get no run; the next one that does reports them."""
    return structs.replace(before, next_tick=slot.following, missed=before.missed + slot.missed)


def _stopped(before: Stored, reason: str | None) -> Stored:
    return structs.replace(
        before, mode="stopped", run=None, next_tick=None, override_at=None, triggered_at=None, stop_reason=reason
    )


def _ended_if_idle(before: Stored) -> Stored:
    """A live instance always has a due time: one that has none left is stopped."""
    return _stopped(before, SCHEDULE_ENDED) if before.run_at is None else before
