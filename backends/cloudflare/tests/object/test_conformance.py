"""The storage of the object keeps every promise of the contract."""

from __future__ import annotations

import pytest

from durable_primitives.spi import Backend
from durable_primitives.testing import conformance
from durable_primitives_cloudflare.object.backend import ObjectBackend

from .sqlite_storage import SQLiteStorage

CASES = dict(conformance.cases())


def make() -> Backend:
    return ObjectBackend(SQLiteStorage(), lambda: 0)


def reopen(backend: Backend) -> Backend:
    """The object was evicted and comes back."""
    assert isinstance(backend, ObjectBackend)
    return ObjectBackend(backend.storage, lambda: 0)


@pytest.mark.parametrize("name", CASES)
async def test_object_keeps_its_promises(name: str):
    await CASES[name](conformance.FactoryHarness(make, reopen))
