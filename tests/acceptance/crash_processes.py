"""The processes of a crash test, each started by one line on standard input and answering in lines.

``python -m tests.acceptance.crash_processes nursery FOLDER`` imports everything once and then forks a worker for each
line ``worker``: it answers ``born PID``, the worker ``busy PID`` with its first run, and the nursery ``dead PID`` when
it has reaped it.  The line ``finish`` forks a last worker that leaves when nothing is left to do.

``… producer FOLDER`` sends a batch for each line and answers ``sent``.  It writes a line to a journal of its own for
every call that was acknowledged, and waits for the disk, before it goes on.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from durable_primitives import PrimitivesClient, Running, StorageError, create_durable_primitives
from tests.acceptance.crash_app import GATHERED, JOBS, KEYS, SHORT_LEASE, Balance, Event, Trace, definitions
from tests.acceptance.stores import url

EVENTS_PER_KEY = 5
ADDS_PER_BUFFER = 5


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


# Workers.


def nursery(folder: Path) -> None:
    """Forks while it has no thread and no loop; never imports twice."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            asyncio.run(finish(folder) if line.strip() == "finish" else work(folder))
            os._exit(0)
        say(f"born {child}")
        os.waitpid(child, 0)
        say(f"dead {child}")


async def work(folder: Path) -> None:
    """Until it is killed."""
    trace = Trace(folder)
    async with create_durable_primitives(*definitions(trace)).open(url(folder), options=SHORT_LEASE):
        await trace.first.wait()
        say(f"busy {os.getpid()}")
        await asyncio.Event().wait()


async def finish(folder: Path) -> None:
    """Work until all is done, then write down how everything stands."""
    trace = Trace(folder)
    primitives = create_durable_primitives(*definitions(trace))
    async with primitives.open(url(folder), options=SHORT_LEASE) as running:
        redriven = await settle_all(running)
        for id in JOBS:
            await running.client.continuous("balance").pause(id)
    async with primitives.connect(url(folder)) as client:
        report = await describe(client)
    (folder / "report.json").write_bytes(msgspec.json.encode({**report, "redriven": redriven}))
    say(f"done {os.getpid()}")


async def settle_all(running: Running) -> list[str]:
    """What was killed too often was given up on, and is run again here; returns which events and batches that were."""
    queue, redriven = running.client.queue("deliveries"), list[str]()
    jobs = running.client.continuous("balance")
    for id in JOBS:
        if (await jobs.status(id)).status == "failed":
            await jobs.resume(id)
    while True:
        await queue.drain()
        letters = (await queue.dead_letters.list(limit=1000)).items
        redriven += [letter.event_id for letter in letters]
        if not await queue.dead_letters.redrive(lambda _: True):
            break
    for name, ids in (("digests", KEYS), ("batches", GATHERED)):
        redriven += await settle_buffer(running.client.buffer(name), ids)
    return redriven


async def settle_buffer(buffer: Any, ids: Sequence[str]) -> list[str]:
    redriven = list[str]()
    while True:
        for id in ids:
            await flush_all(buffer, id)
        letters = (await buffer.dead_letters.list(limit=1000)).items
        redriven += [letter.flush_id for letter in letters]
        if not await buffer.dead_letters.redrive(lambda _: True):
            return redriven


async def flush_all(buffer: Any, id: str) -> None:
    await buffer.flush(id)
    while True:
        status = await buffer.status(id)
        if not status.flushing and not status.event_count:
            return
        await asyncio.sleep(0.005)


async def describe(client: PrimitivesClient) -> dict[str, Any]:
    status = await client.queue("deliveries").status()
    jobs = client.continuous("balance")
    letters = [*(await client.buffer("digests").dead_letters.list()).items]
    letters += (await client.buffer("batches").dead_letters.list()).items
    return {
        "processed": status.processed,
        "live": status.pending + status.delayed + status.running + status.retrying,
        "dead": status.dead + len(letters),
        "jobs": {id: await describe_job(jobs, id) for id in JOBS},
    }


async def describe_job(jobs: Any, id: str) -> dict[str, Any]:
    state: Balance = await jobs.get_state(id)
    return {"runs": (await jobs.status(id)).run_count, "n": state.n, "whole": state.is_whole}


# The producer.


class Producer:
    """Sends, and keeps a journal of what was acknowledged."""

    def __init__(self, folder: Path, client: PrimitivesClient) -> None:
        self._journal = os.open(folder / "journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._client = client
        self._sent = 0

    async def batch(self) -> None:
        first, self._sent = self._sent, self._sent + EVENTS_PER_KEY
        numbers = range(first, self._sent)
        await asyncio.gather(
            *(self._send_key(key, numbers) for key in KEYS), *(self._fill(id, numbers) for id in GATHERED)
        )

    async def _send_key(self, key: str, numbers: range) -> None:
        queue = self._client.queue("deliveries")
        for n in numbers:
            event, id = Event(key, n), f"{key}-{n}"
            delay = "20ms" if event.is_delayed else None
            for _ in range(2 if event.is_sent_twice else 1):
                result = await until_acknowledged(lambda: queue.enqueue(event, id=id, delay=delay))  # noqa: B023
                self._write("enqueue", id=id, key=key, n=n, duplicate=result.duplicate)

    async def _fill(self, id: str, numbers: range) -> None:
        buffer = self._client.buffer("batches")
        for n in numbers:
            event = f"{id}-{n}"
            result = await until_acknowledged(lambda: buffer.add(id, event, event))  # noqa: B023
            self._write("add", buffer=result.instance_id, id=event, duplicate=result.duplicate)

    def _write(self, call: str, **facts: object) -> None:
        os.write(self._journal, msgspec.json.encode({"call": call, **facts}) + b"\n")
        os.fsync(self._journal)


async def until_acknowledged(call: Callable[[], Awaitable[Any]]) -> Any:
    """A store that is busy for too long says so; the same call with the same id is safe."""
    while True:
        try:
            return await call()
        except StorageError as error:
            say(f"refused {error}")


async def produce(folder: Path) -> None:
    async with create_durable_primitives(*definitions(Trace(folder))).connect(url(folder)) as client:
        for id in JOBS:
            await client.continuous("balance").start(id, Balance())
        producer = Producer(folder, client)
        say("ready")
        while await asyncio.to_thread(sys.stdin.readline):
            await producer.batch()
            say("sent")


if __name__ == "__main__":
    role, where = sys.argv[1], Path(sys.argv[2])
    if role == "nursery":
        nursery(where)
    else:
        asyncio.run(produce(where))
