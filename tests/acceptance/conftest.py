"""Every story is told on every backend, on a real event loop and a real clock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from durable_primitives import Running, create_durable_primitives
from durable_primitives.backends.memory import MemoryBackend
from durable_primitives.spi import Backend
from tests.acceptance.stores import SERVER, url

Store = str | Backend
Open = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture(params=["server"] if SERVER else ["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """What an application is opened on; opened again, it holds what it held."""
    return MemoryBackend() if request.param == "memory" else url(tmp_path)


@pytest.fixture
def open_app(store: Store) -> Open:
    """``async with open_app(definition, …) as running``: an application with these definitions on the store."""

    def open_app(*definitions: Any, worker: bool = True, options: Any = None, **app: Any) -> Any:
        return create_durable_primitives(*definitions, **app).open(store, worker=worker, options=options)

    return open_app
