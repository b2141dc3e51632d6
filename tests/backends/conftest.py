"""Everything about SQLite holds with either writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(scope="module", params=["native", "python"])
def sqlite_writer(
    request: pytest.FixtureRequest, use_sqlite_writer: Callable[[pytest.MonkeyPatch, str], None]
) -> Iterator[str]:
    """Each writer in turn.  A module asks for it with ``pytestmark = pytest.mark.usefixtures("sqlite_writer")``."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_sqlite_writer(monkeypatch, request.param)
        yield request.param
