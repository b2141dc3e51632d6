"""Hears of alarms that others brought nearer: a subscription on a connection of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress

from durable_primitives.spi import TimedBell
from durable_primitives_redis.address import Address, Connection

PAUSE_SECONDS = 0.5
"""Between attempts to subscribe again."""

PING_SECONDS = 15.0
SILENCE_SECONDS = 40.0
"""A connection on which not even an answer to a ping comes is broken."""


class Listener:
    """Tells `bell` what it hears of others, and rings whenever it may have missed something.

    `addresses` says where that can be heard now: it is asked again and again.
    """

    def __init__(self, addresses: Callable[[], Sequence[Address]], channel: str, client: str, bell: TimedBell) -> None:
        self._addresses, self._channel = addresses, channel
        self._own = client.encode()
        self._bell = bell
        self._task: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()

    async def start(self, seconds: float) -> None:
        """Subscribe; returns when messages are heard, or after so many seconds: it goes on trying."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="durable-primitives Redis listener")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._subscribed.wait()

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None

    async def _run(self) -> None:
        for turn in itertools.count():
            addresses = self._addresses()
            # Any of them will do, and one that does not answer must not be the only one that is asked.
            address = addresses[turn % len(addresses)]
            with suppress(*address.lost, address.server_error):
                connection = await address.connected()
                try:
                    await self._listen(connection, address)
                finally:
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self, connection: Connection, address: Address) -> None:
        """Until the connection breaks, or its node is none of the cluster's any more."""
        await connection.send_packed_command(connection.pack_command("SUBSCRIBE", self._channel), False)
        pinging = asyncio.get_running_loop().create_task(_ping(connection))
        try:
            while address in self._addresses():
                async with asyncio.timeout(SILENCE_SECONDS):
                    kind, content = await _message(connection)
                if kind == b"subscribe":
                    # Whatever was said before this, nobody heard.
                    self._subscribed.set()
                    self._bell.ring()
                elif kind == b"message":
                    client, _, due = content.rpartition(b" ")
                    if client != self._own:
                        self._bell.tell(int(due))
        finally:
            pinging.cancel()


async def _message(connection: Connection) -> tuple[bytes, bytes]:
    """Its kind and its content."""
    # SUBSCRIBE and messages are (kind, channel, content); the answer to a PING is of two parts.
    kind, _, *content = await connection.read_response()
    return kind, content[0] if content and isinstance(content[0], bytes) else b""


async def _ping(connection: Connection) -> None:
    while True:
        await asyncio.sleep(PING_SECONDS)
        await connection.send_packed_command(connection.pack_command("PING"), False)
