"""Time: what is to be done is due at some moment, nothing runs before it, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from durable_primitives.durations import format_ms, instant_ms
from durable_primitives.kernel.ids import split_instance
from durable_primitives.kernel.record import NEVER, TERMINATED, Item, Record
from durable_primitives.kernel.transition import Claim, Outcome, Transition
from durable_primitives.primitives.buffer.stored import read as read_buffer
from durable_primitives.testing.laws.observing import Observer
from durable_primitives.testing.simulation import Execution

_LATE_MS = 90_000
"""An idle worker looks at least once a minute, and again a little later if the store failed."""


class DueNeverLost(Observer):
    """After every commit, an instance with anything left to do has a moment at which a worker will look at it."""

    law = "due_never_lost"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        record = self.history.after
        if record is not None and record.alarm is None and not record.held and has_work(record):
            self.violated(record.instance, f"a commit of {actor} left work behind that nothing will bring back")


def has_work(record: Record) -> bool:
    """Whether something is left to do, now or later, unless it is paused."""
    if record.status == TERMINATED:
        return False
    kind, _, _ = split_instance(record.instance)
    if kind == "continuous":
        return record.status != "stopped"
    if kind == "queue":
        return record.count > 0
    stored = read_buffer(record)
    sealed = stored.ended < record.segment - 1 if record.segment else False
    return sealed or stored.flush is not None or bool(stored.redrives)


class WindowIsSet(Observer):
    """A batch that is open is due when its window ends, counted from its first event."""

    law = "window_is_set"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        record = self.history.after
        if record is None or record.status == TERMINATED or not record.instance.startswith("buffer:"):
            return
        definition = self.history.definition(record.instance)
        if definition is None or definition.flush_after_ms is None:
            return
        folded = read_buffer(record).folded
        first_at = folded.first_at if folded is not None else record.segment_first_at
        if folded is None and not record.segment_count:
            return
        at = record.dues.get("window")
        if at is None:
            self.violated(record.instance, "a batch is open and no timer runs for it")
        elif at != first_at + definition.flush_after_ms and not self.history.clocks_were_set:
            off = format_ms(abs(at - first_at - definition.flush_after_ms))
            self.violated(record.instance, f"the timer of the open batch is {off} off")


class NothingEarly(Observer):
    """Nothing runs before it is due, by the clock of the worker that runs it."""

    law = "nothing_early"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        self._taken(actor, transition.instance, outcome.items)

    def claimed(self, actor: str, claim: Claim) -> None:
        self._taken(actor, claim.record.instance, claim.items)

    def _taken(self, actor: str, instance: str, items: Sequence[Item]) -> None:
        if not items or self.history.clocks_were_set:
            return
        now = self.history.clock(actor)
        for item in items:
            if now < item.due < NEVER:
                self.violated(instance, f"{actor} was given {item.id} {format_ms(item.due - now)} early")

    def begun(self, execution: Execution) -> None:
        if execution.role != "execute":
            return
        now, context = self.history.clock(execution.process.name), execution.context
        definition = self.history.definition(execution.instance)
        due = 0
        if definition.kind == "continuous":
            due = _ms(context.scheduled_for)
        elif definition.kind == "buffer" and context.flush_reason == "flush_after":
            due = _ms(context.first_event_at) + (definition.flush_after_ms or 0)
        if now < due and not self.history.clocks_were_set:
            self.violated(execution.instance, f"it ran {format_ms(due - now)} before it was due")


def _ms(moment: datetime) -> int:
    return instant_ms(moment, what="a time in a context")


class NothingLeftBehind(Observer):
    """When nothing goes wrong any more, everything that is due is done."""

    law = "nothing_left_behind"

    def rested(self) -> None:
        store, now = self.history.simulation.store, self.history.simulation.clock_ms
        if self.history.clocks_were_set:
            return  # it may not be due yet by the clock of the workers
        for record in store.records():
            alarm = record.alarm
            if alarm is not None and now - alarm > _LATE_MS and record.owner is None:
                self.violated(record.instance, f"it has been due for {format_ms(now - alarm)}, and nobody looked")


class NoDefect(Observer):
    """The library itself never fails: no contract is broken, no worker ends by an error of its own."""

    law = "no_defect"

    def rested(self) -> None:
        simulation = self.history.simulation
        for defect in simulation.store.defects:
            self.violated("the store", defect)
        for process in simulation.processes.values():
            if process.alive and process.failure is not None:
                self.violated(process.name, f"it failed: {process.failure!r}")
