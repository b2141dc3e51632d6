"""A budget is spent by computing; waiting for a busy machine spends it much more slowly."""

from __future__ import annotations

import time

import pytest

from durable_primitives.testing.checking.budget import PATIENCE, Budget


class Clocks:
    computed = 100.0
    passed = 200.0


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(time, "process_time", lambda: clocks.computed)
    monkeypatch.setattr(time, "monotonic", lambda: clocks.passed)
    return clocks


def test_computing_spends_it(clocks: Clocks) -> None:
    budget = Budget(10)
    clocks.computed += 4
    assert budget.is_spent(0.4)
    assert not budget.is_spent()
    clocks.computed += 6
    assert budget.is_spent()


def test_waiting_spends_it_in_the_end(clocks: Clocks) -> None:
    budget = Budget(10)
    clocks.passed += 10 * PATIENCE - 1
    assert not budget.is_spent()
    clocks.passed += 1
    assert budget.is_spent()
    assert budget.passed == 10 * PATIENCE
