"""What the machines of all primitives share: time, failures, and the laws."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any, ClassVar, Literal, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from hypothesis.strategies import SearchStrategy

from durable_primitives.client import PrimitivesClient
from durable_primitives.durations import format_ms
from durable_primitives.errors import DefinitionError, DurablePrimitivesError, StorageError
from durable_primitives.kernel.primitive import Definition
from durable_primitives.testing.checking.effects import Effects
from durable_primitives.testing.checking.programs import OF_THE_TEST, Step
from durable_primitives.testing.checking.subject import Invariant, Subject
from durable_primitives.testing.checking.trial import Trial, known_laws
from durable_primitives.testing.driving import WORKER, TestPrimitives
from durable_primitives.testing.failing import FAILURES, FailingSite, When
from durable_primitives.testing.simulation import KINDS, Simulation
from durable_primitives.testing.simulation.store import finish
from durable_primitives.testing.strategies import from_schema

T = TypeVar("T")

Strategy = SearchStrategy[Any]

IDS = st.sampled_from(["a", "b"])
"""Few, so that calls meet."""

EVENT_IDS = st.sampled_from([f"e{number}" for number in range(6)])

_PATIENCE = 3
"""How often a caller whose call was lost calls again."""


def _letters(method: str, which: Callable[[object], bool]) -> Step:
    return Step(f"dead_letters.{method}", value=which, has_value=True)


REDRIVE = _letters("redrive", lambda letter: True)

DISCARD = _letters("discard", lambda letter: True)


def _holds(machine: PrimitiveMachine) -> bool:
    return any(record.held for record in machine.t.simulation.store.records())


def _has_dead_letters(machine: PrimitiveMachine) -> bool:
    return any(entry.what == "commit" and "bury" in entry.detail for entry in machine.t.trace)


_WHEN: Mapping[str, Callable[[Any], bool]] = {
    "resume": _holds,
    "redrive": _has_dead_letters,
    "discard": _has_dead_letters,
}
"""Calls that do nothing otherwise: a program has better use for its steps."""


class PrimitiveMachine(RuleBasedStateMachine):
    """A program against one definition in a world of its own, on virtual time.

    Subclass the machine of a primitive, and name the definition::

        class Orders(QueueMachine, of=orders, events=from_schema(Order, sku=st.just("tea"))): ...

    After every step, and at the end, when everything due had time to happen, the laws of the library and of `check`
    hold, or the step fails with a `PropertyViolation`.

    Args (of the class):
        of: The definition.
        events: A strategy of events, or of inputs; derived from the schema if it is left out.
        sends_to: Definitions that its handlers send to.
        effects: What the handlers record of what they do outside.
        invariants: Functions of the state: what they return is false, or they raise, if the state must not be.
        laws: The names of those to hold.
    """

    kind: ClassVar[str]
    _subject: ClassVar[Subject | None] = None
    _laws: ClassVar[frozenset[str]]

    def __init_subclass__(
        cls,
        *,
        of: Definition | None = None,
        events: Strategy | None = None,
        sends_to: Iterable[Definition] = (),
        effects: Effects | None = None,
        invariants: Iterable[Invariant] = (),
        laws: Literal["all"] | Iterable[str] = "all",
        **others: Any,
    ) -> None:
        super().__init_subclass__(**others)
        if of is None:
            return
        if of.kind != cls.kind:
            raise DefinitionError(
                f"{cls.__name__} is of {of.name!r}, a {of.kind}, and its machine is that of a {cls.kind}",
                help=f"derive it from {of.kind.capitalize()}Machine",
            )
        subject = Subject(of, *sends_to, effects=effects, invariants=invariants)
        cls._bind(subject, known_laws(laws), from_schema(cls._schema(of)) if events is None else events, tuple(KINDS))

    @classmethod
    def _bind(cls, subject: Subject, laws: frozenset[str], values: Strategy, kinds: Collection[str]) -> None:
        """Derive the rules; `kinds` are those of the faults to have among them."""
        cls._subject = subject
        cls._laws = laws
        cls._derive(values)
        cls._derive_faults(kinds)

    # What each primitive says of itself.

    @classmethod
    def _schema(cls, definition: Any) -> Any:
        """That of what is sent."""
        return definition.codec.schema

    @classmethod
    def _rules(cls, definition: Any, values: Strategy) -> Mapping[str, Mapping[str, Strategy]]:
        """The arguments of each of its calls: the methods of these names become rules."""
        raise NotImplementedError

    @classmethod
    def _pauses(cls, definition: Any) -> list[int]:
        """Milliseconds that matter to the definition."""
        raise NotImplementedError

    @classmethod
    def _derive(cls, values: Strategy) -> None:
        definition = cls._definition()
        for name, arguments in cls._rules(definition, values).items():
            method = cast("Any", rule)(**arguments)(getattr(cls, name))
            when = _WHEN.get(name)
            setattr(cls, name, method if when is None else precondition(when)(method))
        pauses = dict.fromkeys([1_000, *cls._pauses(definition), 60_000])
        cls.advance = rule(duration=st.sampled_from(list(map(format_ms, pauses))))(cls.advance)  # type: ignore[method-assign]

    @classmethod
    def _derive_faults(cls, kinds: Collection[str]) -> None:
        if "crash" in kinds:
            cls.crash = precondition(PrimitiveMachine._runs)(rule()(cls.crash))  # type: ignore[method-assign]
            cls.restart = rule()(cls.restart)  # type: ignore[method-assign]
        asked = [
            failure
            for failure, fault in FAILURES.items()
            if any(fault in KINDS[kind].get(failure[0], ()) for kind in kinds)
        ]
        # Half of them befall handlers: most of what can be wrong with a definition shows there.
        halves = [[one for one in asked if (one[0] == "handler") is handlers] for handlers in (True, False)]
        if asked:
            failures = st.one_of(*(st.sampled_from(half) for half in halves if half))
            cls.fail = rule(failure=failures, times=st.integers(1, 2))(cls.fail)  # type: ignore[method-assign]

    @classmethod
    def _definition(cls) -> Any:
        if cls._subject is None:
            raise DefinitionError(
                f"{cls.__name__} is of no definition", help=f"class {cls.__name__}({cls.__bases__[0].__name__}, of=...)"
            )
        return cls._subject.definition

    # The world.

    def __init__(self) -> None:
        super().__init__()
        self.name: str = self._definition().name
        self.t = self._open()
        """The application, for rules and invariants of your own."""

    def _open(self) -> TestPrimitives:
        assert self._subject is not None
        self._trial = Trial(self._subject, lambda *all: Simulation(*all, restarts=True), self._laws)
        self._trial.simulation.open()
        return TestPrimitives(self._trial.simulation, "allow", self._trial.rest)

    @property
    def client(self) -> PrimitivesClient:
        """Of the application."""
        return self.t.client

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """The answer to a call; None if it was refused.  A call that was lost is made again, as callers do."""
        loop = self.t.simulation.loop
        for _ in range(_PATIENCE):
            loop.skip_to(loop.now_us + 1000)  # laws tell the calls of one caller apart by their times
            try:
                return finish(make())
            except StorageError:
                continue
            except DurablePrimitivesError:
                return None
        return None

    def _take(self, step: Step) -> None:
        """One step of the program: what all rules come to."""
        definition = self._definition()
        if step.method in OF_THE_TEST:
            finish(step.take(self.t, definition))
        else:
            self.call(lambda: step.take(self.t, definition))

    def check_invariants(self, *arguments: Any, **options: Any) -> None:
        """Nothing has happened that a law forbids; then the invariants of subclasses."""
        # Not an `invariant` itself: Hypothesis would print it after every step of an example.
        self._trial.judge()
        super().check_invariants(*arguments, **options)

    def teardown(self) -> None:
        """Let everything come to its end, and look once more."""
        try:
            if not self._trial.violations:
                self._trial.rest()
                self._trial.judge()
        finally:
            self._trial.simulation.close()

    # Time and failures.

    def advance(self, duration: str) -> None:
        """Let time pass."""
        self._take(Step("advance", value=duration, has_value=True))

    def _is_due(self) -> bool:
        return self.t.simulation.store.next_due is not None

    @precondition(_is_due)
    @rule()
    def run_next(self) -> None:
        """On to the next alarm."""
        self._take(Step("run_next"))

    @precondition(_is_due)
    @rule()
    def run_until_idle(self) -> None:
        """Everything that is due now, and what comes of it."""
        self._take(Step("run_until_idle"))

    def _runs(self) -> bool:
        return self.t.simulation.processes[WORKER].alive

    def crash(self) -> None:
        """The worker dies; another one takes its place a second later."""
        self._take(Step("crash"))

    def restart(self) -> None:
        """The worker is started again: a deploy."""
        self._take(Step("restart"))

    def fail(self, failure: tuple[FailingSite, When], times: int) -> None:
        """The next calls of the store, or executions, go wrong."""
        site, when = failure
        self._take(Step("fail", value=site, has_value=True, options={"when": when, "times": times}))
