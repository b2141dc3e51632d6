"""The scripts read the kernel's structs by position, and write them so: who moves a field must change the scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from durable_primitives.errors import StorageError
from durable_primitives.kernel import record, transition
from durable_primitives_redis import RedisBackend, spreading

from .clusters import TestCluster
from .conftest import open_backend
from .servers import Server

FIELDS: dict[type[msgspec.Struct], str] = {
    transition.Transition: "instance at guard erase create remember put remove reschedule give_back mark bury redrive "
    "discard retire clear cancel append batching on_full seal dues progress take release",
    transition.Guard: "exists version generation token segment room",
    transition.Create: "status data segment linger_ms",
    transition.Put: "status data held linger_ms",
    transition.Removal: "item settlement expires_at",
    transition.Reschedule: "item due attempt delivery error blocks",
    transition.Burial: "id item payload attempts error count expires_at",
    transition.Retire: "segment settlement expires_at",
    transition.Clear: "segment expires_at",
    transition.NewItem: "id payload lane due rank fresh blocks",
    transition.Batching: "max_items window_ms",
    transition.Due: "name how at",
    transition.ClaimRequest: "owner at lease_ms limit take",
    transition.LeaseRef: "instance token",
    transition.Outcome: "verdict created version generation count accepted items cleared cancelled cancels held "
    "released dues",
    transition.Accepted: "seq position segment segment_count duplicate",
    transition.Claim: "record items suspects",
    transition.Renewal: "instance held version",
    record.Record: "instance status data version generation held dues linger_ms purge_at token owner lease_until "
    "deliveries taken cancels sequence count segment segment_count segment_first_at segment_last_at finished "
    "created_at updated_at",
    record.Item: "seq id payload at lane due rank segment attempt delivery error blocks",
    record.Receipt: "id seq position due rank segment settlement expires_at",
    record.DeadLetter: "id payload lane rank at failed_at attempts error count expires_at",
    record.Tally: "ready delayed retrying dead oldest_at",
}


@pytest.mark.parametrize("struct", FIELDS, ids=lambda struct: struct.__name__)
def test_fields_stand_where_the_scripts_look_for_them(struct: type[msgspec.Struct]):
    assert struct.__struct_config__.array_like
    assert " ".join(struct.__struct_encode_fields__) == FIELDS[struct]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535, 65_536, 1_000_000])
async def test_payload_of_any_size_comes_back_as_it_was(backend: RedisBackend, size: int):
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    new = transition.NewItem("a", payload)
    create = transition.Create(status="live", data=payload)
    request = transition.ClaimRequest(owner="me", at=0, lease_ms=10, limit=1, take=1)
    append = transition.Transition(instance="queue:orders:1", at=0, create=create, append=(new,))

    _, (claim,) = await backend.commit([append], request)

    assert claim.record.data == payload
    assert claim.items[0].payload == payload
    burial = transition.Burial("a", claim.items[0], payload, 1, "{}", 1, 100)
    await backend.commit([transition.Transition(instance="queue:orders:1", at=0, bury=(burial,))])
    await backend.commit([transition.Transition(instance="queue:orders:1", at=1, redrive=("a",))])
    (item,) = await backend.items("queue:orders:1", 0, 0, 10)
    assert item.payload == payload


async def test_large_batch_leaves_in_parts_and_in_order(backend: RedisBackend):
    live = transition.Create(status="live")
    append = [
        tuple(transition.NewItem(None, b"%d" % number) for number in range(first, first + 900))
        for first in range(0, 18_000, 900)
    ]
    batch = [transition.Transition(instance="queue:orders:1", at=0, create=live, append=items) for items in append]
    request = transition.ClaimRequest(owner="me", at=0, lease_ms=10, limit=1, take=18_000)

    outcomes, (claim,) = await backend.commit(batch, request)

    assert [outcome.count for outcome in outcomes] == list(range(900, 18_900, 900))
    assert [item.payload for item in claim.items] == [b"%d" % number for number in range(18_000)]


@pytest.mark.parametrize("on", ["server", "cluster"])
async def test_batch_of_more_bytes_than_a_command_takes_leaves_in_parts(
    on: str,
    make_server: Callable[..., Server],
    opened: AsyncExitStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """As they come, servers take 512 MiB at once, and break the connection of whoever sends more."""
    monkeypatch.setattr(spreading, "MOST_BYTES", 1 << 20)
    limit = {"proto_max_bulk_len": "1536kb"}
    if on == "server":
        url = make_server(**limit).url
    else:
        cluster = TestCluster(tmp_path, [limit] * 3)
        opened.callback(cluster.stop)
        await asyncio.to_thread(cluster.start)
        url = cluster.url
    backend = await open_backend(RedisBackend(url), opened)
    payload = bytes(256 << 10)
    live = transition.Create(status="live")
    batch = [
        transition.Transition(
            instance=f"queue:orders:{n % 3}", at=0, create=live, append=(transition.NewItem(f"e{n}", payload),)
        )
        for n in range(30)
    ]

    outcomes, _ = await backend.commit(batch)

    assert [outcome.count for outcome in outcomes] == [n // 3 + 1 for n in range(30)]
    items = await backend.items("queue:orders:0", 0, 0, 2)
    assert [item.id for item in items] == ["e0", "e3"]


async def test_commit_in_parts_is_not_overtaken(backend: RedisBackend):
    live = transition.Create(status="live")

    def append(numbers: range) -> transition.Transition:
        items = tuple(transition.NewItem(None, b"%d" % number) for number in numbers)
        return transition.Transition(instance="queue:orders:1", at=0, create=live, append=items)

    many = [append(range(first, first + 900)) for first in range(0, 18_000, 900)]
    await asyncio.gather(backend.commit(many), backend.commit([append(range(18_000, 18_001))]))

    assert [int(item.payload) for item in await backend.items("queue:orders:1", 0, 0, 20_000)] == list(range(18_001))


async def test_change_that_no_server_takes_is_refused_before_anything_is_sent(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(spreading, "LARGEST_BYTES", 1000)
    live = transition.Create(status="live")
    batch = [
        transition.Transition(
            instance="queue:orders:1", at=0, create=live, append=(transition.NewItem("a", b"x" * size),)
        )
        for size in (10, 1001)
    ]

    with pytest.raises(StorageError, match="is 1001 bytes long and the limit is 1000; send fewer") as caught:
        await backend.commit(batch)

    assert caught.value.outcome == "not_applied"
    assert (await backend.load("queue:orders:1")).record is None


async def test_more_items_than_a_command_takes(backend: RedisBackend):
    count = 20_000
    append = tuple(transition.NewItem(f"event-{number}", b"x", lane=f"lane-{number % 7}") for number in range(count))
    live = transition.Create(status="live")
    await backend.commit([transition.Transition(instance="queue:orders:1", at=0, create=live, append=append)])
    request = transition.ClaimRequest(owner="me", at=0, lease_ms=10, limit=1, take=count)
    _, (claim,) = await backend.commit([], request)

    assert [item.id for item in claim.items] == [new.id for new in append]
    removals = tuple(transition.Removal(item, "done", 100) for item in claim.items)
    done = transition.Transition(instance="queue:orders:1", at=1, remove=removals, release="yes")
    ((outcome,), _) = await backend.commit([done])

    assert (outcome.count, (await backend.tally("queue:orders:1", 1)).ready) == (0, 0)
    assert await backend.sweep(100, 100_000) == count
