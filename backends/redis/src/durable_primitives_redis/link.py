"""One connection, for commands that may be sent again: they leave and are answered in order.

When the connection breaks, a new one is made and whatever has no answer yet is sent again, in the same order, until its
time is over.  So each command must have the same effect however often it arrives.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Protocol

from hiredis import pack_command  # pyright: ignore[reportUnknownVariableType]

from durable_primitives.errors import BackendUnavailableError, Outcome, StorageError
from durable_primitives.logs import get_logger
from durable_primitives_redis.address import CONNECT_SECONDS, Address, Connection
from durable_primitives_redis.failures import BACKEND, refusal, sent_again_after, unreachable
from durable_primitives_redis.scripts import Script

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
    async def run(self, script: Script, key: str, *args: bytes | str) -> Any: ...


class _Request:
    __slots__ = ("command", "deadline", "future", "sendings", "timer")

    def __init__(self, command: list[bytes], deadline: float, future: asyncio.Future[Any]) -> None:
        self.command, self.deadline, self.future = command, deadline, future
        self.sendings = 0
        self.timer: asyncio.TimerHandle | None = None

    @property
    def outcome(self) -> Outcome:
        """What became of it, if it never has an answer."""
        return "unknown" if self.sendings else "not_applied"

    @property
    def outcome_before(self) -> Outcome:
        """What became of it, if its last sending was refused."""
        return "unknown" if self.sendings > 1 else "not_applied"


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
        self._connection: Connection | None = None
        self._pending: deque[_Request] = deque()
        self._wanted = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None
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
            self._connection = await self._address.connected()
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
        return self._connection is not None and self._connection.is_connected

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
        self._give_up(self._unreachable)

    async def _stop(self) -> None:
        if self._keeper is None:
            return
        self._keeper.cancel()
        await asyncio.wait((self._keeper,))
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait((self._reader,))
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
        return self._connection is None and self._trouble is not None

    def twin(self) -> Link:
        """Another link to the same place, which is not open, for another event loop."""
        return Link(self._address, self._seconds)

    async def run(self, script: Script, key: str, *args: bytes | str) -> Any:
        """The reply of a script.  Raises a `StorageError` with what became of it."""
        return await self.evaluate(script, (key,), args)

    async def evaluate(
        self, script: Script, keys: Sequence[str], args: Sequence[bytes | str], until: float | None = None
    ) -> Any:
        """`run`, with several keys, and until a time of the event loop."""
        command = ("EVALSHA", script.sha, len(keys), *keys, *args)
        try:
            return await self.call(*command, until=until)
        except StorageError as error:
            if not isinstance(error.__cause__, self._address.no_script):
                raise
            unknown = error
        with sent_again_after(unknown):
            await self.call("SCRIPT", "LOAD", script.source, until=until)
            return await self.call(*command, until=until)

    async def call(self, *args: Any, until: float | None = None) -> Any:
        """The reply of a command.  Raises a `StorageError` with what became of it."""
        if self._closed:
            raise StorageError(f"{self._address.url} is closed", backend=BACKEND, outcome="not_applied")
        connection = self._connection
        loop = self._loop
        now = loop.time()
        deadline = now + self._seconds if until is None else until
        request = _Request([pack_command(args)], deadline, loop.create_future())
        request.timer = loop.call_later((deadline - now) / 2, self._tick, request)
        self._pending.append(request)
        if connection is not None and connection.is_connected:
            await self._send(connection, (request,))
        else:
            self._wanted.set()
        try:
            return await request.future
        finally:
            request.timer.cancel()

    async def _send(self, connection: Connection, requests: Sequence[_Request]) -> None:
        for request in requests:
            request.sendings += 1
        # What cannot be sent stays pending: whoever reads notices that the connection is broken.
        with suppress(*self._address.lost):
            await connection.send_packed_command([part for request in requests for part in request.command], False)

    def _tick(self, request: _Request) -> None:
        """Half of a request's time is over, or all of it."""
        if request.future.done():
            return
        left = request.deadline - self._loop.time()
        if left > 0:
            request.timer = self._loop.call_later(left, self._tick, request)
        else:
            request.future.set_exception(self._unreachable(request.outcome))
        if request.sendings and self._reader is not None:
            self._reader.cancel()

    # The life of a connection.

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            if self._connection is not None:
                self._reader = self._loop.create_task(self._read(self._connection))
                await asyncio.wait((self._reader,))
                await self._disconnect()
                self.on_trouble()
            self._forget_abandoned()
            if not self._pending:
                self._wanted.clear()
                await self._wanted.wait()
            try:
                connection = await self._address.connected()
                if not await self._has_proof(connection):
                    self.on_forgotten()
                    _log.error("the server has lost what it acknowledged last: see its log", backend=self._address.url)
                    # Whoever waits decided on what no longer is.
                    self._give_up(self._forgotten)
            except self._address.refused as error:
                self._give_up(partial(refusal, error, self._address.url))
            except (*self._address.lost, self._address.server_error) as error:
                self._trouble = error
                self.on_trouble()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                pause = FIRST_PAUSE_SECONDS
                self._forget_abandoned()
                self._connection = connection
                await self._send(connection, tuple(self._pending))

    async def _has_proof(self, connection: Connection) -> bool:
        proof = self.proof()
        if proof is None:
            return True
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                # Its first 14 characters: see `replay.lua`.
                await connection.send_packed_command(connection.pack_command("GETRANGE", proof.key, 0, 13), False)
                found = await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return int(found or 0) >= proof.number

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*self._address.lost):
                await connection.disconnect(nowait=True)

    async def _read(self, connection: Connection) -> None:
        """Answer requests in their order until the connection breaks."""
        while True:
            reply: Any = None
            failure: Exception | None = None
            try:
                reply = await connection.read_response()
            except (self._address.server_error, *self._address.refused) as error:
                failure = error
            except self._address.lost as error:
                self._trouble = error
                return
            request = self._pending.popleft()
            if request.future.done():
                continue
            if failure is None:
                request.future.set_result(reply)
            else:
                refused = refusal(failure, self._address.url, request.outcome_before)
                refused.__cause__ = failure
                request.future.set_exception(refused)

    def _forget_abandoned(self) -> None:
        self._pending = deque(request for request in self._pending if not request.future.done())

    def _give_up(self, failure: Callable[[Outcome], StorageError]) -> None:
        """Fail all that waits, each with what became of it."""
        for request in self._pending:
            if not request.future.done():
                request.future.set_exception(failure(request.outcome))
        self._pending.clear()

    def _unreachable(self, outcome: Outcome) -> StorageError:
        return unreachable(self._trouble, self._address.url, outcome=outcome)

    def _forgotten(self, outcome: Outcome) -> StorageError:
        message = f"{self._address.url} has lost what it acknowledged last"
        return BackendUnavailableError(message, backend=BACKEND, outcome=outcome)
