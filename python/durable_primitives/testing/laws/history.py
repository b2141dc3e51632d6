"""What has happened in a simulation so far, as far as a law may want to know."""

from __future__ import annotations

from typing import Any

from durable_primitives.kernel.ids import split_instance
from durable_primitives.kernel.record import TERMINATED, Record
from durable_primitives.kernel.transition import Claim, NewItem, Outcome, Transition
from durable_primitives.primitives.buffer.stored import flush_id
from durable_primitives.primitives.buffer.stored import read as read_buffer
from durable_primitives.primitives.continuous.stored import read as read_continuous
from durable_primitives.testing.laws.units import Unit, unit_key
from durable_primitives.testing.simulation import CallInFlight, Execution, Simulation

_OVERLAPPING = ("pause", "freeze", "put the clock")


class History:
    """Kept up to date before any law is told of what happened."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.before: Record | None = None
        """The record of the instance at hand, as it was before the commit."""
        self.after: Record | None = None
        """As it is now."""
        self.records: dict[str, Record] = {}
        """The latest record of every instance."""
        self.units: dict[tuple[str, object], Unit] = {}
        """Every piece of work that user code was called for."""
        self.latest: dict[str, Execution] = {}
        """The latest execution of every instance that began under its newest lease."""
        self.in_flight: list[CallInFlight] = []
        """The calls that have no answer yet."""
        self.issued: dict[tuple[str, str], NewItem] = {}
        """Every event with an id that somebody sent, by instance and id."""
        self.asked_for: dict[tuple[str, str], int] = {}
        """How often an operation was asked for, by instance and operation."""
        self.sent = 0
        """How many calls came from outside, an event of a batch of them counted as one."""
        self._leases: dict[Execution, tuple[int, int]] = {}
        """The token of the lease under which each execution began, and the generation."""
        self.clocks: dict[str, int] = {}
        """The latest time that each process has seen, by its own clock."""
        self._excused = 0, bool(simulation.skews)

    @property
    def now_us(self) -> int:
        return self.simulation.loop.now_us

    @property
    def disturbances(self) -> int:
        """How much has gone wrong so far that may make work be done again: deviations, and deaths of processes."""
        simulation = self.simulation
        lives = sum(process.boot - process.alive for process in simulation.processes.values())
        return len(simulation.choices.taken) + lives

    @property
    def clocks_were_set(self) -> bool:
        """Whether processes disagree, or have disagreed, about the time."""
        return bool(self.simulation.skews)

    @property
    def leases_may_be_lost(self) -> bool:
        """Whether a living process may have lost a lease: it stood still, its clock was set, a renewal failed."""
        seen, excused = self._excused
        taken = self.simulation.choices.taken
        if not excused and seen < len(taken):
            excused = any(one.fault.startswith(_OVERLAPPING) or one.point.site == "renewal" for one in taken[seen:])
            self._excused = len(taken), excused
        return excused

    def definition(self, instance: str) -> Any:
        """Whose instance it is; None if nobody here knows."""
        kind, name, _ = split_instance(instance)
        return self.simulation.registry.find(kind, name)

    def is_asked(self, instance: str, *operations: str) -> bool:
        """Whether a call that wants this is on its way."""
        return any(one.instance == instance and one.call.operation in operations for one in self.in_flight)

    def unit(self, execution: Execution) -> Unit:
        """The piece of work that an execution is about."""
        key = execution.instance, unit_key(execution.context)
        unit = self.units.get(key)
        if unit is None:
            unit = self.units[key] = Unit()
        return unit

    def is_stale(self, execution: Execution) -> bool:
        """Whether the lease under which it began is not the newest one any more: nothing of it can be stored."""
        record, lease = self.records.get(execution.instance), self._leases.get(execution)
        return record is not None and lease is not None and lease != (record.token, record.generation)

    def clock(self, actor: str) -> int:
        """The latest time that a process has seen."""
        now = self.simulation.processes[actor].runtime.now()
        seen = self.clocks[actor] = max(now, self.clocks.get(actor, now))
        return seen

    # What it is told.

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        instance = transition.instance
        self.clock(actor)
        self.before = self.records.get(instance)
        if self.before is not None and self.before.status == TERMINATED:
            self.before = None
        self.after = self.simulation.store.record(instance)
        if self.after is not None:
            self.records[instance] = self.after
        self._settle(transition)

    def _settle(self, t: Transition) -> None:
        """Note which pieces of work the store says have ended."""
        for removal in t.remove:
            self._end(t.instance, removal.item.seq, removal.settlement)
        for burial in t.bury:
            self._end(t.instance, burial.id if burial.item is None else burial.item.seq, "dead")
        for id in t.discard:
            self._end(t.instance, id, "done")
        if t.retire is not None:
            self._end(t.instance, self.flush_id(t.instance, t.retire.segment), t.retire.settlement)
        if t.put is None or self.before is None or self.after is None:
            return
        owner = t.guard is not None and t.guard.token is not None
        if not owner and t.instance.startswith("buffer:"):
            # A redrive that was asked for need not have happened: the batch may be running again already.
            for id in set(read_buffer(self.after).redrives).difference(read_buffer(self.before).redrives):
                self._redriven(t.instance, id)
        if owner and t.instance.startswith("continuous:") and self.before.data:
            run = read_continuous(self.before)
            if run.run is not None and read_continuous(self.after).run is None:
                key = f"{t.instance}@{self.before.generation}.{run.epoch}.{run.run_count}"
                self._end(t.instance, key, "ended")

    def _end(self, instance: str, key: object, end: str) -> None:
        unit = self.units.get((instance, key))
        if unit is not None:
            unit.end = end

    def _redriven(self, instance: str, key: object) -> None:
        unit = self.units.get((instance, key))
        if unit is not None:
            unit.again()

    def flush_id(self, instance: str, segment: int) -> str:
        """The identity of a batch, as of the commit at hand."""
        record = self.before or self.after
        return "" if record is None else flush_id(record, segment)

    def claimed(self, actor: str, claim: Claim) -> None:
        self.clock(actor)
        instance = claim.record.instance
        before = self.records.get(instance)
        if before is not None and before.owner is not None:
            self._taken_over(instance)
        self.records[instance] = claim.record

    def _taken_over(self, instance: str) -> None:
        for (whose, _), unit in self.units.items():
            if whose == instance:
                unit.void = True

    def begun(self, execution: Execution) -> None:
        self.clock(execution.process.name)
        owned = execution.process.running.engine.owned.get(execution.instance)
        if owned is not None:
            self._leases[execution] = owned.token, owned.record.generation
        # One that begins without the lease, when another has it, tells nothing of what can be stored.
        if execution.role == "execute" and not self.is_stale(execution):
            self.latest[execution.instance] = execution

    def executing(self, execution: Execution) -> None:
        """After the laws have looked at what was known before it."""
        if execution.role == "execute" and not self.is_stale(execution):
            unit = self.unit(execution)
            unit.last, unit.disturbances, unit.retry_at, unit.void = execution, self.disturbances, 0, False

    def ended(self, execution: Execution) -> None:
        if execution.role == "execute":
            unit = self.unit(execution)
            unit.returned += execution.ended == "returned"

    def asked(self, call: CallInFlight) -> None:
        self.in_flight.append(call)
        operation = call.call.operation
        key = call.instance, operation
        self.asked_for[key] = self.asked_for.get(key, 0) + 1
        items: tuple[NewItem, ...] = ()
        if operation in ("add", "fold"):
            items = call.call.request
        elif operation == "enqueue":
            items = call.call.request.items
        for item in items:
            if item.id is not None:
                self.issued.setdefault((call.instance, item.id), item)
        if not call.process.worker:
            self.sent += max(len(items), 1)

    def answered(self, call: CallInFlight) -> None:
        self.in_flight.remove(call)
