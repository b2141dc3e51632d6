"""What every test shares: nothing skips unseen in CI, snapshots, Hypothesis settings."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

from durable_primitives import _core
from durable_primitives.backends.sqlite import native

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# What a skip says when something is absent from the machine: `require` below, and pytest.importorskip.
MISSING = ("missing: ", "could not import ")

# Machines that run these tests are shared and slow; a deadline would only measure the neighbours.
# In CI the examples are always the same ones, so that a failure belongs to the change that shows it.
hypothesis.settings.register_profile("durable-primitives", deadline=None, derandomize=IN_CI, print_blob=True)
hypothesis.settings.register_profile(
    "fuzz",
    parent=hypothesis.settings.get_profile("durable-primitives"),
    derandomize=False,
    max_examples=2_000,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("durable-primitives")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("durable-primitives")
    group.addoption("--update-snapshots", action="store_true", help="write the snapshot files instead of comparing")
    group.addoption("--crash-rounds", type=int, default=5, help="how often each crash test kills a process")
    group.addoption("--check-budget", default="200ms", help="how long each correct specimen is checked, per seed")


@pytest.fixture(scope="session")
def require() -> Callable[[str, object], None]:
    """``require("redis-server", shutil.which("redis-server"))``: skip where it is absent, fail where it must not be."""

    def require(what: str, present: object) -> None:
        if not present:
            pytest.skip(f"missing: {what}")

    return require


@pytest.fixture(scope="session")
def use_sqlite_writer(require: Callable[[str, object], None]) -> Callable[[pytest.MonkeyPatch, str], None]:
    """``use_sqlite_writer(monkeypatch, "python")``: who does SQLite's transactions, here and in child processes."""

    def use(monkeypatch: pytest.MonkeyPatch, writer: str) -> None:
        if writer == "python":
            monkeypatch.setattr(native, "library", lambda: None)
            monkeypatch.setenv("DURABLE_PRIMITIVES_CORE", "reference")
        elif _core.implementation == "reference":
            pytest.skip("this run is about the reference")
        else:
            require("an SQLite that the Rust core can reach", native.library())

    return use


@pytest.fixture(scope="session")
def crash_rounds(request: pytest.FixtureRequest) -> int:
    """How many times a test marked ``crash`` kills its process: few in the gate, many in ``./dev crash``."""
    rounds = request.config.getoption("--crash-rounds")
    assert isinstance(rounds, int)
    return rounds


@pytest.fixture(scope="session")
def check_budget(request: pytest.FixtureRequest) -> str:
    """How long `check` looks for a fault where there is none: briefly in the gate, for long in ``./dev specimens``."""
    budget = request.config.getoption("--check-budget")
    assert isinstance(budget, str)
    return budget


@pytest.fixture
def assert_snapshot(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """``assert_snapshot(path, text)``: the committed file says exactly this; ``--update-snapshots`` rewrites it."""

    def assert_snapshot(path: Path, text: str) -> None:
        if request.config.getoption("--update-snapshots"):
            path.write_text(text)
            return
        old = path.read_text() if path.exists() else ""
        if old != text:
            diff = difflib.unified_diff(old.splitlines(), text.splitlines(), "committed", "now", lineterm="", n=2)
            pytest.fail(
                "\n".join(
                    [
                        f"{path.name} no longer describes the code:",
                        *diff,
                        "If this is meant, review the diff and write it:",
                        f"    ./dev tests {request.node.nodeid.split('::')[0]} --update-snapshots",
                    ]
                ),
                pytrace=False,
            )

    return assert_snapshot


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return refuse_missing((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return refuse_missing((yield))


def refuse_missing(report: Report) -> Report:
    """In CI a skip for something that is missing is a failure: a gate that did not run must not look green."""
    if IN_CI and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(MISSING):
            report.outcome = "failed"
            report.longrepr = f"{reason}: install it, or deselect the test by name; with CI=true it may not be skipped"
    return report
