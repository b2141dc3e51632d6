"""A connection to whichever server is the primary when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Connection
from redis.asyncio.sentinel import Sentinel

SENTINEL_SECONDS = 1.0
"""How long one sentinel may take before the next one is asked."""


class PrimaryConnection(Connection):
    """Asks the sentinels each time, on connections that last as long as the question: no event loop owns them."""

    def __init__(self, *, sentinels: Sequence[tuple[str, int]], service: str, **settings: Any) -> None:
        super().__init__(**settings)  # pyright: ignore[reportUnknownMemberType]
        self._sentinels, self._service = sentinels, service

    async def connect(self) -> None:
        if not self.is_connected:
            limits = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
            finder: Any = Sentinel(self._sentinels, **limits)  # type: ignore[no-untyped-call]
            try:
                self.host, self.port = await finder.discover_master(self._service)
            finally:
                for sentinel in finder.sentinels:
                    await sentinel.aclose()
        await super().connect()  # type: ignore[no-untyped-call]
