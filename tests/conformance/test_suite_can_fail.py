"""A suite that cannot fail proves nothing: every property notices its defects, and every case can fail."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest

from durable_primitives.testing import conformance
from durable_primitives.testing.conformance import wakeups

from .defects import DEFECTS, Broken
from .reference_backend import ReferenceBackend


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch):
    """A defect of waiting shows as a hang: here nothing that is sound takes any time."""
    monkeypatch.setattr(wakeups, "HANG_GUARD_SECONDS", 0.05)


def keeps(case: conformance.Case, make: Broken) -> bool:
    """Whether a backend passes a case; with any error it does not."""
    try:
        asyncio.run(case(conformance.FactoryHarness(make, ReferenceBackend.beside)))
    except Exception:
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
def test_every_defect_is_noticed(property: str):
    unnoticed = [defect for defect, cases in broken_promises(property).items() if not cases]

    assert not unnoticed, f"a backend that does this passes all cases on {property}: {unnoticed}"


@pytest.mark.parametrize("property", conformance.PROPERTIES)
def test_every_case_can_fail(property: str):
    noticed = set[str]().union(*broken_promises(property).values())
    idle = [name for name, _ in conformance.cases(property) if name not in noticed]

    assert not idle, f"no defect makes these cases fail: {idle}"


def test_a_failure_says_which_promise_is_broken_and_how():
    make = DEFECTS["dues"]["retries at once"]
    with pytest.raises(ExceptionGroup, match="promises of a backend are not kept") as caught:
        conformance.run(make, only="dues.a_reschedule_arms_its_instance")

    (error,) = caught.value.exceptions
    assert str(error) == "when the retry is due\n    expected 500\n    got      2"
    assert error.__notes__ == ["dues.a_reschedule_arms_its_instance: Law 7: a retry is a due time."]
