"""The kit is light: it needs no test library, and nothing needs it."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

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


def test_what_needs_hypothesis_says_so_where_it_is_absent():
    code = """
        import sys
        sys.modules["hypothesis"] = None
        try:
            from durable_primitives.testing import from_schema
        except ImportError as error:
            print(error)
    """
    run = subprocess.run([sys.executable, "-c", dedent(code)], check=True, capture_output=True, text=True)

    assert run.stdout == "from_schema needs Hypothesis; install durable-primitives[testing]\n"


def test_there_is_no_other_name():
    with pytest.raises(ImportError, match="cannot import name 'from_scheme'"):
        exec("from durable_primitives.testing import from_scheme")
