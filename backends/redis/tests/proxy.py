"""A TCP proxy that loses replies, loses requests, and delivers requests late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Literal, Self
from urllib.parse import urlsplit

Fate = Literal["pass", "lose request", "lose reply", "cut reply", "hold request"]


class Proxy:
    """Stands between a client and the server.

    `fate` is asked about every request (whatever arrives at once is one).  A lost request or reply breaks its
    connection, and so does a reply that is cut after its first half, and a held request, which reaches the server with
    `deliver_held`.
    """

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self.fate: Callable[[], Fate] = lambda: "pass"
        self.lost = 0
        self._held: list[tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        self.break_connections()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _data, _reader, upstream in self._held:
            upstream.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}"

    def at_random(self, seed: int, share: float) -> None:
        """Let requests and replies get lost, each with this probability, the same ones for the same seed."""
        draws = random.Random(seed)

        def fate() -> Fate:
            draw = draws.random()
            fates: list[Fate] = ["lose reply", "lose request", "cut reply"]
            return fates[int(draw / share)] if draw < 3 * share else "pass"

        self.fate = fate

    def next(self, fate: Fate, then: Callable[[], object] = lambda: None) -> None:
        """Let this happen to the next request, and nothing to those after it; `then` is called before they go on."""

        def later() -> Fate:
            self.fate = lambda: "pass"
            then()
            return "pass"

        def once() -> Fate:
            self.fate = later
            return fate

        self.fate = once

    def redirect(self, url: str) -> None:
        """Lead to another server, from now on."""
        self._server = urlsplit(url)
        self.break_connections()

    def refuse(self) -> None:
        """Accept no further connections."""
        self._listener.close()

    def break_connections(self) -> None:
        """Break those that there are."""
        for writer in self._writers:
            writer.close()

    async def deliver_held(self) -> list[bytes]:
        """Let the server have what was held, now that it comes too late; what it answers."""
        answers = []
        for data, reader, upstream in self._held:
            upstream.write(data)
            answers.append(await reader.read(65536))
            upstream.close()
        self._held = []
        return answers

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, upstream = await asyncio.open_connection(self._server.hostname, self._server.port)
        self._writers |= {writer, upstream}
        replies = asyncio.get_running_loop().create_task(pump(server_reader, writer))
        held = False
        try:
            while data := await reader.read(1 << 20):
                fate = self.fate()
                if fate != "pass":
                    self.lost += 1
                if fate == "lose request":
                    return
                if fate == "hold request":
                    replies.cancel()
                    self._held.append((data, server_reader, upstream))
                    held = True
                    return
                if fate in ("lose reply", "cut reply"):
                    replies.cancel()
                upstream.write(data)
                if fate in ("lose reply", "cut reply"):
                    # The server has done it when it answers; nobody hears, or hears all of it.
                    await asyncio.gather(replies, return_exceptions=True)
                    reply = await server_reader.read(1 << 20)
                    if fate == "cut reply":
                        writer.write(reply[: len(reply) // 2])
                    return
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            replies.cancel()
            await asyncio.gather(replies, return_exceptions=True)
            self._writers -= {writer, upstream}
            writer.close()
            if not held:
                upstream.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
    writer.close()
