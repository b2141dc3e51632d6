"""What must hold of user code, as observers: handlers that run again, hooks, cancellation, states, the real world."""

from __future__ import annotations

from typing import Any

from durable_primitives.errors import DurablePrimitivesError
from durable_primitives.kernel.transition import Outcome, Transition
from durable_primitives.primitives.buffer.stored import read as read_buffer
from durable_primitives.primitives.continuous.stored import read
from durable_primitives.testing.checking.pure import mistake
from durable_primitives.testing.checking.subject import Subject, broken
from durable_primitives.testing.laws.history import History
from durable_primitives.testing.laws.observing import Observer, Report
from durable_primitives.testing.simulation import Execution

MAX_AT_ONCE = 100
"""So many executions of an instance without time passing are a loop."""

MAX_TRIES = 60
"""So many executions of one piece of work, and no end: it never ends."""

PER_EVENT = 30
"""So many executions for each event that was sent from outside, on top of `MAX_AT_ONCE`: it never ends either."""


MANY_RUNS = 600
"""A state that still grows after so many runs has no bound."""


class UserLaw(Observer):
    """A law about the code of a `Subject`."""

    def __init__(self, history: History, report: Report, subject: Subject) -> None:
        super().__init__(history, report)
        self.subject = subject


class HandlerIsRepeatable(UserLaw):
    """A handler that runs again does nothing outside a second time."""

    law = "handler_is_repeatable"

    def __init__(self, history: History, report: Report, subject: Subject) -> None:
        super().__init__(history, report, subject)
        self._seen = 0
        self._known: dict[tuple[str, str], object] = {}

    def look(self) -> None:
        effects = self.subject.effects
        if effects is None:
            return
        for entry in effects.entries[self._seen :]:
            pair, run = (entry.key, entry.what), entry.execution
            who = run.instance if isinstance(run, Execution) else "outside"
            if pair in self._known:
                at_once = run is not None and self._known[pair] is run
                how = ", by one execution: two effects need two keys" if at_once else ""
                self.violated(who, f"{entry.what!r} was done twice under the key {entry.key!r}{how}")
            self._known[pair] = run
        self._seen = len(effects.entries)

    def ended(self, execution: Execution) -> None:
        self.look()

    def rested(self) -> None:
        self.look()


class AcceptsEvents(UserLaw):
    """User code fails for no event, and no state, that its schema allows, unless it means to."""

    law = "accepts_events"

    def ended(self, execution: Execution) -> None:
        if execution.injected or execution.role != "execute":
            return
        definition = self.history.definition(execution.instance)
        where = mistake(execution.error, definition.retry.give_up_on)
        if where is not None:
            self.violated(execution.instance, f"the handler failed with {where}")
        elif definition.kind == "buffer" and execution.ended == "returned" and execution.answer is not None:
            self.violated(
                execution.instance, f"the handler returned {execution.answer!r}, which fails the batch; return None"
            )


class HookDoesNotRaise(UserLaw):
    """`on_dead_letter` and `on_error` do not raise, whatever the failure was that they are told of."""

    law = "hook_does_not_raise"

    def ended(self, execution: Execution) -> None:
        if execution.role == "execute" or execution.ended != "raised" or execution.injected:
            return
        if isinstance(execution.error, Exception):
            self.violated(
                execution.instance,
                f"{execution.role} raised {type(execution.error).__name__}: {execution.error}",
            )


class HonoursCancellation(UserLaw):
    """A handler that is cancelled comes to its end, by the cancellation."""

    law = "honours_cancellation"

    def ended(self, execution: Execution) -> None:
        self._look(execution)

    def rested(self) -> None:
        for execution in self.history.latest.values():
            self._look(execution)

    def _look(self, execution: Execution) -> None:
        if execution.ignores_cancellation:
            self.violated(execution.instance, "the handler was cancelled, by its timeout or a shutdown, and went on")


class LeavesNoTasks(UserLaw):
    """A handler waits for the tasks that it starts: what is done when it returns is what counts as done."""

    law = "leaves_no_tasks"

    def ended(self, execution: Execution) -> None:
        if execution.left_tasks and execution.ended == "returned":
            self.violated(execution.instance, "the handler returned and left a task running, which a crash loses")


class RealWorld(UserLaw):
    """User code takes time and chance from its context only, and blocks nobody."""

    law = "real_world"

    def ended(self, execution: Execution) -> None:
        self.rested()

    def rested(self) -> None:
        for escape in self.history.simulation.escapes:
            # How long a step took depends on the machine too, so that accuses nobody.
            if not escape.function.startswith("the handler of"):
                self.violated(escape.function, str(escape))


