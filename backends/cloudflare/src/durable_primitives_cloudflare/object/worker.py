# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUntypedBaseClass=false
"""The Durable Object class.  To be imported in a Python Worker only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from workers import DurableObject

from durable_primitives.app import DurablePrimitives
from durable_primitives_cloudflare.object.client import OPERATIONS
from durable_primitives_cloudflare.object.host import ObjectHost
from durable_primitives_cloudflare.object.platform import BoundObjects, WorkersStorage, to_bytes


class EngineObject(DurableObject):
    """One object: its methods are those of `OPERATIONS`, each ``(name, id, request) -> reply``, encoded by `wire`."""

    primitives: DurablePrimitives
    binding: str

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.storage = WorkersStorage(ctx)
        self.host = ObjectHost(self.primitives, self.storage, BoundObjects(getattr(env, self.binding)))
        self._starting = asyncio.Lock()
        self._started = False

    async def alarm(self, info: Any = None) -> None:
        """The object's one alarm."""
        await self._start()
        await self.host.alarm(int(info.scheduledTime) if info is not None else 0)

    async def _start(self) -> None:
        """Whoever comes first starts the engine; a start that failed is tried again."""
        async with self._starting:
            if not self._started:
                await self.host.start()
                self._started = True


def make_engine(primitives: DurablePrimitives, *, binding: str = "PRIMITIVES") -> type[EngineObject]:
    """The class that `wrangler.jsonc` names ``DurablePrimitivesEngine``.

    Args:
        primitives: The application.
        binding: The name of the Durable Object binding through which objects reach each other.

    Example:
        >>> DurablePrimitivesEngine = make_engine(primitives)  # doctest: +SKIP
    """
    members: dict[str, Any] = {"primitives": primitives, "binding": binding}
    members.update({method: _method(method) for method in OPERATIONS})
    return type("DurablePrimitivesEngine", (EngineObject,), members)


def _method(method: str) -> Callable[..., Awaitable[bytes]]:
    async def call(self: EngineObject, name: str, id: str, request: Any) -> bytes:
        await self._start()  # pyright: ignore[reportPrivateUsage]
        return await self.host.call(method, name, id, to_bytes(request))

    call.__name__ = method
    call.__doc__ = OPERATIONS[method][1].summary
    return call
