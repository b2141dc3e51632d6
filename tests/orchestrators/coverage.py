"""Whether tests have exercised every move that a state machine's table lists.

    TABLE = {("idle", "add"): ("open",), ("open", "flush"): ("idle",)}
    coverage = transition_coverage(TABLE)     # a module fixture: at the end of the module it fails with what is missing

    def test_add_opens(coverage):
        coverage.saw("idle", "add", "open")

A run of some tests only (``-k``, or a single test by its name) reports nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

Move = tuple[str, str, str]
"""From, on, to."""


class TransitionCoverage:
    """Collects the moves that were seen; refuses those that the table does not list."""

    def __init__(self, table: Mapping[tuple[str, str], Sequence[str]]) -> None:
        self.listed: frozenset[Move] = frozenset(moves_of(table))
        self.seen: set[Move] = set()

    def saw(self, before: str, on: str, after: str) -> None:
        """A move happened."""
        move = (before, on, after)
        assert move in self.listed, f"{before} became {after} on {on!r}, which the table does not list"
        self.seen.add(move)

    def report(self) -> str:
        """What was never exercised, one move per line; empty if nothing is missing."""
        return "\n".join(f"{before} --{on}--> {after}" for before, on, after in sorted(self.listed - self.seen))


def moves_of(table: Mapping[tuple[str, str], Sequence[str]]) -> list[Move]:
    """Every single move of a table, in its order."""
    return [(before, on, after) for (before, on), targets in table.items() for after in targets]


def transition_coverage(table: Mapping[tuple[str, str], Sequence[str]]) -> Callable[..., Any]:
    """A module-scoped fixture that gives a `TransitionCoverage` and fails at the end with what is missing."""

    @pytest.fixture(scope="module", name="coverage")
    def coverage(request: pytest.FixtureRequest) -> Iterator[TransitionCoverage]:
        collected = TransitionCoverage(table)
        yield collected
        missing = collected.report()
        if missing and not _is_partial(request.config):
            pytest.fail(f"moves that no test of this module exercised:\n{missing}", pytrace=False)

    return coverage


def _is_partial(config: pytest.Config) -> bool:
    return bool(config.getoption("keyword")) or any("::" in argument for argument in config.args)
