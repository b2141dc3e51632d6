"""Every backend of this distribution keeps every promise of the contract, and so does the reference that defines it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from durable_primitives.backends.memory import MemoryBackend
from durable_primitives.backends.sqlite import SQLiteBackend
from durable_primitives.spi import Backend
from durable_primitives.testing import conformance

from .reference_backend import ReferenceBackend

CASES = dict(conformance.cases())


class SQLiteHarness:
    """One file per store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[Backend, Path] = {}

    def make(self) -> SQLiteBackend:
        return self._at(self._folder / f"{len(self._paths)}.db")

    def reopen(self, backend: Backend) -> SQLiteBackend:
        return self._at(self._paths[backend])

    def _at(self, path: Path) -> SQLiteBackend:
        backend = SQLiteBackend(path)
        self._paths[backend] = path
        return backend


HARNESSES: dict[str, Callable[[Path], conformance.Harness]] = {
    "reference": lambda folder: conformance.FactoryHarness(ReferenceBackend, ReferenceBackend.beside),
    "memory": lambda folder: conformance.FactoryHarness(MemoryBackend),
    "sqlite, native": SQLiteHarness,
    "sqlite, python": SQLiteHarness,
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", HARNESSES)
async def test_backend_keeps_its_promises(backend: str, name: str, tmp_path: Path, use_sqlite_writer, monkeypatch):
    kind, _, writer = backend.partition(", ")
    if kind == "sqlite":
        use_sqlite_writer(monkeypatch, writer)
    await CASES[name](HARNESSES[backend](tmp_path))


def test_suite_runs_in_one_line():
    report = conformance.run(MemoryBackend, only="letters")

    assert report.passed == tuple(name for name, _ in conformance.cases("letters"))
    assert not report.skipped


def test_promises_of_other_capabilities_are_skipped_with_the_reason():
    report = conformance.run(MemoryBackend, only="recovery.everything_comes_back")

    assert report.skipped == {"recovery.everything_comes_back": "the backend does not claim to be durable"}


def test_durable_backend_must_say_how_it_is_opened_again():
    with pytest.raises(ExceptionGroup) as caught:
        conformance.run(ReferenceBackend, only="recovery.everything_comes_back")

    (error,) = caught.value.exceptions
    assert "give the suite `reopen=`" in str(error)


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no case is called 'lease'; .* leases"):
        conformance.cases("lease")


def test_every_case_says_which_promise_it_keeps():
    silent = [name for name, case in conformance.cases() if not case.promise.strip()]

    assert not silent, f"cases without a docstring: {silent}"


def test_every_law_and_invariant_of_the_store_has_a_case():
    """Those that are left out concern code above the store: validation, schedules, user code, telemetry."""
    promises = " ".join(case.promise for _, case in conformance.cases())
    cited = {law.lower() for law in re.findall(r"[Ll]aw \d+|[Ii]nvariant \d+", promises)}
    laws = {f"law {number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15)}
    invariants = {f"invariant {number}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 14, 15, 16)}

    assert laws | invariants <= cited
