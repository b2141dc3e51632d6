"""What a page shows under a block of Python is what the block prints."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/tutorial/first-steps.md", "docs/tutorial/testing.md"]
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```\n(?P<printed>.*?)^```\n)?", re.M | re.S)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_print_what_the_page_shows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    monkeypatch.chdir(tmp_path)
    blocks = list(BLOCK.finditer((ROOT / page).read_text()))

    with asyncio.Runner() as runner:
        printed = [run(block["code"], module, runner) for block in blocks]

    assert any(printed)
    assert printed == [block["printed"] or "" for block in blocks]


def run(code: str, module: types.ModuleType, runner: asyncio.Runner) -> str:
    """Run a block as ``python -m asyncio`` would; returns what it printed."""
    compiled = compile(code, "page", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        pending = eval(compiled, vars(module))
        if inspect.iscoroutine(pending):
            runner.run(pending)
    return output.getvalue()
