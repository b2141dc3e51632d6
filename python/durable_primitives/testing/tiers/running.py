"""`check`."""

from __future__ import annotations

import io
import logging
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager, redirect_stdout
from typing import Any, Literal, Never

from durable_primitives.durations import Duration, parse_ms
from durable_primitives.errors import DefinitionError, unknown_option
from durable_primitives.kernel.primitive import Definition
from durable_primitives.services.options import refuse_unknown
from durable_primitives.testing.checking.effects import Effects
from durable_primitives.testing.checking.explorer import Explorer, Resources
from durable_primitives.testing.checking.playing import Finding
from durable_primitives.testing.checking.programs import Programs
from durable_primitives.testing.checking.regression import Telling
from durable_primitives.testing.checking.shrinking import shrink
from durable_primitives.testing.checking.subject import Invariant, Subject, related
from durable_primitives.testing.checking.trial import known_laws
from durable_primitives.testing.checking.values import values_for
from durable_primitives.testing.checking.violation import PropertyViolation
from durable_primitives.testing.simulation import KINDS
from durable_primitives.testing.tiers.report import CheckReport
from durable_primitives.testing.tiers.setting import Setting
from durable_primitives.testing.tiers.turns import all_tiers, in_order

WALL = 4
"""How many times the budget a check may take by the clock, on a machine that has other things to do."""


def check(
    primitive: Definition,
    *,
    inputs: Any = None,
    events: Any = None,
    faults: Literal["all"] | Iterable[str] = "all",
    effects: Effects | None = None,
    invariants: Iterable[Invariant] = (),
    laws: Literal["all"] | Iterable[str] = "all",
    budget: Duration = "10 seconds",
    seed: int | None = None,
    resources: Resources | None = None,
    **unknown: Never,
) -> CheckReport:
    """Try to break a definition: invented events, random calls, crashes at every step, failures, and the laws.

    Args:
        primitive: What `Continuous.make`, `Buffer.make` or `Queue.make` returned.  Definitions that its handlers refer
            to, as those that they send to, take part.
        inputs: The states that a Continuous is started with: a Hypothesis strategy or a list of examples.  By default
            they are invented from its schema, for which hypothesis must be installed.
        events: The same for the events of a buffer or a queue.
        faults: The kinds of faults to try, keys of `durable_primitives.testing.simulation.KINDS`.
        effects: What the handlers record of what they do outside: nothing may be done twice, or get lost.
        invariants: Functions of a state that must return true, or not raise, after every commit.
        laws: The names of those to hold.
        budget: How much time of the processor to spend, so that a busy machine finds the same; up to four times as long
            by the clock.
        seed: The same seed tries the same, in the same order, and finds the same.  0 by default.
        resources: As for `create_durable_primitives`: fakes of what handlers talk to.
        unknown: Refused, with the nearest valid name.

    Raises:
        PropertyViolation: A law does not hold, with the shortest history that was found in which it does not.
        CoverageError: Some fault that was asked for could not be tried, as no worker ever came to where it happens.
            That does not depend on the budget: each of them is tried once, when it is spent.
        DefinitionError: An argument cannot be meant.

    Example:
        >>> from durable_primitives import Queue
        >>> effects = Effects()
        >>> async def charge(ctx):
        ...     effects.record(ctx.event_id, "charge")
        >>> charges = Queue.make("charges", event_schema=int, execute=charge)
        >>> try:
        ...     check(charges, events=[5], effects=effects)
        ... except PropertyViolation as violation:
        ...     print(violation.law)
        handler_is_repeatable
    """
    refuse_unknown(unknown, check, "check")
    given = _given(primitive, inputs, events)
    kinds = _names(faults, KINDS, "faults")
    chosen = known_laws(laws)
    limit, seed = parse_ms(budget, what="budget") / 1000, seed or 0
    subject = Subject(*related(primitive), effects=effects, invariants=invariants)
    values = values_for(primitive, given, subject.invariants, seed)
    explorer = Explorer(subject, chosen, resources)
    setting = Setting(explorer, Programs(primitive, values), in_order(kinds), seed)
    begun, cpu_begun = time.monotonic(), time.process_time()
    tried = Counter[str]()

    def enough() -> bool:
        return time.process_time() - cpu_begun > limit or time.monotonic() - begun > WALL * limit

    try:
        with _silence():
            for tier, finding in all_tiers(setting, enough):
                tried[tier] += 1
                if finding is not None:
                    raise _violation(explorer, finding, values)
    finally:
        subject.memory.restore()
    return CheckReport(
        histories=explorer.played,
        seconds=round(time.monotonic() - begun, 3),
        tiers=tried,
        sites=explorer.sites,
        faults=explorer.faults,
        outcomes=explorer.outcomes,
    )


def _violation(explorer: Explorer, finding: Finding, values: list[Any]) -> PropertyViolation:
    finding = shrink(explorer, finding, values)
    played = explorer.play(finding.case, laws=frozenset({finding.law}))
    telling = Telling(explorer.subject, finding, played, explorer.resources)
    return PropertyViolation(finding.law, telling.message(), telling.steps(), telling.regression())


def _given(primitive: Any, inputs: Any, events: Any) -> Any:
    kind = getattr(primitive, "kind", None)
    if kind not in ("continuous", "buffer", "queue"):
        raise DefinitionError(f"check takes a definition, got {primitive!r}", help="pass what Queue.make(...) returned")
    wrong, right = (events, "inputs") if kind == "continuous" else (inputs, "events")
    if wrong is not None:
        raise DefinitionError(f"a {kind} has no {'events' if right == 'inputs' else 'inputs'}", help=f"give {right}=")
    return inputs if kind == "continuous" else events


def _names(given: str | Iterable[str], known: Iterable[str], what: str) -> tuple[str, ...]:
    known = tuple(known)
    if given == "all":
        return tuple(sorted(known))
    names = (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if name not in known:
            raise unknown_option(name, known, what)
    return names


@contextmanager
def _silence() -> Generator[None]:
    """Thousands of failures that were told to happen are no news, nor is what handlers print."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
