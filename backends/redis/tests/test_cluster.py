"""A cluster keeps every promise of the contract, while its slots move and its nodes come and go too."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from durable_primitives import (
    Buffer,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    Queue,
    QueueExecuteContext,
    create_durable_primitives,
)
from durable_primitives.errors import (
    BackendUnavailableError,
    DefinitionError,
    Outcome,
    StorageError,
    StorageNotRecognizedError,
)
from durable_primitives.kernel.transition import ClaimRequest, Create, LeaseRef, NewItem, Transition
from durable_primitives.spi import gathered, xxh3_64
from durable_primitives.spi import open_backend as open_backend_of_url
from durable_primitives.testing import conformance
from durable_primitives_redis import RedisBackend
from durable_primitives_redis.backend import RECHECK_SECONDS

from .clusters import TestCluster
from .conftest import open_backend
from .test_conformance import RedisHarness

FAR = 1 << 40
"""A time that does not come, in milliseconds."""

CASES = dict(conformance.cases())


@pytest.mark.parametrize("name", CASES)
async def test_cluster_keeps_the_promises_of_a_backend(name: str, cluster: TestCluster, prefix: str):
    await CASES[name](RedisHarness(cluster.url, prefix))


# The rest of the file is about what only a cluster does.


def append(instance: str, payload: bytes) -> Transition:
    """An event without an id: nothing but the replay protection keeps it from being stored twice."""
    return Transition(instance=instance, at=0, create=Create(status="live"), append=(NewItem(None, payload),))


def claim(limit: int = 10) -> ClaimRequest:
    return ClaimRequest(owner="me", at=0, lease_ms=60_000, limit=limit, take=1)


def partition_of(instance: str, partitions: int = 16) -> int:
    return xxh3_64(instance.encode()) % partitions


class Load:
    """Appends to many instances, two commits under way at a time, until it is told to stop."""

    def __init__(self, backend: RedisBackend, instances: list[str]) -> None:
        self._backend, self._instances = backend, instances
        self._stopping = False
        self.sent = 0
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Returns when all commits were answered; raises what one of them raised."""
        self._stopping = True
        await self._task

    async def _run(self) -> None:
        """Appends the numbers from 0 on to each of the instances, in one batch for all of them."""
        trips: deque[asyncio.Task[Any]] = deque()
        while not self._stopping:
            number = self.sent
            self.sent += 1
            batch = [append(instance, b"%d" % number) for instance in self._instances]
            trips.append(asyncio.create_task(self._backend.commit(batch)))
            if len(trips) == 2:
                await trips.popleft()
        for trip in trips:
            await trip

    async def go_on(self, commits: int = 20) -> None:
        """Returns when so many more commits were sent, or one has failed."""
        until = self.sent + commits
        while self.sent < until and not self._task.done():
            await asyncio.sleep(0)

    async def check(self) -> None:
        """Every number is there once, in the order of the commits."""
        for instance in self._instances:
            items = await self._backend.items(instance, 0, 0, self.sent + 1)
            assert [int(item.payload) for item in items] == list(range(self.sent)), instance


@pytest.mark.parametrize("turns", [1, 3])
async def test_slot_that_moves_under_load_loses_and_doubles_nothing(
    turns: int, cluster: TestCluster, prefix: str, opened: AsyncExitStack
):
    backend = await open_backend(RedisBackend(cluster.url, prefix=prefix, timeout_s=60), opened)
    instances = [f"queue:orders:{number}" for number in range(20)]
    slots = [key_slot(f"{prefix}:tests:{partition_of(instance)}".encode()) for instance in instances[:turns]]
    load = Load(backend, instances)

    for slot in slots:
        await load.go_on()
        before = await asyncio.to_thread(cluster.owner, slot)
        # Each step in a thread: the load goes on meanwhile, and finds the slot on two nodes.
        steps = cluster.move(slot, batch=3)
        moved = 0
        while step := await asyncio.to_thread(next, steps, None):
            moved = step
        assert moved > 5
        assert await asyncio.to_thread(cluster.owner, slot) is not before
    await load.go_on()
    await load.stop()

    await load.check()


