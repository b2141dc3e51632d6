"""Takes the host's calls: "something of this store is due".  What is due, the store says, never the call."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from aiohttp import web
from msgspec import DecodeError, Struct, json

from durable_primitives.errors import BackendUnavailableError, DefinitionError
from durable_primitives.spi import Bell, StoreClock
from durable_primitives_cloudflare.remote.failures import BACKEND
from durable_primitives_cloudflare.remote.signing import Verifier

CALLBACK_PATH = "/durable-primitives/wake"
"""The only path that is answered: the end of the host's ``CALLBACK_URL``."""

MAX_BODY = 4096
"""Bytes of a call."""


class Call(Struct, frozen=True):
    """What the host says."""

    contract: int
    store: str
    """With the number of the partition behind the last slash."""


class Receiver:
    """A listening socket that all stores of this event loop share, if they name the same address.

    Several processes of one machine may listen on it too; a call reaches one of them.
    """

    def __init__(self, keys: tuple[bytes, ...], clock: StoreClock) -> None:
        self.keys = keys
        self._verifier, self._clock = Verifier(keys), clock
        self._bells: dict[str, set[Bell]] = {}
        self._runner: web.AppRunner | None = None
        self._starting = asyncio.Lock()

    async def add(self, store: str, bell: Bell, address: tuple[str, int]) -> None:
        """Ring this bell for that store; listens from the first one on.

        Raises:
            BackendUnavailableError: Somebody else has the address.
        """
        async with self._starting:
            if self._runner is None:
                application = web.Application(client_max_size=MAX_BODY)
                application.router.add_post(CALLBACK_PATH, self._take)
                runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
                await runner.setup()
                try:
                    await web.TCPSite(runner, *address, reuse_port=True).start()
                except OSError as error:
                    await runner.cleanup()
                    raise BackendUnavailableError(
                        f"cannot listen on {address[0]}:{address[1]} ({error.strerror})",
                        backend=BACKEND,
                        outcome="not_applied",
                        help="free the port, or name another one in the URL (listen=) and in the host's CALLBACK_URL",
                    ) from error
                self._runner = runner
        self._bells.setdefault(store, set()).add(bell)

    async def remove(self, store: str, bell: Bell) -> None:
        """The end of `add`; the last one closes the socket."""
        bells = self._bells.get(store, set())
        bells.discard(bell)
        if not bells:
            self._bells.pop(store, None)
        if not self._bells and self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()  # raises 413 beyond MAX_BODY
        now = self._clock.time()
        if not self._verifier.accepts(request.method, request.raw_path, request.headers, body, now):
            return web.Response(status=401)
        try:
            call = json.decode(body, type=Call)
        except DecodeError:
            return web.Response(status=400)
        bells = self._bells.get(call.store.rpartition("/")[0], ())
        for bell in bells:
            bell.ring()
        return web.Response(status=204 if bells else 404)


_receivers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], Receiver]] = WeakKeyDictionary()


def receiver_at(address: tuple[str, int], keys: tuple[bytes, ...], clock: StoreClock) -> Receiver:
    """The receiver of this event loop at an address; it is not listening yet if it is new.

    Raises:
        DefinitionError: Another store has it with other keys.
    """
    known = _receivers.setdefault(asyncio.get_running_loop(), {})
    receiver = known.setdefault(address, Receiver(keys, clock))
    if receiver.keys != keys:
        raise DefinitionError(f"two stores listen on {address[0]}:{address[1]} with different host_keys")
    return receiver
