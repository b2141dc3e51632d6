"""Whether a fault in the engine is found: the campaign and the fast tests on a copy of the package that has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import durable_primitives
from durable_primitives import _core
from tests.mutation.catalogue import Mutant

ROOT = Path(__file__).parents[2]
PACKAGE = Path(durable_primitives.__file__).parent
TIMEOUT_SECONDS = 600
"""A mutant that never comes to an end is found, too."""

SAMPLE = ("-m", "tests.campaign", "--sample", "--processes", "1")
FAST_TESTS = (
    "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
    "tests/orchestrators", "tests/primitives", "tests/engine", "tests/core",
    "tests/conformance/test_backends.py",
)  # fmt: skip
NIGHTLY = ("-m", "tests.campaign", "--seeds", "20000", "--first", "1000", "--processes", "1", "--stop")


class Caught(NamedTuple):
    """What became of one mutant."""

    mutant: Mutant
    by: str
    """``"campaign"``, ``"tests"``, ``"nightly"``; empty if nothing found it."""
    how: str
    """What was said."""
    seconds: float


@contextmanager
def copy_with(mutant: Mutant) -> Iterator[Path]:
    """A folder to import the faulty package from."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        package = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
        file = package / mutant.file
        file.write_text(mutant.applied(file.read_text()))
        yield Path(folder)


def catch(mutant: Mutant, *, nightly: bool = False) -> Caught:
    """Try the campaign's sample, then the fast tests, then if asked the long campaign, until one of them fails."""
    started = time.monotonic()
    stages: dict[str, Sequence[str]] = {"campaign": SAMPLE, "tests": FAST_TESTS}
    if nightly:
        stages["nightly"] = NIGHTLY
    with copy_with(mutant) as folder:
        for by, command in stages.items():
            said = _failure(folder, command, mutant.core)
            if said is not None:
                return Caught(mutant, by, said, time.monotonic() - started)
    return Caught(mutant, "", "", time.monotonic() - started)


def catch_all(mutants: Sequence[Mutant], *, nightly: bool = False, processes: int | None = None) -> Iterator[Caught]:
    """Each of them, in order, several at a time."""
    with ThreadPoolExecutor(processes or os.cpu_count()) as pool:
        yield from pool.map(lambda mutant: catch(mutant, nightly=nightly), mutants)


def _failure(folder: Path, command: Sequence[str], core: str) -> str | None:
    """What a command that failed said; None if it found nothing."""
    if _core.implementation == "reference":
        core = "reference"
    env = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DURABLE_PRIMITIVES_CORE": core,
    }
    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "it never ended"
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return next((line for line in lines if line.startswith(("FAILED", "ERROR"))), lines[1] if len(lines) > 1 else "?")
