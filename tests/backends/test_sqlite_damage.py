"""A damaged row stops its own instance: everything else goes on, and what is damaged waits for its repair."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from durable_primitives import Queue, QueueExecuteContext, create_durable_primitives
from durable_primitives.backends.sqlite import SQLiteBackend
from durable_primitives.errors import StorageCorruptedError
from durable_primitives.kernel.record import DAMAGED_RECHECK_MS
from durable_primitives.kernel.transition import (
    Claim,
    ClaimRequest,
    Create,
    Due,
    LeaseRef,
    NewItem,
    Transition,
)

from .sqlite_store import append, change, look, opened

pytestmark = pytest.mark.usefixtures("sqlite_writer")

BAD, GOOD = "queue:orders:0", "queue:orders:1"
BAD_TEXT = "CAST(x'ff00fe' AS TEXT)"
AT = 1_000
LATER = AT + DAMAGED_RECHECK_MS

RECORDS = {
    "dues": ("dues = '[['", """dues = '{"run":1}'"""),
    "taken": ("taken = '0'", "taken = '[]'"),
    "cancels": ("cancels = '{}'", "cancels = '[]'"),
    "status": (f"status = {BAD_TEXT}", "status = 'open'"),
}
ITEMS = {
    "lane": (f"lane = {BAD_TEXT}", "lane = NULL"),
    "error": (f"error = {BAD_TEXT}", "error = NULL"),
}
ROWS = {
    **{name: tuple(f"UPDATE durable_instance SET {one} WHERE instance = '{BAD}'" for one in pair)
       for name, pair in RECORDS.items()},
    **{name: tuple(
        f"UPDATE durable_item SET {one} WHERE ik = (SELECT ik FROM durable_instance WHERE instance = '{BAD}')"
        for one in pair) for name, pair in ITEMS.items()},
}  # fmt: skip
DAMAGES = list(ROWS.values())


def due(instance: str, at: int = 1) -> Transition:
    """An event, and a time at which it is to be run."""
    return Transition(
        instance=instance,
        at=0,
        create=Create(status="open"),
        append=(NewItem("a", b"payload"),),
        dues=(Due("run", "set", at),),
    )


async def claim(backend: SQLiteBackend, at: int = AT, limit: int = 9) -> list[Claim]:
    request = ClaimRequest(owner="me", at=at, lease_ms=30_000, limit=limit, take=1)
    _, claims = await backend.commit([], request)
    return list(claims)


async def claimed(backend: SQLiteBackend, at: int = AT, limit: int = 9) -> list[str]:
    return [one.record.instance for one in await claim(backend, at, limit)]


def told(caplog: pytest.LogCaptureFixture) -> list[StorageCorruptedError]:
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    return [error for error in errors if isinstance(error, StorageCorruptedError)]


@pytest.mark.parametrize("rows", DAMAGES, ids=list(ROWS))
async def test_a_claim_goes_round_what_is_damaged_and_comes_back_after_the_repair(
    tmp_path: Path, rows: tuple[str, str], caplog: pytest.LogCaptureFixture
):
    damage, repair = rows
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await backend.commit([due(BAD), due(GOOD, at=2)])
        change(path, damage)

        assert await claimed(backend) == [GOOD]
        (error,) = told(caplog)
        assert error.instance_id == BAD
        assert BAD in str(error)

        # Not before its time, and told no more until then.
        assert await claimed(backend, AT + 1) == []
        assert await backend.next_due() == AT + 30_000
        assert len(told(caplog)) == 1
        assert look(path, f"SELECT alarm FROM durable_instance WHERE instance = '{BAD}'") == [(LATER,)]

        change(path, repair)
        (again,) = [one for one in await claim(backend, LATER) if one.record.instance == BAD]
        assert [item.id for item in again.items] == ["a"]
        assert len(told(caplog)) == 1


@pytest.mark.parametrize("rows", DAMAGES, ids=list(ROWS))
async def test_what_stays_damaged_is_told_again_at_the_next_look(
    tmp_path: Path, rows: tuple[str, str], caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await backend.commit([due(BAD)])
        change(path, rows[0])
        for at in (AT, AT + 1, LATER - 1, LATER, LATER + 1):
            assert await claimed(backend, at) == []
        assert len(told(caplog)) == 2
        assert await backend.next_due() == LATER + DAMAGED_RECHECK_MS


async def test_many_damaged_instances_do_not_fill_the_places_of_a_claim(tmp_path: Path):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await backend.commit([*(due(f"queue:bad:{n}") for n in range(5)), due(GOOD, at=2)])
        change(path, "UPDATE durable_instance SET taken = '0' WHERE instance LIKE 'queue:bad:%'")
        # Each look finds some of them, and puts those off.
        found = [name for _ in range(6) for name in await claimed(backend, limit=1)]
        assert found == [GOOD]


@pytest.mark.parametrize("rows", DAMAGES, ids=list(ROWS))
async def test_a_damaged_instance_whose_lease_ran_out_is_put_off_too(tmp_path: Path, rows: tuple[str, str]):
    """Of an owned instance the end of the lease is the alarm."""
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await backend.commit([append("b", instance=BAD), due(BAD), due(GOOD, at=50_000)])
        await claim(backend)
        change(path, rows[0])
        if "dues" in rows[0] or "UPDATE durable_item" in rows[0]:
            change(path, f"UPDATE durable_instance SET taken = '[]' WHERE instance = '{BAD}'")
        assert await claimed(backend, 60_000) == [GOOD]
        assert await claimed(backend, 60_001) == []

        change(path, rows[1])
        assert BAD in await claimed(backend, 60_000 + DAMAGED_RECHECK_MS)


@pytest.mark.parametrize("rows", DAMAGES, ids=list(ROWS))
async def test_a_claim_that_travels_with_appends_to_a_damaged_instance_brings_the_others(
    tmp_path: Path, rows: tuple[str, str], caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await backend.commit([due(BAD), due(GOOD, at=2)])
        change(path, rows[0])
        request = ClaimRequest(owner="me", at=AT, lease_ms=30_000, limit=9, take=1)
        batch = [append("more", instance=BAD), append("other", instance=GOOD)]
        if "durable_instance SET" in rows[0]:
            # Its record cannot be read: nothing is done, and the error says whose fault it is.
            with pytest.raises(StorageCorruptedError) as caught:
                await backend.commit(batch, request)
            assert (caught.value.instance_id, caught.value.outcome) == (BAD, "not_applied")
            return
        outcomes, claims = await backend.commit(batch, request)
        assert [outcome.verdict for outcome in outcomes] == ["applied", "applied"]
        assert [one.record.instance for one in claims] == [GOOD]
        assert [error.instance_id for error in told(caplog)] == [BAD]
        # More of them do not make it a flood.
        await backend.commit([append("third", instance=BAD)], request)
        assert len(told(caplog)) == 1


@pytest.mark.parametrize("rows", [ROWS[name] for name in RECORDS], ids=list(RECORDS))
async def test_leases_of_others_are_renewed_beside_a_damaged_one(tmp_path: Path, rows: tuple[str, str]):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await backend.commit([due(BAD), due(GOOD)])
        refs = [LeaseRef(one.record.instance, one.record.token) for one in await claim(backend)]
        change(path, rows[0])
        answers = await asyncio.to_thread(backend.renew, refs, AT + 60_000)
        assert {answer.instance: answer.held for answer in answers} == {BAD: False, GOOD: True}


@pytest.mark.parametrize("rows", DAMAGES, ids=list(ROWS))
async def test_a_look_at_what_is_damaged_says_whose_it_is(tmp_path: Path, rows: tuple[str, str]):
    path = tmp_path / "app.db"
    async with opened(path) as backend:
        await backend.commit([due(BAD), due(GOOD)])
        change(path, rows[0])
        with pytest.raises(StorageCorruptedError) as caught:
            await backend.items(BAD, 0, 0, 10)
        assert caught.value.instance_id == BAD
        assert (await backend.load(GOOD)).record is not None


@pytest.mark.parametrize("rows", DAMAGES, ids=list(ROWS))
async def test_an_application_goes_on_beside_a_damaged_instance_and_runs_it_after_its_repair(
    tmp_path: Path, rows: tuple[str, str], caplog: pytest.LogCaptureFixture
):
    ran: asyncio.Queue[str] = asyncio.Queue()

    @Queue.make("orders", event_schema=str, concurrency=2, partition_key=lambda event: event[0])
    async def orders(ctx: QueueExecuteContext[str]) -> None:
        ran.put_nowait(ctx.event)

    path = tmp_path / "app.db"
    app, url = create_durable_primitives(orders), f"sqlite:///{path}"
    async with app.open(url, worker=False) as running:
        client = running.client.queue(orders)
        index = {key: (await client.enqueue(f"{key}1")).instance_index for key in "abcdefgh"}
        bad = [key for key in index if index[key] == 0]
        good = [key for key in index if index[key] == 1]
    change(path, rows[0])

    async with app.open(url) as running:
        client = running.client.queue(orders)
        assert {await ran.get() for _ in good} == {f"{key}1" for key in good}
        if "durable_instance SET" in rows[0]:
            with pytest.raises(StorageCorruptedError) as caught:
                await client.instance_status(0)
            assert caught.value.instance_id == BAD
        # What is sent at once to both is accepted where it can be.
        sent = await asyncio.gather(
            *(client.enqueue(f"{key}2") for key in (good[0], bad[0], good[1])), return_exceptions=True
        )
        assert not isinstance(sent[0], BaseException)
        assert not isinstance(sent[2], BaseException)
        assert {await ran.get() for _ in range(2)} == {f"{good[0]}2", f"{good[1]}2"}
        assert [error.instance_id for error in told(caplog)] == [BAD]

        change(path, rows[1])
        # Whatever is sent to it brings its time nearer; without that it is up to five minutes away.
        await client.enqueue(f"{bad[0]}3")
        left = {f"{key}1" for key in bad} | {f"{bad[0]}3"}
        if not isinstance(sent[1], BaseException):
            left.add(f"{bad[0]}2")
        assert {await ran.get() for _ in left} == left
