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
from tests.testing.specimens import BUGGY, CORRECT, Specimen

ROOT = Path(__file__).parents[2]
SEEDS = range(5)
MOST_LINES = 25

NOT_CAUGHT: dict[str, str] = {}
"""The buggy ones that `check` does not catch, each with the reason."""

# One of each kind whose bug is not in the memory of the process, which a second check in this process would share.
REPEATED = ["parcels", "imports", "notices", "coupons_used", "payments", "subscriptions"]


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
    violation = violation_of(specimen)
    assert violation.law in specimen.laws, str(violation)
    assert len(str(violation).splitlines()) <= MOST_LINES
    assert violation.steps
    again = regression(violation)
    assert getattr(again, "law", violation.law) == violation.law


def regression(violation: PropertyViolation) -> AssertionError:
    """What the printed test raises, run as it is printed."""
    scope: dict[str, Any] = {}
    exec(compile(violation.regression, "regression", "exec"), scope)
    (test,) = [value for name, value in scope.items() if name.startswith("test_")]
    with pytest.raises(AssertionError) as caught:
        test()
    return caught.value


def test_at_least_95_percent_are_caught() -> None:
    assert NOT_CAUGHT.keys() <= {specimen.name for specimen in BUGGY}
    assert len(BUGGY) >= 25
    assert len(CORRECT) >= 10
    assert len(NOT_CAUGHT) <= 0.05 * len(BUGGY)


@pytest.mark.parametrize("specimen", by_name(CORRECT))
def test_a_correct_one_is_not_accused(specimen: Specimen, check_budget: str) -> None:
    for seed in SEEDS:
        check(specimen.primitive, seed=seed, budget=check_budget, **specimen.options)


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
from tests.testing.specimens import BUGGY
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
