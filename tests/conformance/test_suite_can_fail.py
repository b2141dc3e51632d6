"""A suite that cannot fail proves nothing: every property notices its defects, and every case can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache

import hypothesis
import pytest

from durable_primitives.backends.memory import MemoryBackend
from durable_primitives.testing import conformance
from durable_primitives.testing.conformance import _histories

from .broken_backends import Refusal, method, refuse
from .defects import DEFECTS, Broken
from .doors import Doors, over
from .hurried_loop import HurriedLoop
from .reference_backend import ReferenceBackend

A_QUEUE = "model.a_queue_has_the_history_of_the_reference"


@pytest.fixture(autouse=True)
def _same_histories() -> Iterator[None]:
    """What a search finds is found again in every run."""
    usual = hypothesis.settings.get_current_profile_name()
    hypothesis.settings.register_profile("the same histories", derandomize=True)
    hypothesis.settings.load_profile("the same histories")
    yield
    hypothesis.settings.load_profile(usual)


def keeps(case: conformance.Case, make: Broken) -> bool:
    """Whether a backend passes a case.  An error that neither the suite nor the defect raises on purpose goes on."""
    try:
        with asyncio.Runner(loop_factory=HurriedLoop) as runner:
            runner.run(case(conformance.FactoryHarness(make, ReferenceBackend.beside)))
    except (AssertionError, Refusal):
        return False
    return True


@cache
def broken_promises(property: str) -> dict[str, set[str]]:
    """For each defect of a property the cases that notice it."""
    return {
        defect: {name for name, case in conformance.cases(property) if not keeps(case, make)}
        for defect, make in DEFECTS[property].items()
    }


@pytest.mark.parametrize("property", conformance.PROPERTIES)
def test_without_a_defect_every_promise_is_kept(property: str):
    """The doors through which the defects come in are none themselves."""
    broken = [name for name, case in conformance.cases(property) if not keeps(case, over(Doors))]

    assert not broken


@pytest.mark.parametrize("property", conformance.PROPERTIES)
def test_every_defect_is_noticed(property: str):
    unnoticed = [defect for defect, cases in broken_promises(property).items() if not cases]

    assert not unnoticed, f"a backend that does this passes all cases on {property}: {unnoticed}"


@pytest.mark.parametrize("property", conformance.PROPERTIES)
def test_every_case_can_fail(property: str):
    """By a defect of its own: one that breaks all cases of a property says nothing about any of them."""
    names = {name for name, _ in conformance.cases(property)}
    noticed = set[str]().union(*(cases for cases in broken_promises(property).values() if cases != names))

    assert noticed == names, f"no defect makes these cases fail: {sorted(names - noticed)}"


def failure(make: Broken, case: str) -> Exception:
    """What the suite says of a backend that breaks one promise."""
    with pytest.raises(ExceptionGroup, match="promises of a backend are not kept") as caught:
        conformance.run(make, only=case)
    (error,) = caught.value.exceptions
    return error


def test_a_failure_says_which_promise_is_broken_and_how():
    error = failure(DEFECTS["dues"]["retries at once"], "dues.a_reschedule_arms_its_instance")

    assert str(error) == "when the retry is due\n    expected 500\n    got      2"
    assert error.__notes__ == ["dues.a_reschedule_arms_its_instance: Law 7: a retry is a due time."]


def test_a_failing_history_is_told_without_the_steps_that_do_not_matter():
    first, *steps = failure(DEFECTS["model"]["knows no rank"], A_QUEUE).__notes__[0].splitlines()

    assert first == "after the steps"
    assert [step.strip().partition("(")[0] for step in steps] == ["Enqueue"]


def test_a_backend_that_raises_in_a_history_shows_its_own_error():
    error = failure(method(tally=refuse), A_QUEUE)

    assert isinstance(error, Refusal)
    assert error.__notes__[0].startswith("after the steps\n")


def test_a_slow_backend_is_not_a_broken_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_histories, "HISTORIES", 2)
    hypothesis.settings.register_profile("nothing is that fast", deadline=0.001)
    hypothesis.settings.load_profile("nothing is that fast")

    assert conformance.run(MemoryBackend, only=A_QUEUE).passed == (A_QUEUE,)
