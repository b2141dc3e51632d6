"""The page for users runs, on the server of the tests."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from sybil.document import Document

from tests.docs.test_examples import run_examples

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "redis.md"
SERVER_OF_THE_PAGE = "redis://localhost:6379/0"


def test_page_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, prefix: str):
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    page = tmp_path / PAGE.name
    page.write_text(PAGE.read_text().replace(SERVER_OF_THE_PAGE, f"{url}?prefix={prefix}"))
    vars(module)["redis_server"] = url

    run_examples(Document, page, vars(module))