async def test_node_that_is_killed_and_comes_back_has_lost_nothing(tmp_path: Path, opened: AsyncExitStack, prefix: str):
    cluster = TestCluster(tmp_path)
    opened.callback(cluster.stop)
    await asyncio.to_thread(cluster.start)
    backend = await open_backend(RedisBackend(cluster.url, prefix=prefix, timeout_s=60), opened)
    load = Load(backend, [f"queue:orders:{number}" for number in range(20)])

    for node in cluster.nodes:
        await load.go_on()
        await asyncio.to_thread(node.stop, signal.SIGKILL)
        await asyncio.to_thread(node.start)
        await asyncio.to_thread(cluster.settle)
    await load.go_on()
    await load.stop()

    await load.check()


async def test_replica_takes_over_from_a_primary_that_is_gone(tmp_path: Path, opened: AsyncExitStack, prefix: str):
    cluster = TestCluster(tmp_path)
    opened.callback(cluster.stop)
    await asyncio.to_thread(cluster.start)
    primary = cluster.nodes[2]
    (tmp_path / "replica").mkdir()
    await asyncio.to_thread(cluster.add_replica, tmp_path / "replica", primary)
    backend = await open_backend(RedisBackend(cluster.url, prefix=prefix, timeout_s=60), opened)
    instances = [f"queue:orders:{number}" for number in range(20)]
    await backend.commit([append(instance, b"before") for instance in instances])
    assert primary.ask("WAIT", 1, 0) == 1

    primary.stop(signal.SIGKILL)
    outcomes, _ = await backend.commit([append(instance, b"after") for instance in instances])

    assert [outcome.accepted[0].seq for outcome in outcomes] == [2] * len(instances)
    for instance in instances:
        assert [item.payload for item in await backend.items(instance, 0, 0, 10)] == [b"before", b"after"]


async def test_node_that_the_url_names_may_go_for_good(tmp_path: Path, opened: AsyncExitStack, prefix: str):
    cluster = TestCluster(tmp_path)
    opened.callback(cluster.stop)
    await asyncio.to_thread(cluster.start)
    primary = cluster.nodes[0]
    (tmp_path / "replica").mkdir()
    await asyncio.to_thread(cluster.add_replica, tmp_path / "replica", primary)
    named = f"redis+cluster://127.0.0.1:{primary.port}"
    backend = await open_backend(RedisBackend(named, prefix=prefix, timeout_s=60), opened)
    other = await open_backend(RedisBackend(cluster.url, prefix=prefix, timeout_s=60), opened)
    instances = [f"queue:orders:{number}" for number in range(20)]
    await backend.wait(0)  # it listens
    await backend.wait(0)
    waiting = asyncio.ensure_future(backend.wait(3600))

    primary.stop(signal.SIGKILL)
    await waiting  # it listens elsewhere, and may have missed something
    _, claims = await other.commit([append(instance, b"x") for instance in instances], claim(limit=20))
    while len(claims) < len(instances):
        claims = [*claims, *(await other.commit([], claim(limit=20)))[1]]
    await backend.next_due()
    # Only now does it need a connection for leases.
    leases = [LeaseRef(one.record.instance, one.record.token) for one in claims]
    assert all(one.held for one in await asyncio.to_thread(other.renew, leases, FAR))
    assert all(one.held for one in await asyncio.to_thread(backend.renew, leases, FAR))
    await backend.next_due()
    waiting = asyncio.ensure_future(backend.wait(3600))
    await other.commit([append("queue:late:1", b"x")])
    async with asyncio.timeout(RECHECK_SECONDS / 2):
        await waiting


async def test_node_without_a_replica_that_stays_away_is_said(tmp_path: Path, opened: AsyncExitStack, prefix: str):
    cluster = TestCluster(tmp_path)
    opened.callback(cluster.stop)
    await asyncio.to_thread(cluster.start)
    backend = await open_backend(RedisBackend(cluster.url, prefix=prefix, timeout_s=1), opened)
    cluster.nodes[2].stop(signal.SIGKILL)

    with pytest.raises(BackendUnavailableError) as caught:
        await backend.commit([append(f"queue:orders:{number}", b"x") for number in range(20)])

    assert caught.value.outcome == "unknown"
    assert "\n" not in str(caught.value)
    assert "redis+cluster://" in str(caught.value)


