"""The machines as a tier of `check`: Hypothesis writes the programs, and `check` holds the laws and makes it short."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import count
from typing import Any, ClassVar, cast

import hypothesis
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from durable_primitives.testing.checking.playing import Case
from durable_primitives.testing.checking.programs import Step
from durable_primitives.testing.driving import TestPrimitives
from durable_primitives.testing.failing import arm
from durable_primitives.testing.machines.base import PrimitiveMachine
from durable_primitives.testing.machines.buffer import BufferMachine
from durable_primitives.testing.machines.continuous import ContinuousMachine
from durable_primitives.testing.machines.queue import QueueMachine
from durable_primitives.testing.tiers.setting import Find, Setting

MACHINES: tuple[type[PrimitiveMachine], ...] = (ContinuousMachine, BufferMachine, QueueMachine)

FIRST_BATCH, BATCH = 5, 40
"""How many programs Hypothesis writes at a time: it runs to its end, and `check` looks at the time in between."""

STEPS = 15
"""Of a program, at most."""


class _Found(BaseException):
    """Ends a batch early; no exception that Hypothesis would take for a failure, and play again."""


def machines(setting: Setting) -> Iterator[Find]:
    """Programs of the machine of the definition, with crashes and failures among their steps."""
    machine = _Checked.under(setting)
    for batch in count():
        findings = machine.findings = list[Find]()
        _run(machine, setting.seed + 1_000_003 * batch, BATCH if batch else FIRST_BATCH)
        yield from findings


def _run(machine: type[_Checked], seed: int, examples: int) -> None:
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list[Any](hypothesis.HealthCheck),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=settings)
        except (_Found, Flaky):
            pass  # it is flaky if a fake of the world outside remembers what other programs did


class _Checked(PrimitiveMachine):
    """A machine that plays in the world of `check`, and writes down what it does there."""

    setting: ClassVar[Setting]
    findings: ClassVar[list[Find]]

    @classmethod
    def under(cls, setting: Setting) -> type[_Checked]:
        """The machine of what is checked."""
        subject = setting.explorer.subject
        (base,) = (machine for machine in MACHINES if machine.kind == subject.definition.kind)
        machine = cast("type[_Checked]", type(base.__name__, (cls, base), {"setting": setting}))
        machine._bind(subject, setting.explorer.laws, st.sampled_from(setting.programs.values), setting.kinds)
        return machine

    def _open(self) -> TestPrimitives:
        self._play = self.setting.explorer.begin(Case((), seed=self.setting.seed))
        return self._play.t

    def _take(self, step: Step) -> None:
        if self._play.over:
            return
        if step.method != "fail":
            self._play.perform(step)
            return
        # What becomes of it is in the schedule; a caller's own calls are no concern of the definition's.
        arm(self._play.simulation, step.value, **step.options, spares="client")

    def check_invariants(self, *arguments: Any, **options: Any) -> None:
        """The end is soon enough."""

    def teardown(self) -> None:
        explorer, play = self.setting.explorer, self._play
        played = explorer.end(play)
        finding = explorer.judge(play.case, played)
        if finding is not None:
            finding = explorer.look(finding.case)  # what was found must show in the case by itself
        self.findings.append(finding)
        if finding is not None:
            raise _Found
