"""The state of a Continuous: each run sees what the last one stored, and only a success changes it."""

from __future__ import annotations

from typing import Any

from durable_primitives.errors import DurablePrimitivesError
from durable_primitives.kernel.record import Record
from durable_primitives.kernel.transition import Outcome, Transition
from durable_primitives.primitives.continuous.endings import EndOfRun
from durable_primitives.primitives.continuous.stored import Stored, read
from durable_primitives.services.schedule import Every, Spaced
from durable_primitives.testing.laws.observing import Observer
from durable_primitives.testing.simulation import Execution


def _stored(record: Record | None) -> Stored | None:
    if record is None or not record.data or not record.instance.startswith("continuous:"):
        return None
    return read(record)


class StateIsTheRuns(Observer):
    """A run sees the state that the last success stored, and only a success, or a checkpoint, changes it."""

    law = "state_is_the_runs"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        before, after = _stored(self.history.before), _stored(self.history.after)
        if before is None or after is None or before.state == after.state or before.epoch != after.epoch:
            return
        latest = self.history.latest.get(transition.instance)
        by_owner = transition.guard is not None and transition.guard.token is not None
        if not by_owner or latest is None:
            self.violated(transition.instance, f"{actor} changed the state, and no run had")
        elif before.run == after.run or latest.process.name != actor:
            return  # a checkpoint, which may arrive after its run has failed
        elif latest.ended == "raised" and not isinstance(latest.error, EndOfRun):
            self.violated(transition.instance, f"the state of a run that failed was stored by {actor}")

    def begun(self, execution: Execution) -> None:
        stored = _stored(self.history.records.get(execution.instance))
        if execution.role != "execute" or stored is None or self.history.is_stale(execution):
            return
        if not execution.context.idempotency_key.endswith(f".{stored.epoch}.{stored.run_count}"):
            return  # another life has begun while this run was on its way
        codec: Any = self.history.definition(execution.instance).codec
        try:
            seen, kept = codec.encode(execution.context.state), codec.encode(codec.decode(stored.state))
        except DurablePrimitivesError:
            return
        if seen != kept and not self.history.is_asked(execution.instance, "start"):
            self.violated(execution.instance, "a run began with a state that is not the stored one")


class RunsCount(Observer):
    """Runs count 1, 2, 3; none begins while its instance is paused; the next tick is stored before it begins."""

    law = "runs_count"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        before, after = _stored(self.history.before), _stored(self.history.after)
        if before is None or after is None or before.epoch != after.epoch:
            return
        if after.run_count not in (before.run_count, before.run_count + 1):
            self.violated(transition.instance, f"run {after.run_count} followed run {before.run_count}")
        if after.run_count > before.run_count and before.mode != "live":
            self.violated(transition.instance, f"a run began while it was {before.mode}")

    def begun(self, execution: Execution) -> None:
        stored = _stored(self.history.records.get(execution.instance))
        if execution.role != "execute" or stored is None or stored.mode != "live" or stored.run is None:
            return
        plan = self.history.definition(execution.instance).lifecycle.plan
        endless = isinstance(plan.schedule, (Every, Spaced)) and plan.until_ms is None
        if endless and stored.next_tick is None:
            self.violated(execution.instance, "a run began before the next tick was stored")
