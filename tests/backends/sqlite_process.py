"""Another process that uses the same file: ``python sqlite_process.py <what> <path> <name>``.

It says on its standard output how far it is, one line at a time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from itertools import count

from durable_primitives.backends.sqlite import SQLiteBackend, backend, connection
from durable_primitives.kernel.transition import Create, NewItem, Transition

BATCHES = 60
BATCH = 5
QUEUES = 3


def append(id: str, queue: int) -> Transition:
    item = NewItem(id, b"payload of " + id.encode() * 20)
    return Transition(instance=f"queue:orders:{queue}", at=0, create=Create(status="open"), append=(item,))


async def sleep(store: SQLiteBackend, name: str) -> None:
    """Say when an alarm has come nearer.  Nobody looks once a second here: only the bell can wake it."""
    backend.RECHECK_SECONDS = 3600.0
    await store.wait(0)
    await store.next_due()
    print("asleep", flush=True)
    await store.wait(3600.0)
    print("awake", flush=True)


async def write(store: SQLiteBackend, name: str) -> None:
    """Append to a few queues, several commits in flight, and the log moved into the database all the time."""
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(BATCHES):
        commits = [store.commit([append(f"{name}-{n}-{k}", k % QUEUES)]) for k in range(BATCH)]
        await asyncio.gather(*commits)


async def acknowledge(store: SQLiteBackend, name: str) -> None:
    """Say each id as soon as its commit has returned, until somebody kills this process."""
    for n in count():
        await store.commit([append(f"{name}-{n}", 0)])
        print(f"{name}-{n}", flush=True)


async def main(what: str, path: str, name: str) -> None:
    works: dict[str, Callable[[SQLiteBackend, str], Awaitable[None]]] = {
        "sleep": sleep,
        "write": write,
        "acknowledge": acknowledge,
    }
    connection._LOG = ("wal_autocheckpoint = 20",)
    store = SQLiteBackend(path)
    await store.open("tests")
    await works[what](store, name)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
