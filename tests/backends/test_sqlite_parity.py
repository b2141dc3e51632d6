"""The two writers of SQLite write the same rows: the Python one is the definition, the Rust one its twin."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_primitives import _core
from durable_primitives.backends.sqlite import SQLiteBackend, native
from durable_primitives.backends.sqlite.store import PythonStore, Store
from durable_primitives.kernel.transition import ClaimRequest, Transition
from durable_primitives.spi.backend import Reply

from .sqlite_store import look
from .test_sqlite_batches import Twins

ROWS = {
    "durable_namespace": "SELECT * FROM durable_namespace ORDER BY nk",
    "durable_instance": "SELECT * FROM durable_instance ORDER BY ik",
    # Not `n`, the place in which a row happens to arrive.
    "durable_item": "SELECT ik, due, rank, seq, segment, at, attempt, delivery, blocks, lane, id, error, payload"
    " FROM durable_item ORDER BY ik, due, rank, seq",
    "durable_receipt": "SELECT * FROM durable_receipt ORDER BY id, ik",
    "durable_letter": "SELECT * FROM durable_letter ORDER BY ik, id",
    "sqlite_sequence": "SELECT * FROM sqlite_sequence",
}


class BothWriters:
    """Two files: what one writer does to the first, the other does to the second."""

    def __init__(self, folder: Path) -> None:
        self._paths = folder / "native.db", folder / "python.db"
        self.native, self.python = (SQLiteBackend(path, durability="normal") for path in self._paths)

    async def open(self) -> None:
        await self.native.open("tests")
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(native, "library", lambda: None)
            await self.python.open("tests")

    async def close(self) -> None:
        await self.native.close()
        await self.python.close()

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        reply = await self.native.commit(transitions, request)
        assert reply == await self.python.commit(transitions, request)
        self.compare()
        return reply

    async def sweep(self, now: int, budget: int) -> int:
        gone = await self.native.sweep(now, budget)
        assert gone == await self.python.sweep(now, budget)
        self.compare()
        return gone

    def compare(self) -> None:
        first, second = map(rows, self._paths)
        for table in ROWS:
            assert first[table] == second[table], table

    def __getattr__(self, name: str) -> Any:
        """What only looks."""
        return getattr(self.native, name)


def rows(path: Path) -> dict[str, list[Any]]:
    return {table: [tuple(map(plain, row)) for row in look(path, query)] for table, query in ROWS.items()}


def plain(value: object) -> object:
    """The order of the named dues in their JSON is nobody's business."""
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


@settings(max_examples=40)
@given(data=st.data())
def test_the_same_histories_leave_the_same_rows(require: Callable[[str, object], None], data: st.DataObject):
    require_native(require)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        both = BothWriters(Path(folder))
        runner.run(both.open())
        try:
            twins = Twins(data.draw, both, runner)
            for _ in range(data.draw(st.integers(1, 12))):
                twins.batch()
        finally:
            runner.run(both.close())


def require_native(require: Callable[[str, object], None]) -> None:
    if os.environ.get("DURABLE_PRIMITIVES_CORE") == "reference":
        pytest.skip("this run is about the reference")
    require("an SQLite that the Rust core can reach", native.library())


def test_both_writers_have_the_same_methods(require: Callable[[str, object], None]):
    require_native(require)
    from durable_primitives._core._native import SQLiteStore

    names = [name for name, member in vars(Store).items() if inspect.isfunction(member) and not name.startswith("_")]

    def signatures(store: type) -> dict[str, list[str]]:
        return {name: list(inspect.signature(getattr(store, name)).parameters) for name in names}

    assert names
    assert signatures(SQLiteStore) == signatures(PythonStore) == signatures(Store)


async def test_backend_says_which_writer_it_has(require: Callable[[str, object], None], tmp_path: Path):
    require_native(require)
    backend = SQLiteBackend(tmp_path / "app.db")

    assert backend.writer == "native"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(native, "library", lambda: None)
        assert backend.writer == "python"


@pytest.mark.parametrize("limit", [0, 1 << 50])
def test_another_copy_of_sqlite_is_not_used(limit: int, require: Callable[[str, object], None]):
    """Same version, same build, and yet another copy: it does not see what ours is told."""
    require_native(require)
    found = native.library()
    assert found is not None

    class Copy:
        version, source_id = found.version, found.source_id

        def set_soft_heap_limit(self, bytes: int) -> int:
            return limit

    assert native._is_ours(found)
    assert not native._is_ours(Copy())


def test_reference_core_means_the_python_writer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_core, "implementation", "reference")
    native.library.cache_clear()
    try:
        assert native.library() is None
    finally:
        native.library.cache_clear()
