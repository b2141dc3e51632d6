"""One workerd with Python in it for all tests: to boot Python takes seconds."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from .standin_worker import APP, PythonWorker

METHODS = ("bill", "conform", "fail_half_way", "refuse_half_way")
"""Of the object in `standin/app.py`, beside those of the engine."""


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Generator[PythonWorker]:
    running = PythonWorker(tmp_path_factory.mktemp("python-worker"), APP, methods=METHODS)
    running.workerd.start()
    yield running
    running.workerd.stop()
