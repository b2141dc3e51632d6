"""Queues: order in a lane, width, bounds, pauses."""

from __future__ import annotations

from durable_primitives.kernel.transition import Claim, Outcome, Transition
from durable_primitives.testing.laws.history import History
from durable_primitives.testing.laws.observing import Observer, Report
from durable_primitives.testing.simulation import Execution


class LaneOrder(Observer):
    """Events of one partition key start in order of acceptance; under ``"strict"``, one after the other's end."""

    law = "lane_order"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._waiting: dict[tuple[str, str], dict[int, str | None]] = {}

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        instance = transition.instance
        for item, one in zip(transition.append, outcome.accepted, strict=False):
            if item.lane is not None and not one.duplicate:
                self._waiting.setdefault((instance, item.lane), {})[one.seq] = item.id
        for removal in transition.remove:
            self._gone(instance, removal.item.lane, removal.item.seq)
        for burial in transition.bury:
            if burial.item is not None:
                self._gone(instance, burial.item.lane, burial.item.seq)
        if transition.cancel or outcome.cleared:
            self._look(instance)

    def _look(self, instance: str) -> None:
        """Something was taken out, and the transition does not say what."""
        live = {item.seq for item in self.history.simulation.store.items(instance)}
        for (whose, _), seqs in self._waiting.items():
            if whose == instance:
                for seq in [seq for seq in seqs if seq not in live]:
                    del seqs[seq]

    def _gone(self, instance: str, lane: str | None, seq: int) -> None:
        if lane is not None and (seqs := self._waiting.get((instance, lane))) is not None:
            seqs.pop(seq, None)

    def begun(self, execution: Execution) -> None:
        if execution.role != "execute" or not execution.instance.startswith("queue:"):
            return
        context = execution.context
        definition = self.history.definition(execution.instance)
        if context.partition_key is None or definition.ordering != "strict" or self.history.is_stale(execution):
            return
        earlier = [
            id or "?"
            for seq, id in self._waiting.get((execution.instance, context.partition_key), {}).items()
            if seq < context.sequence and not self._is_withdrawn(execution.instance, seq)
        ]
        if earlier:
            self.violated(
                execution.instance, f"{context.event_id} began before {earlier[0]} of the same partition key had ended"
            )

    def _is_withdrawn(self, instance: str, seq: int) -> bool:
        """Whether the store knows that a client cancelled it, and its owner has not begun it: it never will."""
        record, unit = self.history.records.get(instance), self.history.units.get((instance, seq))
        begun = unit is not None and unit.last is not None and not self.history.is_stale(unit.last)
        return record is not None and seq in record.cancels and not begun


class QueueWidth(Observer):
    """An instance of a queue runs at most per_instance handlers at once."""

    law = "queue_width"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._running: dict[str, int] = {}

    def begun(self, execution: Execution) -> None:
        if execution.role != "execute" or not execution.instance.startswith("queue:"):
            return
        key = f"{execution.instance}/{id(execution.process)}"
        running = self._running[key] = self._running.get(key, 0) + 1
        most = self.history.definition(execution.instance).per_instance
        if running > most and not self.history.leases_may_be_lost:
            self.violated(execution.instance, f"{running} handlers run at once, of at most {most}")

    def ended(self, execution: Execution) -> None:
        if execution.role == "execute" and execution.instance.startswith("queue:"):
            self._running[f"{execution.instance}/{id(execution.process)}"] -= 1


class QueueBound(Observer):
    """A queue with max_pending never comes to hold more than that by what is sent to it."""

    law = "queue_bound"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        record = self.history.after
        if not transition.append or record is None or not record.instance.startswith("queue:"):
            return
        definition = self.history.definition(record.instance)
        index = int(record.instance.rpartition(":")[2])
        room = definition.room(index) if definition is not None and index < definition.concurrency else None
        if definition is None or room is None:
            return
        before = 0 if self.history.before is None else self.history.before.count  # redriving needs no room
        if definition.on_full == "drop_oldest":
            before = max(before, len(record.taken) + 1)  # what its owner has in hand cannot be dropped
        if outcome.count > max(room, before):
            self.violated(record.instance, f"it holds {outcome.count} events of at most {room}")


class PauseHolds(Observer):
    """While an instance is paused no worker claims it and none takes further work."""

    law = "pause_holds"

    def claimed(self, actor: str, claim: Claim) -> None:
        if claim.record.held and claim.items:
            self.violated(claim.record.instance, f"{actor} took work of a paused instance")

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        before = self.history.before
        if before is not None and before.held and outcome.held and outcome.items:
            self.violated(transition.instance, f"{actor} took work of a paused instance")
