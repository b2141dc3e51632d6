"""Time: what is to be done is due at some moment, nothing runs before it, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from durable_primitives.durations import format_ms, instant_ms
from durable_primitives.kernel.ids import split_instance
from durable_primitives.kernel.record import NEVER, TERMINATED, Item, Record
from durable_primitives.kernel.transition import Claim, Outcome, Transition
from durable_primitives.primitives.buffer.stored import read as read_buffer
from durable_primitives.testing.laws.history import History
from durable_primitives.testing.laws.observing import Observer, Report
from durable_primitives.testing.simulation import Execution

_LATE_MS = 90_000
"""An idle worker looks at least once a minute, and again a little later if the store failed."""


class DueNeverLost(Observer):
    """After every commit, an instance with anything left to do has a moment at which a worker will look at it."""

    law = "due_never_lost"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        record = self.history.after
        if record is None or record.held or record.owner is not None or not has_work(record):
            return
        alarm = record.alarm
        if alarm is None:
            self.violated(record.instance, f"a commit of {actor} left work behind that nothing will bring back")
            return
        earliest = min(record.dues.values())
        if record.instance.startswith("queue:"):
            earliest = self._first_due(record)
        # What was decided long ago and comes in now can be looked at from now on.
        late = alarm - max(earliest, self.history.simulation.clock_ms)
        # Who armed it may have been ahead of who looks now.
        if late > 0 and not self.history.clocks_were_set:
            self.violated(record.instance, f"after a commit of {actor} it is looked at {format_ms(late)} too late")

    def _first_due(self, record: Record) -> int:
        """When the first event is due that nothing holds back: in a lane, its oldest."""
        heads: dict[str, int] = {}
        for item in self.history.simulation.store.items(record.instance):
            heads.setdefault(f"of {item.seq}" if item.lane is None else f"lane {item.lane}", item.due)
        return min(heads.values())


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

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._first: dict[str, tuple[int, int]] = {}
        """The open batch of each instance, and when its first event came in."""

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        record = self.history.after
        if record is None or record.status == TERMINATED or not record.instance.startswith("buffer:"):
            return
        definition = self.history.definition(record.instance)
        if definition is None or definition.flush_after_ms is None:
            return
        if read_buffer(record).folded is None and not record.segment_count:
            self._first.pop(record.instance, None)
            return
        segment, first_at = self._first.get(record.instance, (-1, 0))
        if segment != record.segment:
            first_at = transition.at
            self._first[record.instance] = record.segment, first_at
        at = record.dues.get("window")
        if at is None:
            self.violated(record.instance, "a batch is open and no timer runs for it")
        elif at != first_at + definition.flush_after_ms:
            off = format_ms(abs(at - first_at - definition.flush_after_ms))
            self.violated(record.instance, f"the timer of the open batch is {off} off")


class NothingEarly(Observer):
    """Nothing runs before it is due, by the clock of the worker that runs it."""

    law = "nothing_early"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        self._given(actor, transition.instance, outcome.items, transition.at)

    def claimed(self, actor: str, claim: Claim) -> None:
        asked_at = claim.record.lease_until - self.history.simulation.options.lease_ms
        self._given(actor, claim.record.instance, claim.items, asked_at)

    def _given(self, actor: str, instance: str, items: Sequence[Item], asked_at: int) -> None:
        """A clock that is put back while the request is on its way does not make what was due undue."""
        if not items:
            return
        now = self.history.clock(actor)
        if self.history.clocks_were_set:
            now = max(now, asked_at)
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
