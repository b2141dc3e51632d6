"""User code in snippets/ means the same to mypy --strict and to pyright strict: what its `assert_type` lines say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PYTHON_SOURCE = HERE.parents[1] / "python"
SNIPPETS = sorted((HERE / "snippets").glob("*.py"))

Complaints = Mapping[str, list[str]]
"""The messages of a type checker by file name."""


@pytest.fixture(scope="module")
def mypy_complaints() -> Complaints:
    output = run("mypy", "--strict", "--python-version=3.11", "--config-file=", "--output=json", *map(str, SNIPPETS))
    complaints = defaultdict[str, list[str]](list)
    for found in map(json.loads, filter(None, output.splitlines())):
        if found["severity"] == "error":
            complaints[Path(found["file"]).name].append(f"line {found['line']}: {found['message']} [{found['code']}]")
    return complaints


@pytest.fixture(scope="module")
def pyright_complaints() -> Complaints:
    output = run("pyright", "--outputjson", "--project", str(HERE), "--pythonpath", sys.executable)
    complaints = defaultdict[str, list[str]](list)
    for found in json.loads(output)["generalDiagnostics"]:
        line = found["range"]["start"]["line"] + 1
        complaints[Path(found["file"]).name].append(f"line {line}: {found['message']} [{found.get('rule')}]")
    return complaints


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda path: path.stem)
def test_mypy_accepts(snippet: Path, mypy_complaints: Complaints):
    assert not mypy_complaints[snippet.name], "\n".join(mypy_complaints[snippet.name])


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda path: path.stem)
def test_pyright_accepts(snippet: Path, pyright_complaints: Complaints):
    assert not pyright_complaints[snippet.name], "\n".join(pyright_complaints[snippet.name])


def test_package_says_that_it_is_typed():
    assert (PYTHON_SOURCE / "durable_primitives" / "py.typed").exists()


def run(tool: str, *arguments: str) -> str:
    """What a type checker says; it has failed only if it cannot say it."""
    command = [sys.executable, "-m", tool, *arguments]
    env = {**os.environ, "MYPYPATH": str(PYTHON_SOURCE)}
    result = subprocess.run(command, cwd=HERE.parents[1], env=env, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1):
        pytest.fail(f"{tool} could not run:\n{result.stdout}{result.stderr}", pytrace=False)
    return result.stdout
