"""The engine's side of the wake-up call, for tests that look at the calls themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from durable_primitives_cloudflare.remote.receiver import CALLBACK_PATH

HANG_GUARD_SECONDS = 60.0


class Engine:
    """Answers the host's calls as `react` says, and counts them.

    Args:
        react: Called with the number of the call, from 1; returns the status.
    """

    def __init__(self, port: int, react: Callable[[int], Awaitable[web.Response]]) -> None:
        self._port, self._react = port, react
        self.calls: list[web.Request] = []
        self.bodies: list[bytes] = []
        self._called = asyncio.Event()

    async def __aenter__(self) -> Engine:
        application = web.Application()
        application.router.add_post(CALLBACK_PATH, self._take)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_port=True).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.calls.append(request)
        self.bodies.append(await request.read())
        number = len(self.calls)
        self._called.set()
        return await self._react(number)

    async def until_calls(self, count: int) -> None:
        """Wait for so many."""
        async with asyncio.timeout(HANG_GUARD_SECONDS):
            while len(self.calls) < count:
                self._called.clear()
                await self._called.wait()


async def accept(number: int) -> web.Response:
    """What an engine does that looks at its store later."""
    return web.Response(status=204)


async def fail(number: int) -> web.Response:
    """What an engine does that is broken."""
    return web.Response(status=500)
