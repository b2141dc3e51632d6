"""What callers do: a short program in terms of the API, drawn from a seed."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from durable_primitives.durations import format_ms
from durable_primitives.services.schedule import Every, Spaced

if TYPE_CHECKING:
    from durable_primitives.testing.driving import TestPrimitives

IDS = ("a", "b")
"""The instances of a Continuous or a buffer that programs use."""


OF_THE_TEST = frozenset({"advance", "run_next", "run_until_idle", "crash", "restart", "fail"})
"""Steps that are no calls of the client, but what a test does with the world: methods of `TestPrimitives`."""

DEATHS = frozenset({"crash", "restart"})
"""Those in which a process ends, and loses its memory."""


class Step(Struct, frozen=True):
    """One call, time that passes, or the end of a process."""

    method: str
    """Of the client (``"dead_letters.redrive"`` too), or one of `OF_THE_TEST`."""
    id: str | None = None
    """The instance, where the method takes one."""
    value: Any = None
    """The event or the input."""
    has_value: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def arguments(self) -> tuple[Any, ...]:
        """What the method is called with, apart from `options`."""
        return (*(() if self.id is None else (self.id,)), *((self.value,) if self.has_value else ()))

    async def take(self, t: TestPrimitives, definition: Any) -> Any:
        """Do it; returns the answer."""
        on: Any = t if self.method in OF_THE_TEST else getattr(t.client, definition.kind)(definition.name)
        call: Callable[..., Any] = attrgetter(self.method)(on)
        answer = call(*self.arguments(), **self.options)
        return await answer if inspect.isawaitable(answer) else answer

    async def perform(self, t: TestPrimitives, definition: Any) -> str:
        """Do it; returns the name of the error that came of it, or nothing."""
        try:
            await self.take(t, definition)
        except Exception as error:  # a function of the user's may have raised it
            return type(error).__name__
        return ""


Program = tuple[Step, ...]


def undisturbed(program: Program) -> Program:
    """The same calls, and no process that ends; the same program, if there is none."""
    calm = tuple(step for step in program if step.method not in DEATHS)
    return program if len(calm) == len(program) else calm


def advance(ms: int) -> Step:
    """Let so much time pass."""
    return Step("advance", value=format_ms(ms), has_value=True)


class Programs:
    """Writes programs for one definition.

    Args:
        definition: What is called.
        values: Events, or inputs, to choose from; the simplest first.
    """

    def __init__(self, definition: Any, values: Sequence[Any]) -> None:
        self._definition = definition
        self._kind: str = definition.kind
        self.values = values
        self._pauses = self._durations()

    @property
    def few(self) -> range:
        """The indexes of the simplest values."""
        return range(min(len(self.values), 4))

    def _durations(self) -> tuple[int, ...]:
        """Lengths of time that matter: shorter and longer than what the definition waits for."""
        definition = self._definition
        found = [500, 5_000, 60_000]
        if self._kind == "continuous":
            schedule = definition.lifecycle.plan.schedule
            interval = schedule.interval_ms if isinstance(schedule, (Every, Spaced)) else 3_600_000
            found = [500, interval, 3 * interval + 1]
        elif self._kind == "buffer" and definition.flush_after_ms is not None:
            found += [definition.flush_after_ms // 2 or 1, definition.flush_after_ms]
        return tuple(dict.fromkeys(found))

    # Sending.

    def send(self, number: int, value: Any, id: str = "a") -> Step:
        """One event, or the start of one instance."""
        if self._kind == "continuous":
            return Step("start", id, value, has_value=True)
        if self._kind == "buffer":
            return Step("add", id, value, has_value=True, options={"event_id": f"e{number}"})
        return Step("enqueue", None, value, has_value=True, options={"id": f"e{number}"})

    def plain(self, first: int = 0) -> Program:
        """The usual: a few events, or one job, and time for everything."""
        value = self._value_at
        if self._kind == "continuous":
            return (self.send(0, value(first)), advance(self._pauses[1] + 10_000), advance(self._pauses[2]))
        sends = [self.send(number, value(first + number)) for number in range(3)]
        if self._kind == "buffer":
            window = self._definition.flush_after_ms or 60_000
            return (*sends, advance(500), Step("flush", "a"), advance(window + 60_000))
        return (*sends, advance(60_000))

    def single(self, which: int = 0) -> Program:
        """One event, or one job: what most faults need, and not more."""
        if self._kind == "continuous":
            return (self.send(0, self._value_at(which)), advance(self._pauses[1] + 10_000))
        flush = (Step("flush", "a"),) if self._kind == "buffer" else ()
        return (self.send(0, self._value_at(which)), *flush, advance(60_000))

    def repeated(self, runs: int) -> Program:
        """One job, for so many runs."""
        return (self.send(0, self._value_at(0)), advance(self._pauses[1] * runs))

    def survey(self) -> Program:
        """Every value once."""
        if self._kind == "continuous":
            starts = [self.send(0, value, f"s{number}") for number, value in enumerate(self.values)]
            return (*starts, advance(self._pauses[1]), advance(self._pauses[1]))
        sends = [self.send(number, value) for number, value in enumerate(self.values)]
        return (*sends, *([Step("flush", "a")] if self._kind == "buffer" else []), advance(3_600_000))

    def extra(self) -> tuple[Program, ...]:
        """What takes longer: a large batch, a job that has run for long."""
        if self._kind == "buffer":
            most = min(self._definition.max_events or 24, 24)
            return ((*(self.send(number, self.values[-1]) for number in range(most)), advance(1000)),)
        if self._kind == "continuous":
            starts = (self.send(0, self.values[0]), self.send(1, self.values[-1], "b"))
            paused = (advance(self._pauses[1]), Step("pause", "a"), advance(self._pauses[2]), Step("resume", "a"))
            return (
                (self.send(0, self.values[0]), advance(20 * self._pauses[1])),
                (*starts, advance(2 * self._pauses[1]), Step("trigger", "a"), advance(2 * self._pauses[1])),
                (self.send(0, self.values[0]), *paused, advance(self._pauses[2])),
                *(
                    (self.send(0, self.values[0]), advance(runs * self._pauses[1]), *paused, advance(self._pauses[2]))
                    for runs in (4, 8, 12)
                ),
            )
        return ()

    def _value_at(self, index: int) -> Any:
        return self.values[index % len(self.values)]

    # At random.

    def draw(self, draws: random.Random) -> Program:
        """A program at random: mostly what callers do, in any order."""
        steps: list[Step] = []
        started: set[str] = set()
        for number in range(draws.choice((2, 3, 4, 5, 6, 8))):
            steps.append(self._step(draws, number, started))
            if draws.random() < 0.4:
                often = draws.choice((4, 8, 12, 30)) if self._kind == "continuous" and draws.random() < 0.2 else 1
                steps.append(advance(often * draws.choice(self._pauses)))
        return (*steps, advance(max(self._pauses)))

    def _step(self, draws: random.Random, number: int, started: set[str]) -> Step:
        id, value = draws.choice(IDS), draws.choice(self.values)
        if self._kind == "continuous":
            if id not in started:
                started.add(id)
                return self.send(number, value, id)
            return Step(draws.choice(("trigger", "trigger", "pause", "resume", "resume", "stop")), id)
        if number == 0 or draws.random() < 0.75:
            # Now and then the same event again: a caller that was not told.
            again = number and draws.random() < 0.15
            if self._kind == "queue":
                return self._enqueue(draws, number - 1 if again else number, value)
            return self.send(number - 1 if again else number, value, id)
        if self._kind == "buffer":
            return Step(draws.choice(("flush", "flush", "clear")), id)
        if draws.random() < 0.5:
            return Step("cancel", value=f"e{draws.randrange(number)}", has_value=True)
        return Step(draws.choice(("pause", "resume", "resume")))

    def _enqueue(self, draws: random.Random, number: int, value: Any) -> Step:
        step = self.send(number, value)
        options = dict(step.options)
        if self._definition.partition_key is None and draws.random() < 0.3:
            options["partition_key"] = "k"
        if draws.random() < 0.1:
            options["delay"] = "10s"
        return Step(step.method, None, value, has_value=True, options=options)
