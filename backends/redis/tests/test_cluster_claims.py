"""On a cluster a partition that does not answer holds up no other, and nothing that was granted is let go of."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.crc import key_slot

from durable_primitives import Queue, QueueExecuteContext, create_durable_primitives
from durable_primitives.errors import BackendUnavailableError
from durable_primitives.kernel.transition import Claim, ClaimRequest
from durable_primitives_redis import RedisBackend

from .clusters import TestCluster
from .conftest import open_backend
from .test_cluster import append, partition_of

INSTANCES = [f"queue:orders:{number}" for number in range(40)]
LONG_SECONDS = 60.0
"""How long a call may take: a test that waits for that fails by its own timeout."""


def slot_of(instance: str, prefix: str) -> int:
    return key_slot(f"{prefix}:tests:{partition_of(instance)}".encode())


async def nothing(ctx: QueueExecuteContext[int]) -> None:
    return None


def claim(limit: int = 100) -> ClaimRequest:
    return ClaimRequest(owner="me", at=0, lease_ms=60_000, limit=limit, take=1)


def names(claims: list[Claim] | tuple[Claim, ...]) -> list[str]:
    return sorted(claim.record.instance for claim in claims)


async def claimed(backend: RedisBackend, count: int) -> list[Claim]:
    """So many, in as many calls as it takes."""
    found: list[Claim] = []
    while len(found) < count:
        found += (await backend.commit([], claim()))[1]
    return found


async def test_claims_go_on_while_a_slot_moves(cluster: TestCluster, prefix: str, opened: AsyncExitStack):
    backend = await open_backend(RedisBackend(cluster.url, prefix=prefix, timeout_s=LONG_SECONDS), opened)
    await backend.commit([append(instance, b"x") for instance in INSTANCES])
    slot = slot_of(INSTANCES[0], prefix)
    there = sorted(instance for instance in INSTANCES if slot_of(instance, prefix) == slot)
    steps = cluster.move(slot, batch=2)
    await asyncio.to_thread(next, steps)

    async with asyncio.timeout(LONG_SECONDS / 4):
        granted = await claimed(backend, len(INSTANCES) - len(there))
        assert await backend.next_due() is not None, "somebody must look again"
        _, (more,) = await backend.commit(
            [append(granted[0].record.instance, b"y"), append("queue:new:1", b"z")], claim()
        )
        assert await backend.sweep(0, 100) == 0
    while await asyncio.to_thread(next, steps, None):
        pass

    assert names(granted) == sorted(set(INSTANCES) - set(there))
    assert more.record.instance == "queue:new:1"
    rest = await claimed(backend, len(there))
    assert names(rest) == there
    assert {claim.record.token for claim in rest} == {1}, "claimed once, and answered once"


async def half_dead(
    folder: Path,
    prefix: str,
    opened: AsyncExitStack,
    timeout_s: float,
    *,
    hangs: bool = False,
) -> tuple[RedisBackend, list[str]]:
    """A backend on a cluster one node of which is gone, or hangs, and the instances that the others have."""
    cluster = TestCluster(folder, [{"cluster_require_full_coverage": "no"}] * 3)
    opened.callback(cluster.stop)
    await asyncio.to_thread(cluster.start)
    backend = await open_backend(RedisBackend(cluster.url, prefix=prefix, timeout_s=timeout_s), opened)
    await backend.commit([append(instance, b"x") for instance in INSTANCES])
    owners = {instance: cluster.owner(slot_of(instance, prefix)) for instance in INSTANCES}
    if hangs:
        cluster.nodes[2].pause()
        opened.callback(cluster.nodes[2].resume)
    else:
        cluster.nodes[2].stop(signal.SIGKILL)
    return backend, sorted(instance for instance in INSTANCES if owners[instance] is not cluster.nodes[2])


async def test_claims_go_on_while_a_node_is_away(tmp_path: Path, opened: AsyncExitStack, prefix: str):
    backend, alive = await half_dead(tmp_path, prefix, opened, LONG_SECONDS)
    assert 0 < len(alive) < len(INSTANCES)

    async with asyncio.timeout(LONG_SECONDS / 4):
        granted = await claimed(backend, len(alive))
        assert await backend.next_due() is not None
        assert await backend.sweep(0, 100) == 0

    assert names(granted) == alive


async def test_claims_go_on_while_a_node_hangs(tmp_path: Path, opened: AsyncExitStack, prefix: str):
    backend, alive = await half_dead(tmp_path, prefix, opened, LONG_SECONDS, hangs=True)

    async with asyncio.timeout(LONG_SECONDS / 4):
        granted = await claimed(backend, len(alive))
        assert await backend.next_due() is not None
        assert await backend.sweep(0, 100) == 0

    assert names(granted) == alive


async def test_callers_elsewhere_are_answered_while_a_node_hangs(tmp_path: Path, opened: AsyncExitStack, prefix: str):
    """Under the load of one process, whose calls leave together."""
    cluster = TestCluster(tmp_path, [{"cluster_require_full_coverage": "no"}] * 3)
    opened.callback(cluster.stop)
    await asyncio.to_thread(cluster.start)
    backend = RedisBackend(cluster.url, prefix=prefix, timeout_s=LONG_SECONDS)
    orders = Queue.make("orders", event_schema=int, execute=nothing, concurrency=len(INSTANCES))
    client = await opened.enter_async_context(create_durable_primitives(orders, namespace="tests").connect(backend))
    queue = client.queue(orders)
    hanging = cluster.nodes[2]
    keys = [f"key-{number}" for number in range(200)]
    where = {key: (await queue.enqueue(0, partition_key=key)).instance_index for key in keys}
    there = {key for key, index in where.items() if cluster.owner(slot_of(f"queue:orders:{index}", prefix)) is hanging}
    assert 0 < len(there) < len(where)

    hanging.pause()
    opened.callback(hanging.resume)
    rounds = []
    async with asyncio.timeout(LONG_SECONDS / 4):
        for number in range(1, 4):
            calls = {key: asyncio.ensure_future(queue.enqueue(number, partition_key=key)) for key in where}
            await asyncio.gather(*(call for key, call in calls.items() if key not in there))
            rounds.append(calls)
    assert not any(calls[key].done() for calls in rounds for key in there)
    hanging.resume()
    await asyncio.gather(*(call for calls in rounds for call in calls.values()))
    assert (await queue.status()).pending == 4 * len(where)


async def test_claims_of_a_call_that_fails_elsewhere_answer_the_next_one(
    tmp_path: Path, opened: AsyncExitStack, prefix: str
):
    backend, alive = await half_dead(tmp_path, prefix, opened, 1.0)
    with pytest.raises(BackendUnavailableError) as caught:
        await backend.commit([append(instance, b"y") for instance in INSTANCES], claim())
    assert caught.value.outcome == "unknown"

    granted = await claimed(backend, len(alive))

    assert names(granted) == alive
    assert {claim.record.token for claim in granted} == {1}
