"""On a cluster the backend keeps every promise too: each partition by itself, wherever it is."""

from __future__ import annotations

import pytest

from durable_primitives.testing import conformance

from .test_conformance import RedisHarness

CASES = dict(conformance.cases())


@pytest.mark.parametrize("name", CASES)
async def test_backend_keeps_its_promises(name: str, cluster_url: str, prefix: str):
    await CASES[name](RedisHarness(cluster_url, prefix))