class ComesToRest(UserLaw):
    """Work comes to an end: it does not make more of itself for ever, and no event holds others back for ever."""

    law = "comes_to_rest"

    def __init__(self, history: History, report: Report, subject: Subject) -> None:
        super().__init__(history, report, subject)
        self._at_once: dict[str, tuple[int, int]] = {}
        self._tries: dict[tuple[str, str], int] = {}
        self._all = 0

    def begun(self, execution: Execution) -> None:
        if execution.role != "execute":
            return
        instance, now = execution.instance, self.history.now_us
        at, count = self._at_once.get(instance, (now, 0))
        count = count + 1 if at == now else 1
        self._at_once[instance] = now, count
        continuous = instance.startswith("continuous:")
        if count > MAX_AT_ONCE + (0 if continuous else PER_EVENT * self.history.sent):
            self.violated(instance, f"it ran {count} times, and no time passed")
        key = instance, execution.context.idempotency_key
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        # Who waits for a time waits for long if the clock is put back.
        if tries > MAX_TRIES and not execution.process.world.choices.armed and not self.history.clocks_were_set:
            self.violated(instance, f"one piece of work was tried {tries} times, and has no end")
        self._all += not continuous
        if self._all > MAX_AT_ONCE + PER_EVENT * self.history.sent:
            self.violated(instance, f"{self.history.sent} calls from outside led to {self._all} executions")


class StateIsSet(UserLaw):
    """What a handler changes in its state is stored: a change in place is not."""

    law = "state_is_set"

    def ended(self, execution: Execution) -> None:
        if execution.role != "execute" or execution.ended != "returned" or execution.injected:
            return
        if not execution.instance.startswith("continuous:"):
            return
        codec: Any = self.history.definition(execution.instance).codec
        context: Any = execution.context
        record = self.history.records.get(execution.instance)
        if record is None or not record.data:
            return
        changed = context._attempt.changed_state
        try:
            kept = codec.decode(read(record).state if changed is None else changed)
            lost = codec.plain.encode(context.state) != codec.plain.encode(kept)
        except DurablePrimitivesError:
            return
        if lost:
            self.violated(execution.instance, f"the handler changed its state to {context.state!r} in place")


class StateIsBounded(UserLaw):
    """The state of a job does not grow for ever."""

    law = "state_is_bounded"

    def __init__(self, history: History, report: Report, subject: Subject) -> None:
        super().__init__(history, report, subject)
        self._sizes: dict[str, dict[int, int]] = {}

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        record = self.history.after
        if transition.put is None or record is None or not record.instance.startswith("continuous:"):
            return
        stored = read(record)
        run, size = stored.run_count, len(stored.state)
        sizes = self._sizes.setdefault(record.instance, {})
        sizes[run] = size
        half, quarter = sizes.get(run // 2, size), sizes.get(run // 4, size)
        if run >= MANY_RUNS and size - half >= run // 2 and half - quarter >= run // 4:
            self.violated(
                record.instance, f"it has {quarter}, {half}, {size} bytes after {run // 4}, {run // 2}, {run} runs"
            )


class InvariantHolds(UserLaw):
    """The invariants that were given hold after every commit."""

    law = "invariant"

    def __init__(self, history: History, report: Report, subject: Subject) -> None:
        super().__init__(history, report, subject)
        self._last: dict[str, bytes] = {}

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        record, definition = self.history.after, self.subject.definition
        if not self.subject.invariants or record is None or not record.data or transition.put is None:
            return
        prefix = f"{definition.kind}:{definition.name}:"
        if not record.instance.startswith(prefix):
            return
        if definition.kind == "continuous":
            codec, data = definition.codec, read(record).state
        elif definition.kind == "buffer" and definition.gathering.folds:
            folded = read_buffer(record).folded
            if folded is None:
                return
            codec, data = definition.gathering.state, folded.state
        else:
            return
        if self._last.get(record.instance) == data:
            return
        self._last[record.instance] = data
        state = codec.decode(data)
        for invariant in self.subject.invariants:
            why = broken(invariant, state)
            if why is not None:
                self.violated(record.instance, why)


USER_LAWS: tuple[type[UserLaw], ...] = (
    HandlerIsRepeatable,
    AcceptsEvents,
    HookDoesNotRaise,
    HonoursCancellation,
    LeavesNoTasks,
    RealWorld,
    ComesToRest,
    StateIsSet,
    StateIsBounded,
    InvariantHolds,
)
