"""Buffers: every event in exactly one batch, in order, and the state that its reducer makes of them."""

from __future__ import annotations

from typing import Any

from durable_primitives.errors import DurablePrimitivesError
from durable_primitives.kernel.transition import Outcome, Transition
from durable_primitives.primitives.buffer.stored import Folded
from durable_primitives.testing.laws.history import History
from durable_primitives.testing.laws.observing import Observer, Report
from durable_primitives.testing.laws.units import encoded
from durable_primitives.testing.simulation import Execution


class _Open:
    """What is known about the open batch of an instance that folds."""

    __slots__ = ("folded", "known")

    def __init__(self) -> None:
        self.folded: Folded | None = None
        self.known = True


class BatchIsExact(Observer):
    """A batch holds exactly the events accepted into it, in order; a reducer saw each of them once."""

    law = "batch_is_exact"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._lists: dict[tuple[str, int], list[bytes]] = {}
        self._open: dict[str, _Open] = {}
        self._sealed: dict[tuple[str, int], Folded | None] = {}

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        t, instance = transition, transition.instance
        if not instance.startswith("buffer:"):
            return
        definition = self.history.definition(instance)
        if outcome.created:
            self._open.pop(instance, None)
            for known in (self._lists, self._sealed):
                for key in [key for key in known if key[0] == instance]:
                    del known[key]
        if definition is None:
            return
        if not definition.gathering.folds:
            for item, one in zip(t.append, outcome.accepted, strict=False):
                if not one.duplicate:
                    self._lists.setdefault((instance, one.segment), []).append(item.payload)
            if t.clear is not None:
                self._lists.pop((instance, t.clear.segment), None)
            return
        self._fold(definition, transition)

    def _fold(self, definition: Any, t: Transition) -> None:
        instance, before = t.instance, self.history.before
        opened = self._open.setdefault(instance, _Open())
        is_fold = (
            t.put is not None and self.history.is_asked(instance, "fold") and (t.guard is None or not t.guard.token)
        )
        for id in t.remember:
            item = self.history.issued.get((instance, id))
            if item is None:
                opened.known = False
            elif opened.known:
                try:
                    opened.folded = definition.gathering.fold(instance, opened.folded, item, t.at)
                except DurablePrimitivesError:
                    opened.known = False  # another law says what is wrong with such a reducer
        if is_fold and not t.remember and not t.clear:
            opened.known = False  # an event without an id
        if t.seal:
            segment = 1 if before is None else before.segment
            if opened.known:
                self._sealed[instance, segment] = opened.folded
            self._open[instance] = _Open()
        elif t.clear is not None:
            self._open[instance] = _Open()

    def begun(self, execution: Execution) -> None:
        if execution.role != "execute" or not execution.instance.startswith("buffer:"):
            return
        instance, context = execution.instance, execution.context
        definition, segment = self.history.definition(instance), int(context.flush_id.rpartition("/")[2])
        try:
            content = encoded(definition, context)
            if definition.gathering.folds:
                folded = self._sealed.get((instance, segment))
                if folded is None:
                    return
                expected, count = folded.state, folded.count
                expected = definition.gathering.state.encode(definition.gathering.state.decode(expected))
            else:
                payloads = self._lists.get((instance, segment), [])
                events = definition.event.decode_many(payloads)
                expected, count = b"".join(map(definition.event.encode, events)), len(payloads)
        except DurablePrimitivesError:
            return
        if context.event_count != count:
            self.violated(instance, f"a batch of {count} events was handed over as {context.event_count}")
        elif content != expected:
            self.violated(instance, f"a batch of {count} events was handed over with another content")


class BatchBound(Observer):
    """A batch holds at most max_events, and is flushed for the reason that it says."""

    law = "batch_bound"

    def begun(self, execution: Execution) -> None:
        if execution.role != "execute" or not execution.instance.startswith("buffer:"):
            return
        context, definition = execution.context, self.history.definition(execution.instance)
        most = definition.max_events
        if most is not None and context.event_count > most:
            self.violated(execution.instance, f"a batch of {context.event_count} events, of at most {most}")
        if context.flush_reason == "max_events" and most is not None and context.event_count < most:
            self.violated(execution.instance, f"a batch of {context.event_count} events was called full at {most}")


class BatchOrder(Observer):
    """Batches of one instance are handed over, and end, in the order in which they were sealed, one by one."""

    law = "batch_order"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._latest: dict[str, tuple[str, int]] = {}
        self._ended: dict[str, int] = {}

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        if outcome.created:
            self._ended[transition.instance] = 0
        if transition.retire is not None:
            segment, before = transition.retire.segment, self._ended.get(transition.instance, 0)
            if segment != before + 1:
                self.violated(transition.instance, f"batch {segment} ended after batch {before}")
            self._ended[transition.instance] = segment

    def begun(self, execution: Execution) -> None:
        if execution.role != "execute" or not execution.instance.startswith("buffer:"):
            return
        instance, context = execution.instance, execution.context
        _, life, number = context.flush_id.rsplit("/", 2)
        known, latest = self._latest.get(instance, ("", 0))
        redriven = self.history.asked_for.get((instance, "redrive"), 0)
        if life == known and int(number) < latest and not redriven and not self.history.leases_may_be_lost:
            self.violated(instance, f"batch {int(number)} was handed over after batch {latest}")
        self._latest[instance] = life, int(number)