async def test_commits_are_applied_in_the_order_of_their_calls(
    cluster: TestCluster, prefix: str, opened: AsyncExitStack
):
    backend = await open_backend(RedisBackend(cluster.url, prefix=prefix), opened)
    instances = [f"queue:orders:{number}" for number in range(20)]
    for turn in range(20):
        # To all partitions, to one, to all: the second is quicker on its way, and must not overtake the first.
        many, one = ([append(instance, b"%d" % turn) for instance in found] for found in (instances, instances[:1]))
        replies = await asyncio.gather(backend.commit(many), backend.commit(one), backend.commit(many))

        seqs = [outcomes[0].accepted[0].seq for outcomes, _ in replies]
        assert seqs == [3 * turn + 1, 3 * turn + 2, 3 * turn + 3]


async def test_outcome_of_several_calls_is_unknown_unless_all_are_known_to_have_failed():
    async def call(outcome: Outcome | None) -> None:
        if outcome is not None:
            raise StorageError("it failed", backend="redis", outcome=outcome)

    async def outcome_of(*outcomes: Outcome | None) -> Outcome:
        with pytest.raises(StorageError) as caught:
            await gathered(map(call, outcomes))
        return caught.value.outcome

    assert await outcome_of("not_applied", "not_applied") == "not_applied"
    assert await outcome_of("not_applied", None) == "unknown"
    assert await outcome_of("not_applied", "unknown") == "unknown"


# Through the public API.


async def test_primitives_work_on_a_cluster(cluster: TestCluster, prefix: str):
    events = 200
    sent: list[int] = []
    flushed: list[int] = []
    runs: list[int] = []
    finished = asyncio.Event()

    def look() -> None:
        if len(sent) >= events and len(flushed) >= events and len(runs) >= 3:
            finished.set()

    @Queue.make("mails", event_schema=int, concurrency=8)
    async def mails(ctx: QueueExecuteContext[int]) -> None:
        sent.append(ctx.event)
        look()

    @Buffer.make("clicks", event_schema=int, max_events=10)
    async def clicks(ctx: BufferExecuteContext[list[int]]) -> None:
        flushed.extend(ctx.state)
        look()

    @Continuous.make("rates", state_schema=int, schedule=Continuous.every("10ms"))
    async def rates(ctx: ContinuousContext[int]) -> None:
        runs.append(ctx.run_count)
        look()

    application = create_durable_primitives(mails, clicks, rates)
    async with (
        application.open(RedisBackend(cluster.url, prefix=prefix)),
        application.connect(RedisBackend(cluster.url, prefix=prefix)) as client,
    ):
        await client.continuous(rates).start("euro", 1)
        await client.queue(mails).enqueue_many(list(range(events)))
        for number in range(events):
            await client.buffer(clicks).add(f"user-{number % 4}", number)
        await asyncio.wait_for(finished.wait(), 60)

    assert sorted(sent) == list(range(events)), "each once"
    assert sorted(flushed) == list(range(events)), "each once"
    assert runs == list(range(1, len(runs) + 1))


# Opening.


async def test_cluster_is_found_by_its_url(cluster: TestCluster, prefix: str, opened: AsyncExitStack):
    backend = open_backend_of_url(f"{cluster.url}?prefix={prefix}&partitions=3")

    assert isinstance(backend, RedisBackend)
    assert backend.url == cluster.url
    await open_backend(backend, opened)
    with pytest.raises(StorageNotRecognizedError, match="3 partitions, and it was opened with 16"):
        await RedisBackend(cluster.url, prefix=prefix).open("tests")


async def test_url_of_one_node_is_enough_and_is_no_url_of_a_server(cluster: TestCluster, prefix: str):
    node = cluster.nodes[2].url
    with pytest.raises(BackendUnavailableError, match=r"is a node of a cluster; begin the URL with redis\+cluster://"):
        await RedisBackend(node, prefix=prefix).open("tests")

    backend = RedisBackend(node.replace("redis://", "redis+cluster://"), prefix=prefix)
    await backend.open("tests")
    await backend.close()


async def test_server_that_is_no_cluster(url: str, prefix: str):
    with pytest.raises(StorageError, match="cluster support disabled") as caught:
        await RedisBackend(url.replace("redis://", "redis+cluster://"), prefix=prefix).open("tests")

    assert caught.value.outcome == "not_applied"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis+cluster://a:1/3", "a cluster has no database but 0"),
        ("redis+cluster://:secret@a:x", "a:x is not the URL"),
    ],
)
def test_url_that_cannot_be_meant(url: str, message: str):
    with pytest.raises(DefinitionError, match=message) as caught:
        RedisBackend(url)
    assert "secret" not in str(caught.value)
