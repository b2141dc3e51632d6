"""The scripts read the kernel's structs by position, and write them so: who moves a field must change the scripts."""

from __future__ import annotations

import msgspec
import pytest

from durable_primitives.kernel import record, transition
from durable_primitives_redis import RedisBackend

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
