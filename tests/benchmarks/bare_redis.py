"""What the bare server does with a script that writes one hash field and one member of a sorted set for each event."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.limits import COMMITS, PAYLOAD, REST_SECONDS, SECONDS, Limits
from tests.benchmarks.report import Figure, percentile, stopwatch
from tests.benchmarks.stores import RedisStore

SCRIPT = """
local first = tonumber(ARGV[1])
for n = 2, #ARGV do
  local serial = string.format('%014d', first + n)
  redis.call('HSET', KEYS[1], serial, ARGV[n])
  redis.call('ZADD', KEYS[2], first + n, serial)
end
"""


def measure(store: RedisStore) -> tuple[Limits, list[Figure]]:
    """The limits of the server that the store is on."""
    import redis

    with redis.Redis.from_url(store.url) as client:
        sha = client.script_load(SCRIPT)

        def one_call(serial: int, events: int) -> None:
            client.evalsha(sha, 2, "bare:items", "bare:ready", serial, *[PAYLOAD] * events)

        def pipeline(serial: int, events: int) -> None:
            with client.pipeline(transaction=False) as calls:
                for n in range(events):
                    calls.evalsha(sha, 2, "bare:items", "bare:ready", serial + n, PAYLOAD)
                calls.execute()

        alone = _rate("EVALSHA, one at a time", store, one_call, 1)
        piped = [_rate(f"EVALSHA, {batch} in a pipeline", store, pipeline, batch) for batch in (100, 1000)]
        batched = {batch: _rate(f"EVALSHA of {batch} events", store, one_call, batch) for batch in (100, 1000)}
        rested_ms = _rested(one_call)
    writes = {1: alone.value, **{batch: figure.value for batch, figure in batched.items()}}
    rested = Figure("machine: bare EVALSHA after 5 ms of rest, p50", store.backend, rested_ms, "ms")
    return Limits("bare EVALSHA", writes, rested_ms), [alone, *piped, *batched.values(), rested]


def _rate(name: str, store: RedisStore, write: Callable[[int, int], Any], events: int) -> Figure:
    store.fresh()
    count, end = 0, time.perf_counter() + SECONDS
    with stopwatch(store) as watch:
        while time.perf_counter() < end:
            write(count, events)
            count += events
    return Figure(f"machine: bare {name}", store.backend, watch.rate(count), "/s", cpu=watch.cpu(count))


def _rested(write: Callable[[int, int], Any]) -> float:
    took: list[float] = []
    for serial in range(COMMITS):
        time.sleep(REST_SECONDS)
        start = time.perf_counter()
        write(serial, 1)
        took.append((time.perf_counter() - start) * 1000)
    return percentile(took, 0.5)
