"""One connection, for commands that may be sent again: they leave and are answered in order.

When the connection breaks, a new one is made and whatever has no answer yet is sent again, in the same order, until its
time is over.  So each command must have the same effect however often it arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

from hiredis import ReplyError, pack_command  # pyright: ignore[reportUnknownVariableType]

from durable_primitives.errors import BackendUnavailableError, Outcome, StorageError
from durable_primitives.logs import get_logger
from durable_primitives_redis.address import CONNECT_SECONDS, Address, Connection
from durable_primitives_redis.exchange import Exchange
from durable_primitives_redis.failures import BACKEND, code_of, refusal, unreachable
from durable_primitives_redis.pending import Pending, Request
from durable_primitives_redis.scripts import EVERY_SCRIPT, Script

FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 1.0
"""Between attempts to connect."""

_log = get_logger("durable_primitives.redis")


class Proof(NamedTuple):
    """A server that forgot nothing has this key, with a number at its beginning that is not below this one."""

    key: str
    number: int


class Channel(Protocol):
    """A way to a server, or to all nodes of a cluster."""

    spread: bool
    """Partitions may be on different nodes: a script sees one of them."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    def nodes(self) -> Sequence[Link]: ...
    def addresses(self) -> Sequence[Address]: ...
    def twin(self) -> Channel: ...
    def is_held_up(self, key: str) -> bool: ...
    def run(self, script: Script, key: str, *args: bytes | str) -> Awaitable[Any]: ...


