"""The campaign finds faults in the engine: the catalogue is true, and a few of it are tried here."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.mutation.catalogue import MUTANTS, Mutant
from tests.mutation.check import PACKAGE, catch

FEW = (
    "skip the fence",
    "an abandoned lease is no due time",
    "answer before the commit",
    "free a lane before the commit",
)
"""Tried in the gate; ``./dev nightly`` tries them all."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_mutant_applies(mutant: Mutant):
    """Its text stands in its file exactly once, and what comes of it is Python."""
    compile(mutant.applied((PACKAGE / mutant.file).read_text()), mutant.file, "exec")


def test_names_are_unique():
    assert [name for name, count in Counter(mutant.name for mutant in MUTANTS).items() if count > 1] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FEW)
def test_mutant_is_found_by_the_sample(name: str):
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
    caught = catch(mutant)
    assert caught.by == "campaign", caught
