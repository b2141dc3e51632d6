"""The page for users runs, on the host of the tests."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from sybil.document import Document

from durable_primitives_cloudflare.remote.backend import ENGINE_KEYS
from tests.docs.test_examples import run_examples

from .host import Host

PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "cloudflare.md"
HOST_OF_THE_PAGE = "cloudflare+https://primitives-host.example.workers.dev"


def test_page_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: Host, prefix: str):
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv(ENGINE_KEYS, host.engine_keys)
    page = tmp_path / PAGE.name
    text = PAGE.read_text()
    assert HOST_OF_THE_PAGE in text
    page.write_text(text.replace(HOST_OF_THE_PAGE, host.store_url(prefix, listen=None)))
    vars(module)["cloudflare_host"] = host

    run_examples(Document, page, vars(module))