class Link:
    """A connection of one event loop.

    Args:
        address: Where to.
        seconds: How long a command may take, repetitions included.  After half of it without an answer the connection
            counts as broken.
    """

    spread = False

    def __init__(self, address: Address, seconds: float) -> None:
        self._address, self._seconds = address, seconds
        self._exchange: Exchange | None = None
        self._pending = Pending(self._silent, self._unreachable)
        self._wanted = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._trouble: BaseException | None = None
        self._closed = False
        self.proof: Callable[[], Proof | None] = lambda: None
        """Asked whenever a new connection takes the place of one that broke."""
        self.on_forgotten: Callable[[], None] = lambda: None
        """Called when the server has no proof: what it acknowledged last, it has lost."""
        self.on_trouble: Callable[[], None] = lambda: None
        """Called whenever the connection breaks, or cannot be made."""

    async def open(self) -> None:
        """Connect; raises a `StorageError` at the first failure."""
        try:
            self._exchange = Exchange(await self._connected(), self._answer)
        except self._address.refused as error:
            raise refusal(error, self._address.url) from error
        except self._address.lost as error:
            raise unreachable(error, self._address.url, outcome="not_applied") from error
        except self._address.server_error as error:
            raise refusal(error, self._address.url) from error
        self.start()

    def start(self) -> None:
        """Be ready for commands; the first one connects, if nobody did."""
        self._loop = asyncio.get_running_loop()
        self._keeper = self._loop.create_task(self._keep(), name="durable-primitives Redis link")

    @property
    def is_connected(self) -> bool:
        return self._exchange is not None and not self._exchange.is_over

    async def close(self) -> None:
        """Wait for what was handed over, then disconnect."""
        if self._keeper is None or self._closed:
            return
        self._closed = True
        waiting = [request.future for request in self._pending if not request.future.done()]
        if waiting:
            await asyncio.wait(waiting)
        await self._stop()

    async def drop(self) -> None:
        """Disconnect; whatever has no answer yet will have none."""
        self._closed = True
        await self._stop()
        self._pending.give_up(self._unreachable)

    async def _stop(self) -> None:
        if self._keeper is None:
            return
        self._keeper.cancel()
        await asyncio.wait((self._keeper,))
        self._pending.close()
        await self._disconnect()

    def nodes(self) -> Sequence[Link]:
        """The links of which this one is made."""
        return (self,)

    def addresses(self) -> Sequence[Address]:
        """Where messages are heard, at any of them."""
        return (self._address,)

    def is_held_up(self, key: str) -> bool:
        """Whether calls with this key get no answer while others do: none, here."""
        return False

    @property
    def in_trouble(self) -> bool:
        """Whether the connection broke, or could not be made, and is not there again."""
        return self._exchange is None and self._trouble is not None

    def twin(self) -> Link:
        """Another link to the same place, which is not open, for another event loop."""
        return Link(self._address, self._seconds)

    def run(self, script: Script, key: str, *args: bytes | str) -> asyncio.Future[Any]:
        """The reply of a script, or a `StorageError` with what became of it."""
        return self.evaluate(script, (key,), args)

    def evaluate(
        self, script: Script, keys: Sequence[str], args: Sequence[bytes | str], until: float | None = None
    ) -> asyncio.Future[Any]:
        """`run`, with several keys, and until a time of the event loop."""
        return self.call("EVALSHA", script.sha, len(keys), *keys, *args, until=until)

    def call(self, *args: Any, until: float | None = None) -> asyncio.Future[Any]:
        """The reply of a command, or a `StorageError` with what became of it.  It has left when this returns."""
        if self._closed:
            raise StorageError(f"{self._address.url} is closed", backend=BACKEND, outcome="not_applied")
        loop, exchange = self._loop, self._exchange
        deadline = loop.time() + self._seconds if until is None else until
        request = Request(cast("bytes", pack_command(args)), deadline, loop.create_future())
        self._pending.add(request)
        if exchange is not None and not exchange.is_over:
            exchange.send(request)
        else:
            self._wanted.set()
        return request.future

    def _answer(self, reply: Any) -> None:
        if isinstance(reply, ReplyError) and code_of(reply) == "NOSCRIPT" and self._exchange is not None:
            # The server forgot its scripts.  Beside other calls it would learn them in time for the later ones.
            self._pending.first().sendings -= 1
            self._exchange.end(reply)
            return
        request = self._pending.pop()
        if request.future.done():
            return
        if isinstance(reply, ReplyError):
            refused = refusal(reply, self._address.url, request.outcome_before)
            refused.__cause__ = reply
            request.future.set_exception(refused)
        else:
            request.future.set_result(reply)

    def _silent(self) -> None:
        """A request has waited too long."""
        if self._exchange is not None:
            self._exchange.end(TimeoutError("no answer in time"))

    # The life of a connection.

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            if self._exchange is not None:
                await asyncio.wait((self._exchange.ended,))
                self._trouble = self._exchange.ended.result()
                await self._disconnect()
                self.on_trouble()
            self._pending.forget_abandoned()
            if not self._pending:
                self._wanted.clear()
                await self._wanted.wait()
            try:
                connection = await self._connected()
                if not await self._has_proof(connection):
                    self.on_forgotten()
                    _log.error("the server has lost what it acknowledged last: see its log", backend=self._address.url)
                    # Whoever waits decided on what no longer is.
                    self._pending.give_up(self._forgotten)
            except self._address.refused as error:
                self._pending.give_up(partial(refusal, error, self._address.url))
            except (*self._address.lost, self._address.server_error) as error:
                self._trouble = error
                self.on_trouble()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                pause = FIRST_PAUSE_SECONDS
                self._pending.forget_abandoned()
                self._exchange = Exchange(connection, self._answer)
                for request in self._pending:
                    self._exchange.send(request)

    async def _connected(self) -> Connection:
        """A connection to a server that knows the scripts."""
        connection = await self._address.connected()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                # One by one: a server takes no long command from somebody who has not said his password.
                known = await _ask(connection, *(("SCRIPT", "EXISTS", one.sha) for one in EVERY_SCRIPT))
                missing = [one for one, (found,) in zip(EVERY_SCRIPT, known, strict=True) if not found]
                await _ask(connection, *(("SCRIPT", "LOAD", one.source) for one in missing))
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _has_proof(self, connection: Connection) -> bool:
        proof = self.proof()
        if proof is None:
            return True
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                # Its first 14 characters: see `replay.lua`.
                (found,) = await _ask(connection, ("GETRANGE", proof.key, 0, 13))
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return int(found or 0) >= proof.number

    async def _disconnect(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            with suppress(*self._address.lost):
                await exchange.close()

    def _unreachable(self, outcome: Outcome) -> StorageError:
        return unreachable(self._trouble, self._address.url, outcome=outcome)

    def _forgotten(self, outcome: Outcome) -> StorageError:
        message = f"{self._address.url} has lost what it acknowledged last"
        return BackendUnavailableError(message, backend=BACKEND, outcome=outcome)


async def _ask(connection: Connection, *commands: tuple[Any, ...]) -> list[Any]:
    """The replies to commands on a connection that nobody else uses yet."""
    await connection.send_packed_command([part for one in commands for part in connection.pack_command(*one)], False)
    return [await connection.read_response() for _ in commands]
