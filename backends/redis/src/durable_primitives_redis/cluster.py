"""The nodes of a cluster: a link to each primary, and which of them has which keys."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.crc import key_slot

from durable_primitives.errors import BackendUnavailableError, StorageError
from durable_primitives_redis.address import Address
from durable_primitives_redis.failures import BACKEND
from durable_primitives_redis.link import Link
from durable_primitives_redis.scripts import Script

PAUSE_SECONDS = 0.1
"""Before the map of the cluster is read again."""

ATTEMPTS = 3
"""How often within the time of a call a node may keep silent."""

_ELSEWHERE = {"MovedError", "AskError", "TryAgainError", "ClusterDownError", "MasterDownError", "ReadOnlyError"}
"""Errors that say: not here, or not now."""


class ClusterLink:
    """Sends a script to the primary that has its key; when that changes, to the new one.

    A script that is sent again has its effect once, as on one node: what it remembers of a client moves with the keys.
    """

    spread = True

    def __init__(self, address: Address, seconds: float) -> None:
        self._address, self._seconds = address, seconds
        self._links: dict[tuple[str, int], Link] = {}
        self._slots: list[tuple[int, int, Link]] = []
        self._reading = asyncio.Lock()
        self._closed = False

    async def open(self) -> None:
        """Read the map of the cluster from the first node that has one."""
        failure: StorageError | None = None
        for address in self._address.alternatives():
            try:
                await self._read_map(address)
            except StorageError as error:
                failure = error
            else:
                return
        assert failure is not None
        raise failure

    async def close(self) -> None:
        """Finish what was handed over, then disconnect from all nodes."""
        self._closed = True
        await asyncio.gather(*(link.close() for link in self._links.values()))

    def nodes(self) -> Sequence[Link]:
        """The links to all primaries."""
        return tuple({id(link): link for _, _, link in self._slots}.values())

    async def run(self, script: Script, key: str, *args: bytes | str) -> Any:
        """The reply of a script.  Raises a `StorageError` with what became of it."""
        slot = key_slot(key.encode())
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        unknown = False
        while True:
            slots = self._slots
            try:
                return await self._link_of(slot).run(script, key, *args)
            except StorageError as error:
                unknown = unknown or error.outcome == "unknown"
                if not _is_elsewhere(error) or self._closed or loop.time() >= deadline:
                    error.outcome = "unknown" if unknown else error.outcome
                    raise
            await self._read_again(slots)

    def _link_of(self, slot: int) -> Link:
        for first, last, link in self._slots:
            if first <= slot <= last:
                return link
        raise BackendUnavailableError(
            f"no node of the cluster at {self._address.url} has slot {slot}", backend=BACKEND, outcome="not_applied"
        )

    async def _read_again(self, seen: object) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        async with self._reading:
            # Somebody else may have read it meanwhile.
            if self._slots is seen:
                try:
                    await self.open()
                except StorageError:
                    return

    async def _read_map(self, address: Address) -> None:
        probe = Link(address, self._seconds / ATTEMPTS)
        await probe.open()
        try:
            rows: Any = await probe.call("CLUSTER", "SLOTS")
        finally:
            await probe.close()
        slots: list[tuple[int, int, Link]] = []
        for first, last, (host, port, *_), *_ in rows:
            # A node that does not know its own name is the one that was asked.
            where = ((host or address.host.encode()).decode(), int(port))
            slots.append((first, last, await self._linked(where)))
        if not slots:
            raise BackendUnavailableError(
                f"the cluster at {self._address.url} has no slots assigned", backend=BACKEND, outcome="not_applied"
            )
        self._slots = slots

    async def _linked(self, where: tuple[str, int]) -> Link:
        link = self._links.get(where)
        if link is None:
            link = Link(self._address.at(*where), self._seconds / ATTEMPTS)
            await link.open()
            self._links[where] = link
        return link


def _is_elsewhere(error: StorageError) -> bool:
    return type(error.__cause__).__name__ in _ELSEWHERE or isinstance(error, BackendUnavailableError)
