"""The backend keeps every promise of the contract, on one object and on several."""

from __future__ import annotations

import pytest

from durable_primitives.spi import Backend
from durable_primitives.testing import conformance
from durable_primitives_cloudflare.remote import RemoteBackend

from .host import Host

CASES = dict(conformance.cases())
SPREAD = ("dues", "leases", "namespaces", "recovery", "scan", "sweep", "wakeups")
"""What several objects have to agree on."""


class RemoteHarness:
    """One prefix per store."""

    def __init__(self, host: Host, prefix: str, partitions: int) -> None:
        self._host, self._prefix, self._partitions = host, prefix, partitions
        self._prefixes: dict[Backend, str] = {}

    def make(self) -> RemoteBackend:
        return self._at(f"{self._prefix}.{len(self._prefixes)}")

    def reopen(self, backend: Backend) -> RemoteBackend:
        return self._at(self._prefixes[backend])

    def _at(self, prefix: str) -> RemoteBackend:
        backend = self._host.backend(prefix, partitions=self._partitions)
        self._prefixes[backend] = prefix
        return backend


@pytest.mark.timeout(900)  # the histories of the model are long: thousands of requests, one after the other
@pytest.mark.parametrize(
    ("name", "partitions"),
    [(name, 1) for name in CASES] + [(name, 3) for name in CASES if name.startswith(SPREAD)],
)
async def test_backend_keeps_its_promises(name: str, partitions: int, host: Host, prefix: str):
    await CASES[name](RemoteHarness(host, prefix, partitions))
