"""One workerd with Python in it for all tests: to boot Python takes seconds."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from .standin_worker import APP, PythonWorker


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Generator[PythonWorker]:
    running = PythonWorker(tmp_path_factory.mktemp("python-worker"), APP, methods=("bill", "conform"))
    running.workerd.start()
    yield running
    running.workerd.stop()
