"""One connection in use: commands leave as they come, replies are handed on as soon as they are read.

The client library makes a connection (TLS, passwords, sentinels).  Its own way to read one wakes a task, which then
wakes the caller: another turn of the event loop, and after a rest each turn is a delay that a caller notices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hiredis import ProtocolError, Reader

from durable_primitives_redis.address import Connection, transport_of
from durable_primitives_redis.pending import Request

_MORE = object()
"""What the parser says when it needs more bytes."""


class Exchange(asyncio.Protocol):
    """Takes over a connection of the client library on which no reply is outstanding.

    Args:
        answer: Called with each reply, in order; a `ReplyError` is a reply too.
    """

    def __init__(self, connection: Connection, answer: Callable[[Any], None]) -> None:
        self._connection, self._answer = connection, answer
        self._reader = Reader(notEnoughData=_MORE)
        self.ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Why it is over, once it is."""
        self._transport = transport_of(connection)
        self._transport.set_protocol(self)

    @property
    def is_over(self) -> bool:
        return self.ended.done()

    def send(self, request: Request) -> None:
        """Send it, once more perhaps.  What cannot be sent has no answer, and the exchange is over soon."""
        request.sendings += 1
        self._transport.write(request.command)

    def end(self, reason: Exception) -> None:
        """Hand on no further replies."""
        if not self.is_over:
            self.ended.set_result(reason)

    async def close(self) -> None:
        """Disconnect at once: a server that reads no more would keep open what still has to be written."""
        self._transport.abort()
        await self._connection.disconnect(nowait=True)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while not self.is_over and (reply := self._reader.gets()) is not _MORE:
                self._answer(reply)
        except ProtocolError as error:
            self.end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(exc or ConnectionError("the server closed the connection"))
