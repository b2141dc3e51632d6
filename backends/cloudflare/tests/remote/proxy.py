"""A way to the host on which answers get lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable


class Proxy:
    """Passes bytes on, until it is told to lose what comes back.

    Args:
        port: Of the host.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        self.lose = 0
        """So many answers are dropped, and their connections with them."""
        self.before_loss: Callable[[], Awaitable[None]] | None = None
        """Awaited when an answer was dropped, before the sender learns of it."""
        self.lost = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            theirs, ours = await asyncio.open_connection("127.0.0.1", self._to)
            forth = asyncio.ensure_future(_pass_on(reader, ours))
            try:
                while data := await theirs.read(1 << 16):
                    if self.lose:
                        self.lose -= 1
                        self.lost += 1
                        if self.before_loss is not None:
                            await self.before_loss()
                        break
                    writer.write(data)
                    await writer.drain()
            finally:
                forth.cancel()
                ours.close()
                writer.close()
        self._tasks.discard(task)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
