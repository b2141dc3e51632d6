"""Who may import whom, as written in pyproject.toml under [tool.importlinter]."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "durable_primitives"
SOURCES = [PACKAGE.parent, *(ROOT / "backends").glob("*/src")]


def test_imports_follow_the_layers():
    linter = Path(sys.executable).with_name("lint-imports")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, SOURCES))}
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout[result.stdout.find("Contracts:") :] + result.stderr


def test_shared_layers_name_no_primitive():
    """Adding a primitive is one new folder and one line: what runs primitives reads their descriptors."""
    kinds = {folder.name for folder in (PACKAGE / "primitives").iterdir() if (folder / "__init__.py").exists()}
    shared = [path for layer in ("engine", "services", "spi", "kernel") for path in (PACKAGE / layer).rglob("*.py")]
    named = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for path in shared
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in kinds
    ]

    assert not named, "ask the primitive's descriptor instead of naming a primitive:\n" + "\n".join(named)
