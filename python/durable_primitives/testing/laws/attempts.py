"""How often user code runs, with what, and when again."""

from __future__ import annotations

from durable_primitives.durations import format_ms
from durable_primitives.errors import DurablePrimitivesError
from durable_primitives.kernel.transition import Claim, Outcome, Transition
from durable_primitives.primitives.buffer.stored import read as read_buffer
from durable_primitives.primitives.continuous.stored import read as read_continuous
from durable_primitives.services.ownership import MAX_DELIVERIES
from durable_primitives.signals import Cancel, Snooze
from durable_primitives.testing.laws.history import History
from durable_primitives.testing.laws.observing import Observer, Report
from durable_primitives.testing.laws.units import Unit, encoded
from durable_primitives.testing.simulation import Execution


class AttemptsCount(Observer):
    """Attempts at one piece of work count 1, 2, 3 up to max_attempts; one that was cut off is made again."""

    law = "attempts_count"

    def begun(self, execution: Execution) -> None:
        if execution.role != "execute":
            return
        history, attempt = self.history, execution.attempt
        unit, most = history.unit(execution), history.definition(execution.instance).retry.max_attempts
        if attempt > most:
            self.violated(execution.instance, f"attempt {attempt} of at most {most}")
        if unit.last is None:
            if attempt != 1:
                self.violated(execution.instance, f"its first attempt has the number {attempt}")
            return
        before = unit.last.attempt
        counted = unit.last.ended == "raised" and not isinstance(unit.last.error, (Snooze, Cancel))
        expected = {before + counted}
        if unit.disturbances != history.disturbances or not unit.last.ended or unit.void:
            expected |= {before, before + 1}
        if attempt not in expected and not history.is_stale(execution):
            self.violated(execution.instance, f"attempt {attempt} followed attempt {before}")


class SameWork(Observer):
    """Every attempt at one piece of work gets the same content and the same idempotency key."""

    law = "same_work"

    def begun(self, execution: Execution) -> None:
        if execution.role != "execute":
            return
        unit, context = self.history.unit(execution), execution.context
        if unit.key is None:
            unit.key = context.idempotency_key
        elif unit.key != context.idempotency_key:
            self.violated(execution.instance, f"the key {unit.key} became {context.idempotency_key}")
        definition = self.history.definition(execution.instance)
        if definition.kind == "continuous":  # whose checkpoints change it
            return
        try:
            content = encoded(definition, context)
        except DurablePrimitivesError:
            return
        if unit.content is None:
            unit.content = content
        elif unit.content != content:
            self.violated(execution.instance, f"attempt {execution.attempt} got something else than the one before")


class NotAfterItsEnd(Observer):
    """What is recorded as ended does not run again."""

    law = "not_after_its_end"

    def begun(self, execution: Execution) -> None:
        if execution.role == "execute":
            end = self.history.unit(execution).end
            if end and not self.history.is_stale(execution):
                self.violated(execution.instance, f"it ran again, and the store had recorded it as {end}")


class OnceUndisturbed(Observer):
    """A success is repeated only if something went wrong between it and the commit that records it."""

    law = "once_undisturbed"

    def ended(self, execution: Execution) -> None:
        if execution.role != "execute" or execution.ended != "returned":
            return
        unit = self.history.unit(execution)
        if unit.returned > 1 + self.history.disturbances:
            self.violated(execution.instance, f"it succeeded {unit.returned} times and nothing had gone wrong")


class RetryWaits(Observer):
    """A retry waits until it is due, whatever comes in meanwhile."""

    law = "retry_waits"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        units, instance = self.history.units, transition.instance
        for change in transition.reschedule:
            unit = units.get((instance, change.item.seq))
            if unit is not None:
                unit.retry_at = change.due
        record = self.history.after
        if transition.put is None or record is None or not record.data:
            return
        if instance.startswith("buffer:"):
            flush = read_buffer(record).flush
            if flush is not None and flush.retry_at is not None and (instance, flush.flush_id) in units:
                units[instance, flush.flush_id].retry_at = flush.retry_at
        elif instance.startswith("continuous:") and record.owner is None:
            run = read_continuous(record).run
            latest = self.history.latest.get(instance)
            if run is not None and run.retry_at is not None and latest is not None:
                self.history.unit(latest).retry_at = run.retry_at

    def begun(self, execution: Execution) -> None:
        if execution.role == "execute":
            retry_at, now = self.history.unit(execution).retry_at, self.history.clock(execution.process.name)
            if now < retry_at and not (self.history.clocks_were_set or self.history.is_stale(execution)):
                self.violated(execution.instance, f"a retry began {format_ms(retry_at - now)} early")


class CrashLoopsEnd(Observer):
    """Work that keeps killing its process is given up after a few deliveries, and takes nothing else down."""

    law = "crash_loops_end"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._given_back: dict[str, int] = {}
        """How often each instance was given back: that is an outcome."""
        self._deaths: dict[Unit, tuple[int, int]] = {}
        """How many executions in a row had no end, and as of which giving back."""
        self._silent: set[str] = set()
        """Instances whose newest owner has neither committed nor begun anything."""
        self._forgotten: dict[str, int] = {}
        """How often a queue's owner ended like that: it took the suspicion of its predecessor's events with it."""

    def claimed(self, actor: str, claim: Claim) -> None:
        instance = claim.record.instance
        if instance in self._silent and instance.startswith("queue:"):
            self._forgotten[instance] = self._forgotten.get(instance, 0) + 1
        self._silent.add(instance)

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        if transition.guard is not None and transition.guard.token is not None:
            self._silent.discard(transition.instance)
        if outcome.released:
            self._given_back[transition.instance] = self._given_back.get(transition.instance, 0) + 1

    def begun(self, execution: Execution) -> None:
        self._silent.discard(execution.instance)
        if execution.role != "execute":
            return
        unit = self.history.unit(execution)
        life, (before, deaths) = self._given_back.get(execution.instance, 0), self._deaths.get(unit, (0, 0))
        killed = unit.last is not None and not unit.last.ended and not unit.last.process.alive
        # One that goes on without its lease is no delivery.
        deaths = deaths + 1 if killed and before == life and not self.history.leases_may_be_lost else 0
        self._deaths[unit] = life, deaths
        delivery = max(getattr(execution.context, "delivery", 0), deaths + 1)
        if delivery > MAX_DELIVERIES + self._forgotten.get(execution.instance, 0):
            self.violated(execution.instance, f"delivery {delivery} of at most {MAX_DELIVERIES}")
