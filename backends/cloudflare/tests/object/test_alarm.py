"""The rules of the one alarm, each with a test that fails without it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from durable_primitives import Continuous, ContinuousContext, Queue, QueueExecuteContext, create_durable_primitives
from durable_primitives.kernel.transition import Create, Due, Put, Transition
from durable_primitives_cloudflare.object.alarm import GRACE_MS
from durable_primitives_cloudflare.object.backend import ObjectBackend

from .cloud import START_MS, Cloud
from .sqlite_storage import SQLiteStorage

QUEUE = "queue:mails:0"


@Queue.make("mails", event_schema=str)
async def mails(ctx: QueueExecuteContext[str]) -> None:
    await HANDLER[ctx.event]()


async def done() -> None: ...


async def never() -> None:
    await asyncio.Event().wait()


HANDLER = {"done": done, "never": never}


async def started() -> Cloud:
    return Cloud(create_durable_primitives(mails))


async def test_alarm_is_armed_strictly_later_than_the_one_that_fires():
    """On the platform an alarm for the time that is firing is lost; here a chain of runs that are due at once."""
    runs = 0

    @Continuous.make("chain", state_schema=int, schedule=Continuous.every("1 day"))
    async def chain(ctx: ContinuousContext[int]) -> None:
        nonlocal runs
        runs += 1
        ctx.schedule(ctx.now())

    cloud = Cloud(create_durable_primitives(chain))
    await cloud.client.continuous(chain).start("one", 0)
    (storage,) = cloud.storages.values()
    for _ in range(50):
        scheduled = storage.alarm
        assert scheduled is not None
        # The platform's clock may be behind the time of the alarm, as seen by the object.
        cloud.now_ms = min(cloud.now_ms, scheduled)
        await cloud.fire(next(iter(cloud.storages)))
        assert storage.alarm is not None
        assert storage.alarm > scheduled


async def test_watchdog_stands_before_user_code_runs():
    cloud = await started()
    await cloud.client.queue(mails).enqueue("never")
    alarm = asyncio.create_task(cloud.fire(QUEUE))
    await asyncio.sleep(0.01)

    watchdog = cloud.storages[QUEUE].alarm
    assert watchdog is not None
    assert watchdog > cloud.now_ms
    alarm.cancel()
    await asyncio.wait([alarm])


async def test_alarm_does_not_raise_and_leaves_one(monkeypatch: pytest.MonkeyPatch):
    cloud = await started()
    await cloud.client.queue(mails).enqueue("done")

    def fail(*_: object) -> None:
        raise RuntimeError("no transaction goes through")

    monkeypatch.setattr(cloud.storages[QUEUE], "transaction", fail)
    await cloud.fire(QUEUE)
    watchdog = cloud.storages[QUEUE].alarm
    assert watchdog is not None
    assert watchdog > cloud.now_ms
    monkeypatch.undo()
    await cloud.advance(60_000)
    assert (await cloud.client.queue(mails).status()).processed == 1


async def test_lost_alarm_is_healed_by_the_next_call():
    cloud = await started()
    await cloud.client.queue(mails).enqueue("done")
    storage = cloud.storages[QUEUE]
    lost, storage.alarm = storage.alarm, None
    cloud.now_ms += GRACE_MS + 2
    assert storage.alarms[-1] == lost

    await cloud.client.queue(mails).status()
    assert storage.alarm == cloud.now_ms + 1


async def test_lost_alarm_is_healed_when_the_object_starts():
    cloud = await started()
    await cloud.client.queue(mails).enqueue("done")
    cloud.storages[QUEUE].alarm = None
    cloud.evict()

    await cloud.host(QUEUE)
    assert cloud.storages[QUEUE].alarm is not None


async def test_what_a_dead_object_ran_is_due_at_once():
    cloud = await started()
    await cloud.client.queue(mails).enqueue("never")
    alarm = asyncio.create_task(cloud.fire(QUEUE))
    await asyncio.sleep(0.01)
    alarm.cancel()
    await asyncio.wait([alarm])
    cloud.evict()
    HANDLER["never"] = done
    try:
        await cloud.host(QUEUE)
        await cloud.advance(1_000)
    finally:
        HANDLER["never"] = never

    assert (await cloud.client.queue(mails).status()).processed == 1


async def test_alarm_is_the_minimum_of_all_due_times():
    storage = SQLiteStorage()
    backend = ObjectBackend(storage, lambda: START_MS)
    await backend.open("default")
    for number, minutes in ((1, 30), (2, 10), (3, 20)):
        due = Due("run", "set", START_MS + minutes * 60_000)
        create = Create(status="scheduled")
        await backend.commit([Transition(instance=f"continuous:c:{number}", at=START_MS, create=create, dues=(due,))])
    assert storage.alarm == START_MS + 10 * 60_000 + 1

    clear = Transition(instance="continuous:c:2", at=START_MS, dues=(Due("run", "clear"),))
    await backend.commit([clear])
    assert storage.alarm == START_MS + 20 * 60_000 + 1


async def test_change_and_alarm_are_one_transaction(monkeypatch: pytest.MonkeyPatch):
    storage = SQLiteStorage()
    backend = ObjectBackend(storage, lambda: START_MS)
    await backend.open("default")

    def fail(at: int) -> None:
        raise RuntimeError("the alarm could not be set")

    put = Put(status="scheduled", data=b"")
    change = Transition(instance="continuous:c:1", at=START_MS, put=put, dues=(Due("run", "set", START_MS + 1),))
    with monkeypatch.context() as patched:
        patched.setattr(storage, "set_alarm", fail)
        with pytest.raises(RuntimeError):
            await backend.commit([change])
    assert (await backend.load("continuous:c:1")).record is None

    await backend.commit([change])
    assert (await backend.load("continuous:c:1")).record is not None
    assert storage.alarm is not None


async def test_alarm_of_a_transaction_that_failed_is_not_counted_on(monkeypatch: pytest.MonkeyPatch):
    """It was set, and undone with the rows: whoever is due then sets it again."""
    storage = SQLiteStorage()
    backend = ObjectBackend(storage, lambda: START_MS)
    await backend.open("default")
    whole = storage.transaction

    def fail_at_its_end(body: Callable[[], object]) -> None:
        def change() -> None:
            body()
            raise RuntimeError("the disk is full")

        whole(change)

    due = Due("run", "set", START_MS + 60_000)
    change = Transition(instance="continuous:c:1", at=START_MS, put=Put(status="scheduled", data=b""), dues=(due,))
    with monkeypatch.context() as patched:
        patched.setattr(storage, "transaction", fail_at_its_end)
        with pytest.raises(RuntimeError):
            await backend.commit([change])
    assert storage.alarm is None

    await backend.commit([change])
    assert storage.alarm == START_MS + 60_001


async def test_receipts_are_swept_by_one_late_alarm_and_then_nothing_is_left():
    cloud = await started()
    for _ in range(20):
        await cloud.client.queue(mails).enqueue("done")
        await cloud.advance(60_000)
    storage = cloud.storages[QUEUE]
    before = cloud.requests["alarms"]
    await cloud.advance(27 * 60 * 60_000)

    assert cloud.requests["alarms"] - before <= 3
    assert storage.execute("SELECT count(*) FROM durable_event") == [(0,)]
    assert storage.execute("SELECT count(*) FROM durable_instance") == [(0,)]
    assert storage.alarm is None
