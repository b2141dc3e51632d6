"""The shortest case in which a law does not hold."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import structs

from durable_primitives.testing.checking.explorer import Explorer
from durable_primitives.testing.checking.playing import Case, Finding
from durable_primitives.testing.checking.programs import Step
from durable_primitives.testing.simulation import Deviation
from durable_primitives.testing.simulation.choices import unit_of
from durable_primitives.testing.simulation.faults import AMOUNTS

MAX_TRIES = 400

MAX_SECONDS = 20.0
"""Of processor time: a stop for cases that take very long, which makes the result depend on the machine."""


def shrink(explorer: Explorer, finding: Finding, values: Sequence[Any]) -> Finding:
    """Make a case smaller as long as the same law is broken."""
    if finding.law == "state_is_bounded" and not finding.case.schedule and len(finding.case.program) == 2:
        return finding  # fewer runs show nothing
    tries, end = 0, time.process_time() + MAX_SECONDS
    smaller = True
    while smaller:
        smaller = False
        for case in _simpler(finding.case, values):
            if tries >= MAX_TRIES or time.process_time() > end:
                return finding
            tries += 1
            found = explorer.look(case)
            if found is not None and found.law == finding.law:
                finding, smaller = found, True
                break
    return finding


def _simpler(case: Case, values: Sequence[Any]) -> Iterator[Case]:
    """Cases that are a little simpler, the boldest first."""
    if case.schedule:
        yield structs.replace(case, schedule=())
    yield from _shorter(case)
    if case.workers > 1:
        yield structs.replace(case, workers=1)
    yield from _smaller_amounts(case)
    for index, step in enumerate(case.program):
        for changed in _simpler_steps(step, values):
            yield structs.replace(case, program=(*case.program[:index], changed, *case.program[index + 1 :]))


def _shorter(case: Case) -> Iterator[Case]:
    program, schedule, size = case.program, case.schedule, len(case.program)
    for length in dict.fromkeys((size // 2, size // 4, size // 8)):
        if length > 1:
            for start in range(0, size, length):
                yield structs.replace(case, program=program[:start] + program[start + length :])
    for index in range(len(schedule)):
        yield structs.replace(case, schedule=schedule[:index] + schedule[index + 1 :])
    for index in reversed(range(size)):
        yield structs.replace(case, program=program[:index] + program[index + 1 :])


def _smaller_amounts(case: Case) -> Iterator[Case]:
    schedule = case.schedule
    for index, deviation in enumerate(schedule):
        for amount in AMOUNTS[unit_of(deviation.point.site, deviation.fault)]:
            if amount < deviation.amount:
                changed = Deviation(deviation.point, deviation.fault, amount)
                yield structs.replace(case, schedule=(*schedule[:index], changed, *schedule[index + 1 :]))


def _simpler_steps(step: Step, values: Sequence[Any]) -> Iterator[Step]:
    if step.method in ("add_many", "enqueue_many"):
        yield from _fewer(step)
    if step.method not in ("add", "enqueue", "start"):
        return
    for value in values[:6]:
        if _simpler_than(value, step.value):
            yield structs.replace(step, value=value)
    for name in step.options:
        if name not in ("id", "event_id"):
            options = {key: one for key, one in step.options.items() if key != name}
            yield structs.replace(step, options=options)


def _fewer(step: Step) -> Iterator[Step]:
    """Some of several at once; one by itself."""
    several: list[Any] = step.value
    for one in several if len(several) > 1 else ():
        yield structs.replace(step, value=[one])
    if len(several) == 1 and step.method == "add_many":
        yield Step("add", step.id, several[0], has_value=True)
    elif len(several) == 1:
        yield Step("enqueue", None, several[0].event, has_value=True, options={"id": several[0].id})
    for index in range(len(several) if len(several) > 2 else 0):
        yield structs.replace(step, value=[*several[:index], *several[index + 1 :]])


def _simpler_than(value: Any, other: Any) -> bool:
    return (len(repr(value)), repr(value)) < (len(repr(other)), repr(other))
