"""Rows are the bill, and have a size."""

from __future__ import annotations

import pytest

from durable_primitives import PayloadTooLargeError
from durable_primitives.kernel.record import Record
from durable_primitives.kernel.transition import Burial, Create, NewItem, Put, Transition
from durable_primitives_cloudflare.object.backend import ObjectBackend
from durable_primitives_cloudflare.object.storage import MAX_VALUE

from .sqlite_storage import SQLiteStorage

NAME = "queue:mails:0"
OPEN = Create(status="open", linger_ms=1_000)


async def opened(storage: SQLiteStorage) -> ObjectBackend:
    backend = ObjectBackend(storage, lambda: 0)
    await backend.open("default")
    return backend


def append(at: int, *ids: str | None, due: int = 0) -> Transition:
    items = tuple(NewItem(id, b"x", due=due) for id in ids)
    return Transition(instance=NAME, at=at, create=OPEN, append=items)


async def record_of(backend: ObjectBackend) -> Record:
    record = (await backend.load(NAME)).record
    assert record is not None
    return record


async def test_tables_cost_one_row_per_row():
    storage = SQLiteStorage()
    await opened(storage)
    schema = storage.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    made = {str(name): str(statement) for name, statement in schema}

    for table in ("durable_instance", "durable_event", "durable_letter"):
        assert made.pop(table).endswith("WITHOUT ROWID")
    assert set(made) == {"durable_schema", "durable_event_live"}


@pytest.mark.parametrize("due", [0, 500])
async def test_appended_event_leaves_the_record_unwritten_and_is_not_forgotten(due: int):
    storage = SQLiteStorage()
    backend = await opened(storage)
    await backend.commit([append(1, "a")])
    (before,) = storage.execute("SELECT record FROM durable_instance")
    await backend.commit([append(2, "b", None, due=due)])
    await backend.commit([append(3, "c")])

    assert storage.execute("SELECT record FROM durable_instance") == [before]
    again = await opened(storage)
    assert await record_of(again) == await record_of(backend)
    assert (await record_of(again)).count == 4


async def test_instance_beyond_a_row_is_refused_whole():
    storage = SQLiteStorage()
    backend = await opened(storage)
    await backend.commit([append(1, "a")])
    large = Put(status="open", data=b"x" * MAX_VALUE)

    with pytest.raises(PayloadTooLargeError):
        await backend.commit([append(2, "b"), Transition(instance=NAME, at=2, put=large)])
    record = await record_of(backend)
    assert (record.count, record.data) == (1, b"")
    assert storage.execute("SELECT count(*) FROM durable_event") == [(1,)]


@pytest.mark.parametrize("over", [0, 1])
async def test_event_may_fill_a_row_and_not_more(over: int):
    """With everything that stands beside its payload."""
    storage = SQLiteStorage()
    backend = await opened(storage)
    id, lane = "\N{SNOWMAN}" * 170, "l" * 512
    numbers = 8 * 8  # those of its row
    payload = bytes(MAX_VALUE - len(id.encode()) - len(lane) - numbers + over)
    change = Transition(instance=NAME, at=1, create=OPEN, append=(NewItem(None, b"x"), NewItem(id, payload, lane)))

    if not over:
        (outcome,), _ = await backend.commit([change])
        assert [one.duplicate for one in outcome.accepted] == [False, False]
        return
    with pytest.raises(PayloadTooLargeError) as caught:
        await backend.commit([change])
    assert (caught.value.size, caught.value.limit) == (MAX_VALUE + 1, MAX_VALUE)
    assert (await backend.load(NAME)).record is None
    assert storage.execute("SELECT count(*) FROM durable_event") == [(0,)]


async def test_dead_letter_with_a_long_error_is_refused_whole():
    storage = SQLiteStorage()
    backend = await opened(storage)
    burial = Burial("one", None, b"x", 3, "e" * MAX_VALUE, 1, 10**9)

    with pytest.raises(PayloadTooLargeError, match="stored dead letter"):
        await backend.commit([append(1, "a"), Transition(instance=NAME, at=2, bury=(burial,))])
    assert (await backend.load(NAME)).record is None


async def test_dead_letter_may_be_longer_than_a_row():
    storage = SQLiteStorage()
    backend = await opened(storage)
    payload = bytes(range(256)) * (3 * MAX_VALUE // 256)
    burial = Burial("batch", None, payload, 3, "{}", 1_000, 10**9)
    await backend.commit([append(1, "a"), Transition(instance=NAME, at=2, bury=(burial,))])

    (letter,) = await backend.letters(NAME, "", 10)
    assert letter.payload == payload
    ((longest,),) = storage.execute("SELECT max(length(payload)) FROM durable_letter")
    assert longest <= MAX_VALUE
    await backend.commit([Transition(instance=NAME, at=3, discard=("batch",))])
    assert storage.execute("SELECT count(*) FROM durable_letter") == [(0,)]
