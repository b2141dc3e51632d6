"""`check` on primitives as users write them: it catches the buggy ones and accuses none of the correct ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from durable_primitives.testing import PropertyViolation, check
from tests.testing.specimens.catalogue import BUGGY, CORRECT, Specimen

ROOT = Path(__file__).parents[2]
MOST_LINES = 25

NOT_CAUGHT = {"measures": "a definition does not say what the older versions of its schema looked like"}
"""The buggy ones that `check` does not catch, each with the reason."""

# One of each kind whose bug is not in the memory of the process, which a second check in this process would share.
REPEATED = ["parcels", "imports", "notices", "coupons_used"]


def missed(specimen: Specimen) -> list[pytest.MarkDecorator]:
    reason = NOT_CAUGHT.get(specimen.name)
    return [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]


def by_name(specimens: Iterable[Specimen]) -> list[Any]:
    return [pytest.param(specimen, id=specimen.name, marks=missed(specimen)) for specimen in specimens]


def violation_of(specimen: Specimen, **options: Any) -> PropertyViolation:
    with pytest.raises(PropertyViolation) as caught:
        check(specimen.primitive, **{"seed": 0, **specimen.options, **options})
    return caught.value


@pytest.mark.parametrize("specimen", by_name(BUGGY))
def test_a_bug_is_caught_within_the_default_budget_and_its_regression_test_shows_it(specimen: Specimen) -> None:
    violation = violation_of(specimen, **({"budget": "1 second"} if specimen.name in NOT_CAUGHT else {}))
    assert violation.law in specimen.laws, str(violation)
    assert len(str(violation).splitlines()) <= MOST_LINES
    assert violation.steps
    with pytest.raises(AssertionError) as again:
        run(violation.regression)
    # A test of what should have come of it ends with an assertion of its own.
    assert "assert" in violation.regression or getattr(again.value, "law", None) == violation.law


def run(source: str) -> None:
    """The printed test, as it is printed."""
    scope: dict[str, Any] = {}
    exec(compile(source, "regression", "exec"), scope)
    (test,) = [value for name, value in scope.items() if name.startswith("test_")]
    test()


def test_at_least_95_percent_are_caught() -> None:
    assert NOT_CAUGHT.keys() <= {specimen.name for specimen in BUGGY}
    assert len(BUGGY) >= 25
    assert len(CORRECT) >= 10
    assert len(NOT_CAUGHT) <= 0.05 * len(BUGGY)


@pytest.mark.filterwarnings("ignore:check:durable_primitives.testing.SimulationWarning")  # not all is tried so quickly
@pytest.mark.parametrize("specimen", by_name(CORRECT))
def test_a_correct_one_is_not_accused(specimen: Specimen, long_checks: bool) -> None:
    for seed in range(5 if long_checks else 2):
        budget = "10 seconds" if long_checks else "100ms"
        check(specimen.primitive, seed=seed, budget=budget, **specimen.options)


def test_names_are_unique() -> None:
    names = [specimen.name for specimen in (*BUGGY, *CORRECT)]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("specimen", by_name(one for one in BUGGY if one.name in REPEATED))
def test_one_seed_prints_one_text(specimen: Specimen) -> None:
    assert str(violation_of(specimen)) == str(violation_of(specimen))


def test_one_seed_prints_one_text_in_another_process() -> None:
    specimen = next(one for one in BUGGY if one.name == "parcels")
    assert printed_elsewhere(hash_seed="1") == printed_elsewhere(hash_seed="2") == str(violation_of(specimen)) + "\n"


PRINT = """
from durable_primitives.testing import PropertyViolation, check
from tests.testing.specimens.catalogue import BUGGY
specimen = next(one for one in BUGGY if one.name == "parcels")
try:
    check(specimen.primitive, seed=0, **specimen.options)
except PropertyViolation as violation:
    print(violation)
"""


def printed_elsewhere(*, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRINT],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout
