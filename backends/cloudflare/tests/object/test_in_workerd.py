"""The engine in real Durable Objects: workerd, and Python booted in it."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from durable_primitives.testing import conformance

from .standin_worker import PythonWorker

pytestmark = pytest.mark.timeout(300)

WAIT_SECONDS = 120.0


def until(look: Callable[[], object], wanted: object) -> None:
    """Ask until the answer is the wanted one."""
    end = time.monotonic() + WAIT_SECONDS
    while (found := look()) != wanted:
        assert time.monotonic() < end, f"{found} and not {wanted}"
        threading.Event().wait(0.05)


def test_queue_runs_over_its_objects(worker: PythonWorker):
    events = [f"over {n}" for n in range(12)]
    results = worker("enqueue", name="mails", events=events, ids=events)
    again = worker("enqueue", name="mails", events=events, ids=events)

    assert {index for index, _ in results} == {0, 1, 2, 3}
    assert [duplicate for _, duplicate in results + again] == [False] * 12 + [True] * 12
    until(lambda: worker("buffer_status", name="seen", id="all")["count"], 12)


def test_plain_function_runs_on_the_loop(worker: PythonWorker):
    before = worker("queue_status", name="plain")["processed"]
    worker("enqueue", name="plain", events=["a"])
    until(lambda: worker("queue_status", name="plain")["processed"], before + 1)


def test_thousand_runs_that_are_due_at_once_lose_none(worker: PythonWorker):
    worker("bill", object_name="continuous:chain:thousand")
    worker("start", name="chain", id="thousand", state=1000)
    until(lambda: worker("continuous_status", name="chain", id="thousand")["runs"], 1001)

    _, _, alarms = worker("bill", object_name="continuous:chain:thousand")
    assert alarms >= 1001, "each run was an alarm of its own"


def test_handler_that_raises_is_tried_again_and_its_event_buried(worker: PythonWorker):
    worker("enqueue", name="failing", events=["twice"] * 5 + ["always"] * 5)
    until(lambda: worker("queue_status", name="failing"), {"processed": 5, "pending": 0, "dead": 5})


def test_eighty_at_once_on_one_object(worker: PythonWorker):
    with ThreadPoolExecutor(16) as pool:
        replies = pool.map(
            lambda n: worker("enqueue", name="slow", events=[f"{n}"] * 5, ids=[f"{n}.{i}" for i in range(5)]), range(16)
        )
    assert [duplicate for reply in replies for _, duplicate in reply] == [False] * 80
    until(lambda: worker("queue_status", name="slow"), {"processed": 80, "pending": 0, "dead": 0})


def test_bill_of_a_queued_event(worker: PythonWorker, capsys: pytest.CaptureFixture[str]):
    name = "queue:billed:0"
    worker("enqueue", name="billed", events=["the first makes the tables"])
    until(lambda: worker("queue_status", name="billed")["processed"], 1)
    rows, requests = bill_of(worker, name, "billed", 1, 2)
    many_rows, _ = bill_of(worker, name, "billed", 100, 102)

    with capsys.disabled():
        print(f"\none queued event: {rows} rows, {requests} requests; each of 100 at once: {many_rows / 100} rows")
    assert rows <= 8
    assert requests <= 2
    assert many_rows / 100 <= 4


def bill_of(worker: PythonWorker, object_name: str, queue: str, count: int, processed: int) -> tuple[int, int]:
    """Rows, the alarms included, and requests, without those of this test."""
    worker("bill", object_name=object_name)
    worker("enqueue", name=queue, events=["x"] * count)
    until(lambda: worker("queue_status", name=queue)["processed"], processed)
    rows, alarms_set, alarms_fired = worker("bill", object_name=object_name)
    return rows + alarms_set, count + alarms_fired


def test_bill_of_a_buffered_event(worker: PythonWorker, capsys: pytest.CaptureFixture[str]):
    name = "buffer:notes:billed"
    worker("add", name="notes", id="billed", events=["the first makes the tables"])
    until(lambda: worker("buffer_status", name="notes", id="billed")["count"], 0)
    worker("bill", object_name=name)
    worker("add", name="notes", id="billed", events=["x"] * 20)
    until(lambda: worker("buffer_status", name="notes", id="billed")["count"], 0)
    until(lambda: worker("buffer_status", name="notes", id="billed")["status"], "idle")
    rows, alarms_set, alarms_fired = worker("bill", object_name=name)

    with capsys.disabled():
        print(f"\n20 buffered events: {rows + alarms_set} rows, {20 + alarms_fired} requests")
    assert (rows + alarms_set) / 20 <= 5
    assert alarms_fired <= 2


KILLS = 5


@pytest.mark.timeout(600)
def test_kill_at_random_under_load_loses_nothing(worker: PythonWorker):
    """What was acknowledged runs, and once for whoever listens; what was not may be sent again with its id."""
    acknowledged: set[str] = set()
    chance, over = random.Random(5), threading.Event()

    def produce(name: str) -> None:
        number, end = 0, time.monotonic() + KILLS * WAIT_SECONDS
        while not over.is_set():
            id = f"kill {name}.{number}"
            while id not in acknowledged:
                assert time.monotonic() < end
                try:
                    worker("enqueue", name="mails", events=[id], ids=[id])
                except (AssertionError, OSError, http.client.HTTPException):
                    over.wait(0.05)
                else:
                    acknowledged.add(id)
            number += 1

    before = worker("buffer_status", name="seen", id="all")["count"]
    with ThreadPoolExecutor(6) as pool:
        producing = [pool.submit(produce, name) for name in "abcdef"]
        try:
            for _ in range(KILLS):
                goal = len(acknowledged) + 15
                until(lambda goal=goal: len(acknowledged) >= goal, True)
                threading.Event().wait(chance.random() * 0.3)
                worker.workerd.restart()
        finally:
            over.set()
        for one in producing:
            one.result()
    assert len(acknowledged) >= 15 * KILLS
    until(lambda: worker("buffer_status", name="seen", id="all")["count"], before + len(acknowledged))


def test_killed_while_it_runs(worker: PythonWorker):
    before = worker("queue_status", name="slow")["processed"]
    worker("enqueue", name="slow", events=["a", "b", "c", "d"])
    worker.workerd.restart()
    until(lambda: worker("queue_status", name="slow")["processed"], before + 4)


def test_transaction_that_raises_leaves_neither_rows_nor_an_alarm(worker: PythonWorker):
    assert worker("half_way", method="fail_half_way") == {"raised": "'half-way'", "rows": 0, "alarm_moved": False}


def test_commit_that_is_refused_half_way_has_written_nothing(worker: PythonWorker):
    assert worker("half_way", method="refuse_half_way") == {"refused": True, "left": [], "accepted": [False]}


@pytest.mark.parametrize("part", conformance.PROPERTIES)
def test_storage_of_the_object_keeps_its_promises(worker: PythonWorker, part: str):
    assert worker("conform", part=part) == []
