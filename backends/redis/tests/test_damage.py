"""A damaged record stops its own instance: everything else goes on, and it runs after its repair."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from durable_primitives.errors import StorageCorruptedError
from durable_primitives.kernel.record import DAMAGED_RECHECK_MS
from durable_primitives.kernel.transition import Claim, ClaimRequest, Create, Due, LeaseRef, NewItem, Transition
from durable_primitives_redis import RedisBackend

BAD, GOOD = "queue:orders:0", "queue:orders:1"
AT = 1_000
DAMAGES = [b"", b"\xc1", b"\x01", b"half"]


def due(instance: str, at: int = 1) -> Transition:
    return Transition(
        instance=instance,
        at=0,
        create=Create(status="open"),
        append=(NewItem(None, b"payload"),),
        dues=(Due("run", "set", at),),
    )


def request(at: int) -> ClaimRequest:
    return ClaimRequest(owner="me", at=at, lease_ms=30_000, limit=9, take=1)


async def claim(backend: RedisBackend, at: int = AT) -> list[Claim]:
    _, claims = await backend.commit([], request(at))
    return list(claims)


def names(claims: list[Claim]) -> list[str]:
    return [one.record.instance for one in claims]


def damage(url: str, prefix: str, stored: bytes) -> tuple[bytes, bytes]:
    """Replace the record; its key and what it was."""
    with redis.Redis.from_url(url) as client:
        (key,) = client.scan_iter(f"*{prefix}:*record:{BAD}")
        before: Any = client.get(key)
        client.set(key, before[: len(before) // 2] if stored == b"half" else stored)
        return key, before


def repair(url: str, key: bytes, stored: bytes) -> None:
    with redis.Redis.from_url(url) as client:
        client.set(key, stored)


def told(caplog: pytest.LogCaptureFixture) -> list[str | None]:
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    return [error.instance_id for error in errors if isinstance(error, StorageCorruptedError)]


@pytest.mark.parametrize("stored", DAMAGES)
async def test_claim_goes_round_what_is_damaged_and_comes_back_after_the_repair(
    stored: bytes, backend: RedisBackend, url: str, prefix: str, caplog: pytest.LogCaptureFixture
):
    await backend.commit([due(BAD), due(GOOD, at=2)])
    key, before = damage(url, prefix, stored)

    assert names(await claim(backend)) == [GOOD]
    assert names(await claim(backend, AT + 1)) == []
    assert await backend.next_due() == AT + 30_000
    assert told(caplog) == [BAD]

    with pytest.raises(StorageCorruptedError) as caught:
        await backend.load(BAD)
    assert caught.value.instance_id == BAD

    repair(url, key, before)
    (again,) = [one for one in await claim(backend, AT + DAMAGED_RECHECK_MS) if one.record.instance == BAD]
    assert len(again.items) == 1
    assert told(caplog) == [BAD]


async def test_batch_for_a_damaged_instance_changes_nothing_and_names_it(backend: RedisBackend, url: str, prefix: str):
    await backend.commit([due(BAD), due(GOOD)])
    damage(url, prefix, b"\xc1")

    with pytest.raises(StorageCorruptedError) as caught:
        await backend.commit([due(GOOD), due(BAD)], request(AT))

    assert (caught.value.instance_id, caught.value.outcome) == (BAD, "not_applied")
    assert len(await backend.items(GOOD, 0, 0, 10)) == 1


async def test_leases_of_others_are_renewed_beside_a_damaged_one(backend: RedisBackend, url: str, prefix: str):
    await backend.commit([due(BAD), due(GOOD)])
    leases = [LeaseRef(one.record.instance, one.record.token) for one in await claim(backend)]
    damage(url, prefix, b"\xc1")

    answers = await asyncio.to_thread(backend.renew, leases, AT + 60_000)

    assert {answer.instance: answer.held for answer in answers} == {BAD: False, GOOD: True}
