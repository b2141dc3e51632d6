"""The interpreter of Python Workers: CPython in WebAssembly, without threads, sockets or our Rust core.

Here it runs in Node, where it can run the SDK's own tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .. import node
from . import pyodide_wheels

HERE = Path(__file__).parent / "pyodide"

PINS = (
    *pyodide_wheels.PINS,
    "annotated-types==0.8.0", "hypothesis==6.170.15", "iniconfig==2.3.1", "packaging==26.3", "pluggy==1.7.0",
    "pydantic==2.14.3", "pydantic-core==2.50.4", "pygments==2.21.0", "pytest==9.2.0", "pytest-asyncio==1.5.0",
    "pytest-timeout==2.4.0", "sortedcontainers==2.4.0", "typing-inspection==0.4.5", "xxhash==4.1.0",
)  # fmt: skip

NEEDS_MORE = ("sqlite", "thread", "hangs", "model")
"""In the names of tests that need a database or a thread."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("folders", "at_least"),
    [(("tests/orchestrators", "tests/primitives"), 400), (("tests/conformance/test_backends.py",), 300)],
    ids=["primitives", "conformance"],
)
def test_suite_passes(folders: tuple[str, ...], at_least: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for wheel in (*pyodide_wheels.downloaded(*PINS), *pyodide_wheels.ours(tmp_path / "ours")):
        shutil.copy(wheel, wheels)
    arguments = ["-q", "--tb=short", "-p", "no:cacheprovider", "-o", "timeout=0", *folders]
    wish = {
        "root": str(pyodide_wheels.ROOT),
        "arguments": [*arguments, "-k", " and ".join(f"not {w}" for w in NEEDS_MORE)],
    }
    script = tmp_path / "run.py"
    script.write_text((HERE / "run_tests.py").read_text().replace('"WISH"', repr(json.dumps(wish))))
    modules = node.node_modules(**pyodide_wheels.PYODIDE)
    done = subprocess.run(
        [*node.node_command(), str(HERE / "run.mjs"), str(modules), str(script), str(wheels), str(pyodide_wheels.ROOT)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CI": ""},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    found = re.search(r"(\d+) passed", done.stdout)
    with capsys.disabled():
        sys.stdout.write(f"\nin Pyodide: {done.stdout.strip().splitlines()[-1]}\n")

    assert found is not None
    assert int(found[1]) >= at_least
