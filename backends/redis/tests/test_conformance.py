"""The backend keeps every promise of the contract."""

from __future__ import annotations

import pytest

from durable_primitives.spi import Backend
from durable_primitives.testing import conformance
from durable_primitives_redis import RedisBackend

CASES = dict(conformance.cases())


class RedisHarness:
    """One prefix per store."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url, self._prefix = url, prefix
        self._prefixes: dict[Backend, str] = {}

    def make(self) -> RedisBackend:
        return self._at(f"{self._prefix}.{len(self._prefixes)}")

    def reopen(self, backend: Backend) -> RedisBackend:
        return self._at(self._prefixes[backend])

    def _at(self, prefix: str) -> RedisBackend:
        backend = RedisBackend(self._url, prefix=prefix)
        self._prefixes[backend] = prefix
        return backend


@pytest.mark.parametrize("name", CASES)
async def test_backend_keeps_its_promises(name: str, url: str, prefix: str):
    await CASES[name](RedisHarness(url, prefix))
