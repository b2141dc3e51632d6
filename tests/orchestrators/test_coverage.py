"""The coverage helper notices what is missing and what is not listed."""

from __future__ import annotations

import pytest

from tests.orchestrators.coverage import TransitionCoverage

TABLE = {("idle", "add"): ("open",), ("open", "flush"): ("idle", "open")}


def test_what_was_never_seen_is_reported() -> None:
    coverage = TransitionCoverage(TABLE)
    coverage.saw("open", "flush", "open")
    assert coverage.report() == "idle --add--> open\nopen --flush--> idle"


def test_nothing_is_reported_when_every_move_was_seen() -> None:
    coverage = TransitionCoverage(TABLE)
    for move in coverage.listed:
        coverage.saw(*move)
    assert coverage.report() == ""


def test_move_that_is_not_listed_is_refused() -> None:
    with pytest.raises(AssertionError, match="idle became idle on 'flush', which the table does not list"):
        TransitionCoverage(TABLE).saw("idle", "flush", "idle")
