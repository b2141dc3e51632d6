"""The memory backend is its own store: it lasts as long as the object, and everything in it happens at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from durable_primitives.backends.memory import MemoryBackend
from durable_primitives.errors import BackendUnavailableError
from durable_primitives.kernel.transition import (
    ClaimRequest,
    Create,
    Due,
    LeaseRef,
    NewItem,
    Outcome,
    Renewal,
    Transition,
)
from durable_primitives.spi import open_backend

QUEUE = "queue:orders:0"
HANG_GUARD_SECONDS = 60.0


def append(id: str, instance: str = QUEUE, due: int = 0) -> Transition:
    return Transition(instance=instance, at=0, create=Create(status="open"), append=(NewItem(id, b"", due=due),))


@pytest.fixture
async def backend() -> MemoryBackend:
    backend = MemoryBackend()
    await backend.open("tests")
    return backend


async def ids(backend: MemoryBackend) -> list[str | None]:
    return [item.id for item in await backend.items(QUEUE, 0, 0, 100)]


def test_backend_is_found_by_its_scheme_and_every_url_is_a_store_of_its_own():
    first, second = open_backend("memory://"), open_backend("memory://")

    assert isinstance(first, MemoryBackend)
    assert first is not second
    assert (first.url, first.capabilities.durable, first.capabilities.multi_process) == ("memory://", False, False)


async def test_commit_needs_no_wait(backend: MemoryBackend):
    assert backend.capabilities.immediate
    outcomes: Sequence[Outcome] = backend.commit_now([append("a")])[0]

    assert outcomes[0].accepted[0].seq == 1
    assert (await backend.commit([append("b")]))[0][0].accepted[0].seq == 2
    assert await ids(backend) == ["a", "b"]


async def test_closed_store_opens_with_what_it_held(backend: MemoryBackend):
    await backend.commit([append("a")])
    await backend.close()
    await backend.close()
    with pytest.raises(BackendUnavailableError, match="not open; await open"):
        await backend.commit([append("b")])
    await backend.open("tests")

    assert await ids(backend) == ["a"]


async def test_namespaces_do_not_see_each_other(backend: MemoryBackend):
    await backend.commit([append("a")])
    await backend.open("other")
    assert (await ids(backend), await backend.next_due()) == ([], None)
    await backend.commit([append("b")])
    await backend.open("tests")

    assert await ids(backend) == ["a"]


async def test_sleeper_is_woken_by_what_is_due_earlier_and_by_nothing_else(backend: MemoryBackend):
    await backend.commit([append("a", due=500)])
    await backend.wait(0)
    waiting = asyncio.ensure_future(backend.wait(3600.0))
    await asyncio.sleep(0)
    await backend.commit([append("b", "queue:orders:1", due=900)])
    await asyncio.sleep(0)
    assert not waiting.done()

    await backend.commit([append("c", "queue:orders:2", due=100)])
    await asyncio.wait_for(waiting, HANG_GUARD_SECONDS)


async def test_renewal_makes_room_for_earlier_work(backend: MemoryBackend):
    """The end of a lease is what a sleeper waits for; once it is further away, less is needed to wake it."""
    await backend.commit([append("a")])
    request = ClaimRequest(owner="me", at=0, lease_ms=100, limit=1, take=1)
    _, (claim,) = await backend.commit([], request)
    backend.renew([LeaseRef(QUEUE, claim.record.token)], 900)
    await backend.wait(0)
    await backend.commit([append("b", "queue:orders:1", due=500)])

    await asyncio.wait_for(backend.wait(3600.0), HANG_GUARD_SECONDS)
    assert await backend.next_due() == 500


async def test_leases_may_be_renewed_from_another_thread(backend: MemoryBackend):
    await backend.commit([Transition(instance=QUEUE, at=0, create=Create(status="open"), dues=(Due("run", "set", 0),))])
    _, (claim,) = await backend.commit([], ClaimRequest(owner="me", at=0, lease_ms=100, limit=1, take=0))
    answers: list[Renewal] = []
    thread = threading.Thread(
        target=lambda: answers.extend(backend.renew([LeaseRef(QUEUE, claim.record.token)], 900)),
    )
    thread.start()
    thread.join()

    assert [answer.held for answer in answers] == [True]
    assert await backend.next_due() == 900
