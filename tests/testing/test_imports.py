"""The kit is light: it needs no test library, and nothing needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("durable_primitives", "durable_primitives.testing"),
        ("durable_primitives.testing", "hypothesis"),
        ("durable_primitives.testing", "pytest"),
        ("durable_primitives.testing", "structlog"),
        ("durable_primitives.testing", "durable_primitives.testing.conformance"),
    ],
)
def test_importing_one_does_not_import_the_other(imported: str, absent: str):
    code = f"import sys, {imported}; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
