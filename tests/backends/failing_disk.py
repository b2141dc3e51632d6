"""A process whose writes fail beyond a size: prints what a commit is told, what is there then, and that it goes on."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from durable_primitives.backends.sqlite import SQLiteBackend
from durable_primitives.errors import StorageError
from durable_primitives.kernel.transition import Create, NewItem, Transition

QUEUE = "queue:orders:0"
LIMIT_BYTES = 1_000_000


def append(id: str, payload: bytes) -> Transition:
    return Transition(instance=QUEUE, at=0, create=Create(status="open"), append=(NewItem(id, payload),))


async def main(path: Path) -> None:
    backend = SQLiteBackend(path)
    await backend.open("tests")
    await backend.commit([append("a", b"")])
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
    try:
        await backend.commit([append("big", b"x" * 2 * LIMIT_BYTES)])
    except StorageError as error:
        print(type(error).__name__, error.outcome)
    print([item.id for item in await backend.items(QUEUE, 0, 0, 10)])
    await backend.commit([append("b", b"")])
    print([item.id for item in await backend.items(QUEUE, 0, 0, 10)])
    await backend.close()


asyncio.run(main(Path(sys.argv[1])))
