"""Connections that break while an application works, at any moment, in the midst of a reply too."""

from __future__ import annotations

import pytest

from durable_primitives.kernel.transition import Create, NewItem, Transition
from durable_primitives_redis import RedisBackend

from .load import Load
from .proxy import Proxy

ONE = "queue:orders:1"


async def test_reply_that_breaks_off_is_asked_for_again(prefix: str, proxy: Proxy):
    backend = RedisBackend(proxy.url, prefix=prefix)
    await backend.open("tests")
    proxy.next("cut reply")

    (outcome,), _ = await backend.commit(
        [Transition(instance=ONE, at=0, create=Create(status="live"), append=(NewItem(None, b"x"),))]
    )

    assert proxy.lost == 1
    assert (outcome.verdict, outcome.accepted[0].seq) == ("applied", 1)
    assert len(await backend.items(ONE, 0, 0, 10)) == 1
    await backend.close()


@pytest.mark.parametrize("seed", range(3))
async def test_application_whose_connections_break_at_random_loses_nothing(seed: int, prefix: str, proxy: Proxy):
    load = Load()

    async with load.on(RedisBackend(proxy.url, prefix=prefix)):
        await load.more()
        proxy.at_random(seed, share=0.03)
        await load.more(100)
        proxy.fate = lambda: "pass"

    assert proxy.lost > 0
    load.check()
