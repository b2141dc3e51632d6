"""One history of a subject, under all laws."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from msgspec import Struct, field

from durable_primitives.errors import unknown_option
from durable_primitives.testing.checking.hints import hint
from durable_primitives.testing.checking.laws import USER_LAWS
from durable_primitives.testing.checking.subject import Subject
from durable_primitives.testing.checking.violation import PropertyViolation
from durable_primitives.testing.laws import LAWS, Violation, Watch
from durable_primitives.testing.laws.watch import Make
from durable_primitives.testing.simulation import CallInFlight, Execution, Simulation
from durable_primitives.testing.simulation.tenants import EXECUTION

REST_MS = 86_400_000
"""How long whatever is left may take, once nothing goes wrong any more."""

CALM_MS = 45_000
"""How long a job that repeats for ever is looked at, once nothing goes wrong any more."""

PURE_LAWS = (
    "reducer_is_pure",
    "partition_key_is_pure",
    "schedule_is_pure",
    "state_fits_schema",
    "state_round_trips",
    "state_is_bounded",
)
"""Held by what calls pure functions and codecs, and not by an observer."""

DIFFERENCES = ("effect_is_not_lost", "send_is_not_lost", "sends_once", "memory_is_lost")
"""Held by comparing a history with one in which nothing went wrong."""

ALL_LAWS: frozenset[str] = frozenset([*LAWS, *(law.law for law in USER_LAWS), *PURE_LAWS, *DIFFERENCES])


class Work(Struct):
    """What one piece of work did, over all its executions."""

    instance: str
    content: object
    end: str = ""
    effects: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    sends: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    unharmed: bool = True
    """No execution but the last one got as far as its first line: nothing that it did was cut off."""


class Trial:
    """Runs one history.

    Args:
        subject: What is checked.
        make: Makes the simulation of these definitions.
        laws: The names of those to hold.
        forgets: Whether a process that ends loses what user code kept in its variables, as it does in production.
    """

    def __init__(
        self,
        subject: Subject,
        make: Callable[..., Simulation],
        laws: Collection[str] = ALL_LAWS,
        *,
        forgets: bool = True,
    ) -> None:
        self.subject = subject
        self._laws = subject.laws = laws
        subject.memory.restore()
        if subject.effects is not None:
            subject.effects.clear()
        self.simulation = simulation = make(*subject.twins)
        simulation.skips_idle = True
        user: list[Make] = [partial(law, subject=subject) for law in USER_LAWS if law.law in laws]
        self.watch = Watch(simulation, [*(law for law in LAWS if law in laws), *user])
        self.watch.on_violation.append(self._over)
        subject.tell = self._tell
        if forgets:
            simulation.on_gone.append(lambda _: subject.memory.restore())
        simulation.on_answer.append(self._answered)
        simulation.on_begin.append(self._begun)
        self._sends: list[tuple[Execution, str, str]] = []
        self._answered_for: set[tuple[str, str]] = set()
        self._runs: dict[str, list[Execution]] = {}

    @property
    def violations(self) -> list[Violation]:
        return self.watch.violations

    def rest(self) -> None:
        """Let nothing go wrong any more, let what is left come to its end, and look at the laws once more."""
        simulation = self.simulation
        if self.violations:
            return
        simulation.heal()
        begun = simulation.loop.now_us
        end, calm = begun + REST_MS * 1000, begun + CALM_MS * 1000
        simulation.loop.run(None, lambda due: due <= end and not self._is_calm(due >= calm))
        if not self.violations:
            self.watch.rest()

    def judge(self, cause: Exception | None = None) -> None:
        """Raise the first violation, if there is one."""
        for violation in self.violations[:1]:
            lines = tuple(map(str, self.simulation.trace))
            raise PropertyViolation(violation.law, f"{violation}\nwhy: {hint(violation.law)}", lines, "") from cause

    def work(self) -> dict[str, Work]:
        """What each piece of work did, by its idempotency key."""
        found: dict[str, Work] = {}
        for (instance, _), unit in self.watch.history.units.items():
            if unit.key is not None:
                done = found[unit.key] = Work(instance, unit.content, unit.end if unit.returned else "")
                done.unharmed = not any(run.ran for run in self._runs.get(unit.key, ())[:-1])
        for entry in () if self.subject.effects is None else self.subject.effects.entries:
            if isinstance(entry.execution, Execution) and (work := found.get(_key(entry.execution))) is not None:
                work.effects.add((entry.key, entry.what))
        for execution, id, what in self._sends:
            if (work := found.get(_key(execution))) is not None:
                work.sends.add((id, what))
        return found

    def sent(self) -> list[tuple[str, str]]:
        """What arrived of what handlers sent, if only to be a duplicate: its id, and where it went and what it is."""
        accepted = {(one.item.id, _sending(one.instance, one.item.payload)) for one in self.simulation.accepted.entries}
        accepted |= self._answered_for
        return [(id, what) for _, id, what in self._sends if (id, what) in accepted]

    # What it is told.

    def _begun(self, execution: Execution) -> None:
        if execution.role == "execute":
            self._runs.setdefault(_key(execution), []).append(execution)

    def _is_calm(self, late: bool) -> bool:
        """Whether nothing is left but regular runs of jobs that repeat."""
        for record in self.simulation.store.records():
            if record.alarm is not None and (
                not late or record.status != "scheduled" or not record.instance.startswith("continuous:")
            ):
                return False
        return True

    def _answered(self, call: CallInFlight) -> None:
        execution: Any = EXECUTION.get()
        if not isinstance(execution, Execution):
            return
        request: Any = call.call.request
        operation = call.call.operation
        if operation in ("add", "fold", "enqueue"):
            for item in request.items if operation == "enqueue" else request:
                one = item.id or "", _sending(call.instance, item.payload)
                self._sends.append((execution, *one))
                if call.answer is not None:
                    self._answered_for.add(one)

    def _tell(self, law: str, why: str) -> None:
        if law in self._laws:
            definition = self.subject.definition
            subject = f"{definition.kind}:{definition.name}"
            self.watch.report(Violation(law, self.simulation.loop.now_us, subject, why))

    def _over(self, _: Violation) -> None:
        """What comes after the first violation is of no interest."""
        simulation = self.simulation
        simulation.restarts = False
        for process in simulation.workers:
            process.crash()


def _sending(instance: str, payload: bytes) -> str:
    """Where something is sent, and what: which instance of a queue it is does not matter."""
    place = instance if instance.startswith("buffer:") else instance.rpartition(":")[0]
    return f"{place} {payload.hex()}"


def _key(execution: Execution) -> str:
    key: str = execution.context.idempotency_key if execution.role == "execute" else ""
    return key


def known_laws(laws: str | Iterable[str]) -> frozenset[str]:
    """The names of the laws that were asked for.

    Raises:
        DefinitionError: There is no such law.
    """
    if laws == "all":
        return ALL_LAWS
    names = (laws,) if isinstance(laws, str) else tuple(laws)
    for name in names:
        if name not in ALL_LAWS:
            raise unknown_option(name, ALL_LAWS, "laws")
    return frozenset(names)
