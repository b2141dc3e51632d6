"""A connection to whichever server is the primary when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Connection, SSLConnection
from redis.asyncio.sentinel import Sentinel

SENTINEL_SECONDS = 1.0
"""How long one sentinel may take before the next one is asked."""


class PrimaryConnection(Connection):
    """Asks the sentinels each time, on connections that last as long as the question: no event loop owns them.

    Args:
        sentinels: Hosts and ports.
        service: What they call the primary and its replicas.
        asking: Settings of the connections to the sentinels.
        fewest: How many other sentinels one must know for its word to count.
    """

    def __init__(
        self,
        *,
        sentinels: Sequence[tuple[str, int]],
        service: str,
        asking: Mapping[str, Any] | None = None,
        fewest: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)  # pyright: ignore[reportUnknownMemberType]
        self._sentinels, self._service, self._asking, self._fewest = sentinels, service, asking or {}, fewest

    async def connect(self) -> None:
        if not self.is_connected:
            limits = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
            finder: Any = Sentinel(  # type: ignore[no-untyped-call]
                self._sentinels, min_other_sentinels=self._fewest, sentinel_kwargs={**self._asking, **limits}
            )
            try:
                self.host, self.port = await finder.discover_master(self._service)
            finally:
                for sentinel in finder.sentinels:
                    await sentinel.aclose()
        await super().connect()  # type: ignore[no-untyped-call]


class PrimaryTLSConnection(PrimaryConnection, SSLConnection):
    """The same, encrypted."""


def primary_of(kind: type[Any]) -> type[PrimaryConnection]:
    """What finds the primary, for connections that are otherwise of this kind."""
    encrypted = any(base.__name__ == "SSLConnection" for base in kind.__mro__)
    return PrimaryTLSConnection if encrypted else PrimaryConnection
