"""The platform's limits, refused by us with an error of ours: the local runtime would take more."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from msgspec import structs

from durable_primitives import Queue, QueueExecuteContext, create_durable_primitives
from durable_primitives.errors import PayloadTooLargeError, StorageError
from durable_primitives.kernel.transition import Burial, Create, NewItem, Put, Transition
from durable_primitives_cloudflare.remote import RemoteBackend
from durable_primitives_cloudflare.remote.backend import MAX_PAYLOAD
from durable_primitives_cloudflare.remote.partitions import MAX_TRANSITION

from .conftest import open_backend
from .host import Host

ROW = 2_000_000
ONE = "queue:orders:1"
LIVE = Create(status="live")


def append(*items: NewItem, instance: str = ONE) -> Transition:
    return Transition(instance=instance, at=1, create=LIVE, append=items)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("event", append(NewItem("a", bytes(ROW)))),
        ("event with a long id", append(NewItem("\N{SNOWMAN}" * 40_000, bytes(MAX_PAYLOAD)))),
        ("record", Transition(instance=ONE, at=1, put=Put(status="live", data=bytes(ROW)))),
        (
            "record of an instance with a long id",
            # It stands in the row twice: as its key, and in the record.
            Transition(instance="\N{SNOWMAN}" * 23_000, at=1, put=Put(status="live", data=bytes(MAX_PAYLOAD))),
        ),
        (
            "dead letter with a long error",
            Transition(instance=ONE, at=1, create=LIVE, bury=(Burial("a", None, b"x", 3, "e" * ROW, 1, 10**13),)),
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
async def test_row_beyond_two_megabytes_is_refused(backend: RemoteBackend, what: str, change: Transition):
    with pytest.raises(PayloadTooLargeError, match="the row is") as caught:
        await backend.commit([change])

    assert caught.value.limit == ROW < caught.value.size
    assert await backend.scan("", "", 10) == []


async def test_row_of_two_megabytes_is_stored(backend: RemoteBackend):
    """The limit is where it is said to be: one byte more is refused."""
    beside = len(ONE) + len("a") + 8  # the instance, the id, and a lane that there is none of
    payload = bytes(ROW - beside)
    with pytest.raises(PayloadTooLargeError):
        await backend.commit([append(NewItem("a", payload + b"x"))])
    await backend.commit([append(NewItem("a", payload))])

    (item,) = await backend.items(ONE, 0, 0, 10)
    assert len(item.payload) == len(payload)


async def test_too_large_an_event_is_refused_before_it_is_sent(host: Host, prefix: str, opened: AsyncExitStack):
    mails = Queue.make("mails", event_schema=str, execute=nothing)
    observer = await open_backend(host.backend(prefix, listen=None), opened)
    async with create_durable_primitives(mails, namespace="tests").connect(host.backend(prefix, listen=None)) as client:
        before = (await observer.usage()).requests
        with pytest.raises(PayloadTooLargeError, match="the event is") as caught:
            await client.queue(mails).enqueue("x" * MAX_PAYLOAD)

        assert caught.value.limit == MAX_PAYLOAD
        assert (await observer.usage()).requests - before == 1


async def nothing(ctx: QueueExecuteContext[str]) -> None: ...


async def test_too_large_a_transition_is_refused_before_anything_is_sent(backend: RemoteBackend):
    """All of it, also what would have gone in a request of its own."""
    before = (await backend.usage()).requests
    fits = [append(NewItem(None, bytes(1_500_000)), instance=f"queue:orders:{n}") for n in range(6)]
    too_long = append(*[NewItem(None, bytes(1_500_000)) for _ in range(9)], instance="queue:orders:long")
    with pytest.raises(PayloadTooLargeError, match="encoded change of one instance") as caught:
        await backend.commit([*fits, too_long])

    assert caught.value.limit == MAX_TRANSITION < caught.value.size
    assert (await backend.usage()).requests - before == 1
    await backend.commit([*fits, structs.replace(too_long, append=too_long.append[:8])])
    assert len(await backend.scan("", "", 10)) == 7


async def test_row_that_is_refused_behind_what_was_written_is_unknown(backend: RemoteBackend):
    """Eight megabytes go at a time: the first of them are stored."""
    first = [append(NewItem(None, bytes(1_500_000)), instance=f"queue:orders:{n}") for n in range(6)]
    with pytest.raises(StorageError, match="the row is") as caught:
        await backend.commit([*first, append(NewItem("a", bytes(ROW)))])

    assert caught.value.outcome == "unknown"


async def test_many_long_events_at_once_are_not_one_long_request(host: Host, prefix: str):
    """Callers share requests; each of these alone is within the limits, all of them together are not."""
    mails = Queue.make("mails", event_schema=str, execute=nothing)
    async with create_durable_primitives(mails).connect(host.backend(prefix, listen=None)) as client:
        queue = client.queue(mails)
        receipts = await asyncio.gather(*(queue.enqueue(f"{n}".ljust(400_000)) for n in range(40)))

        assert not any(receipt.duplicate for receipt in receipts)
        assert (await queue.status()).pending == 40


async def test_too_long_a_list_of_events_fails_nobody_else(host: Host, prefix: str):
    mails = Queue.make("mails", event_schema=str, execute=nothing)
    async with create_durable_primitives(mails).connect(host.backend(prefix, listen=None)) as client:
        queue = client.queue(mails)
        refused, accepted = await asyncio.gather(
            queue.enqueue_many(["x" * 1_500_000] * 9), queue.enqueue("small"), return_exceptions=True
        )

        assert isinstance(refused, PayloadTooLargeError)
        assert not isinstance(accepted, BaseException)
        assert (await queue.status()).pending == 1
