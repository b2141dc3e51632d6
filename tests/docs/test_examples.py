"""Every Python block of the README, of docs/ and of docstrings runs.

The blocks of a page run in order, in one module and in an empty folder of their own; they may `await`, as in
``python -m asyncio``. A block that cannot run here is skipped by a comment before it, which must say why:

    <!-- skip: next "does not return" -->

Blocks that need a server say ``if(not redis_server, …)`` or ``if(not cloudflare_host, …)``, and the ``test_page.py``
of that backend runs them.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import re
import sys
import types
import unittest
from pathlib import Path
from typing import Any

import pytest
from sybil import Document, Example
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import CodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

ROOT = Path(__file__).parents[2]
PYTHON_SOURCE = ROOT / "python"
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]
MODULES = sorted(path for path in PYTHON_SOURCE.rglob("*.py") if re.search(r"```python|>>>", path.read_text()))

Namespace = dict[str, Any]


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Namespace:
    """The names that the blocks of a page share: a module's, because schemas look up annotations by module."""
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    vars(module).update(redis_server=None, cloudflare_host=None)
    return vars(module)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_runs(page: Path, namespace: Namespace):
    run_examples(Document, page, namespace)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PYTHON_SOURCE)))
def test_docstrings_run(path: Path, namespace: Namespace):
    dotted = ".".join(path.relative_to(PYTHON_SOURCE).with_suffix("").parts).removesuffix(".__init__")
    public = {name: value for name, value in vars(importlib.import_module(dotted)).items() if name[:2] != "__"}
    namespace.update(public)

    run_examples(PythonDocStringDocument, path, namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_skips_say_why(page: Path):
    silent = re.findall(r"<!--+ *skip: *(?:next|start) *--+>", page.read_text())

    assert not silent, 'say why the block cannot run: <!-- skip: next "needs …" -->'


def run_examples(kind: type[Document], path: Path, namespace: Namespace) -> None:
    """Run all examples of a file in order, on one event loop."""
    with asyncio.Runner() as runner:

        def run_block(example: Example) -> None:
            source = "\n" * (example.line + example.parsed.line_offset) + example.parsed  # lines count as in the page
            code = compile(source, example.path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            pending = eval(code, example.namespace)
            if inspect.iscoroutine(pending):
                runner.run(pending)

        document = kind.parse(str(path), CodeBlockParser("python", run_block), DocTestParser(), SkipParser())
        document.namespace = namespace
        document.evaluators.clear()
        for example in document:
            try:
                example.evaluate()
            except unittest.SkipTest:
                continue
