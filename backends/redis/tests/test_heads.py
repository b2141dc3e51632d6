"""What a claim asks first, the earliest alarm of each partition, is what the alarms say."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis

from durable_primitives.kernel.transition import ClaimRequest, Create, Due, Guard, Transition
from durable_primitives_redis import RedisBackend

from .conftest import open_backend

PARTITIONS = 2
INSTANCES = [f"queue:orders:{number}" for number in range(6)]
LIVE = Create(status="live")


def _alarms(server: Any, prefix: str) -> dict[bytes, float]:
    """The earliest of each partition that has one."""
    stem = f"{prefix}:tests"
    parts = [f"{{{stem}:{number}}}:" for number in range(PARTITIONS)]
    firsts = {part: server.zrange(f"{part}alarm", 0, 0, withscores=True) for part in parts}
    return {part.encode(): first[0][1] for part, first in firsts.items() if first}


@pytest.mark.parametrize("seed", range(5))
async def test_heads_follow_the_alarms(seed: int, url: str, prefix: str, opened: AsyncExitStack):
    backend = await open_backend(RedisBackend(url, prefix=prefix, partitions=PARTITIONS), opened)
    draw = random.Random(seed)
    held: dict[str, int] = {}
    compared = 0

    with redis.Redis.from_url(url) as server:
        for at in range(1, 60):
            changes: list[Transition] = []
            for instance in draw.sample(INSTANCES, draw.randint(1, 3)):
                how = draw.choice(("set", "set", "clear"))
                dues = (Due("next", how, at + draw.randint(0, 5)),)
                token = held.pop(instance, None) if draw.random() < 0.5 else None
                guard = None if token is None else Guard(token=token)
                release = "no" if token is None else "yes"
                changes.append(
                    Transition(instance=instance, at=at, guard=guard, create=LIVE, dues=dues, release=release)
                )
            wish = ClaimRequest(owner="w", at=at, lease_ms=draw.randint(1, 8), limit=draw.randint(1, 2), take=1)
            _, claims = await backend.commit(changes, wish if draw.random() < 0.5 else None)
            held |= {claim.record.instance: claim.record.token for claim in claims}

            rows: Any = server.zrange(f"{prefix}:tests:heads", 0, -1, withscores=True)
            heads = dict(rows)
            assert heads == _alarms(server, prefix)
            compared += len(heads)
    assert compared > 60, "there was something to compare"
