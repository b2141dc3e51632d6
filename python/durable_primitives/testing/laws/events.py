"""Events: accepted once, never lost, ended for a reason."""

from __future__ import annotations

from typing import Any

from durable_primitives.errors import StorageError
from durable_primitives.kernel.record import Settlement
from durable_primitives.kernel.transition import NewItem, Outcome, Transition
from durable_primitives.primitives.continuous.endings import EndOfRun
from durable_primitives.services.ownership import MAX_DELIVERIES
from durable_primitives.signals import Cancel
from durable_primitives.testing.laws.history import History
from durable_primitives.testing.laws.observing import Observer, Report
from durable_primitives.testing.simulation import CallInFlight, Execution


class _Accepting(Observer):
    """Knows which ids the store has accepted, and when."""

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self.accepted: dict[tuple[str, str], int] = {}

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        instance = transition.instance
        for item, one in zip(transition.append, outcome.accepted, strict=False):
            if item.id is not None and not one.duplicate:
                self.accept(instance, item.id, transition.at)
        for id in transition.remember:
            self.accept(instance, id, transition.at)

    def accept(self, instance: str, id: str, at: int) -> None:
        self.accepted[instance, id] = at


class AcceptedOnce(_Accepting):
    """An event id is accepted once, from its acceptance until the dedupe window after its end."""

    law = "accepted_once"

    def accept(self, instance: str, id: str, at: int) -> None:
        before = self.accepted.get((instance, id))
        definition = self.history.definition(instance)
        window = 0 if definition is None or self.history.clocks_were_set else definition.dedupe_ms
        if before is not None and at < before + window:
            self.violated(instance, f"the event {id} was accepted a second time")
        super().accept(instance, id, at)


class ToldIsStored(_Accepting):
    """A caller that was told that an event is accepted, or that it is a duplicate, can rely on it."""

    law = "told_is_stored"

    def answered(self, call: CallInFlight) -> None:
        if call.answer is None or call.call.operation not in ("enqueue", "add", "fold"):
            return
        for item in _items(call)[: len(call.answer)]:
            if item.id is not None and (call.instance, item.id) not in self.accepted:
                self.violated(call.instance, f"the caller was told that {item.id} is accepted, and no commit says so")


class DuplicatesAreTold(_Accepting):
    """A repeated id is answered with duplicate=True, and nothing else is."""

    law = "duplicates_are_told"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._new: dict[tuple[str, str], int] = {}
        """How many answers have said that an event is new."""

    def answered(self, call: CallInFlight) -> None:
        if call.answer is None or call.call.operation not in ("enqueue", "add", "fold"):
            return
        definition = self.history.definition(call.instance)
        for item, one in zip(_items(call), call.answer, strict=False):
            if item.id is None or one.duplicate:
                continue
            key = call.instance, item.id
            at = self._new.get(key)
            now = self.history.simulation.clock_ms
            if at is not None and now < at + definition.dedupe_ms and not self.history.clocks_were_set:
                self.violated(call.instance, f"two callers were told that {item.id} is new")
            self._new[key] = now


class UnknownIsNotFailed(_Accepting):
    """A caller is told that an event was not accepted only if it was not."""

    law = "unknown_is_not_failed"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._senders: dict[tuple[str, str], list[CallInFlight]] = {}
        """Whose call an acceptance may have come from."""

    def accept(self, instance: str, id: str, at: int) -> None:
        super().accept(instance, id, at)
        self._senders[instance, id] = [one for one in self.history.in_flight if one.instance == instance]

    def answered(self, call: CallInFlight) -> None:
        error = call.error
        if not isinstance(error, StorageError) or error.outcome != "not_applied":
            return
        if call.call.operation not in ("enqueue", "add", "fold"):
            return
        for item in _items(call):
            if item.id is not None and self._senders.get((call.instance, item.id)) == [call]:
                self.violated(call.instance, f"the caller was told that {item.id} is not accepted, and it is")


class NoEventLost(_Accepting):
    """Every accepted event has a receipt, and those that have not ended are still there."""

    law = "no_event_lost"

    def rested(self) -> None:
        store = self.history.simulation.store
        by_instance: dict[str, list[str]] = {}
        for instance, id in self.accepted:
            by_instance.setdefault(instance, []).append(id)
        for instance, ids in by_instance.items():
            snapshot = store.load(instance, ids)
            record = snapshot.record
            if record is None:
                continue  # its retention is over
            live = {item.id for item in store.items(instance)} if instance.startswith("queue:") else None
            for id in ids:
                receipt = snapshot.receipts.get(id)
                if receipt is None:
                    definition = self.history.definition(instance)
                    over = self.accepted[instance, id] + definition.dedupe_ms
                    if self.history.simulation.clock_ms < over and not self.history.clocks_were_set:
                        self.violated(instance, f"the event {id} is forgotten")
                elif receipt.settlement is None and live is not None and id not in live:
                    self.violated(instance, f"the event {id} is gone, and nothing says how it ended")


class EndsForAReason(Observer):
    """Work is done only after its handler returned, dead only after it failed, gone only if somebody said so."""

    law = "ends_for_a_reason"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        history, instance = self.history, transition.instance
        for removal in transition.remove:
            self._check(instance, removal.item.seq, removal.settlement, actor)
        for burial in transition.bury:
            key = burial.id if burial.item is None else burial.item.seq
            self._check(instance, key, "dead", actor)
        if transition.retire is not None and not transition.bury:
            self._check(
                instance, history.flush_id(instance, transition.retire.segment), transition.retire.settlement, actor
            )
        if transition.clear is not None and not history.is_asked(instance, "clear"):
            self.violated(instance, f"{actor} cleared it, and nobody had asked for that")
        if transition.erase:
            self._check_erase(instance, actor)

    def _check(self, instance: str, key: object, end: Settlement, actor: str) -> None:
        unit = self.history.units.get((instance, key))
        last = None if unit is None else unit.last
        if end == "done" and (last is None or last.ended != "returned"):
            self.violated(instance, f"{actor} recorded a success, and no handler had returned")
        elif end == "dead" and last is None and self.history.disturbances < MAX_DELIVERIES:
            self.violated(instance, f"{actor} gave work up that was never tried")
        elif end == "dead" and unit is not None and last is not None and last.ended == "returned" and not unit.void:
            self.violated(instance, f"{actor} gave work up whose handler had returned")
        elif end == "cancelled" and not self._was_cancelled(instance, last):
            self.violated(instance, f"{actor} cancelled work, and nobody had asked for that")

    def _was_cancelled(self, instance: str, last: Execution | None) -> bool:
        asked = self.history.asked_for.get((instance, "cancel"), 0)
        return asked > 0 or (last is not None and isinstance(last.error, Cancel))

    def _check_erase(self, instance: str, actor: str) -> None:
        latest = self.history.latest.get(instance)
        # A handler that caught the signal has returned, and its wish counts all the same.
        by_itself = latest is not None and (latest.ended == "returned" or isinstance(latest.error, EndOfRun))
        if not by_itself and not self.history.is_asked(instance, "terminate"):
            self.violated(instance, f"{actor} deleted it, and nobody had asked for that")


def _items(call: CallInFlight) -> tuple[NewItem, ...]:
    request: Any = call.call.request
    items: tuple[NewItem, ...] = request.items if call.call.operation == "enqueue" else request
    return items
