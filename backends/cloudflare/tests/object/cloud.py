"""Durable Objects in this process: real SQL, a clock that the test owns, and alarms that fire when it says so."""

from __future__ import annotations

from collections import Counter
from typing import Any

from durable_primitives import DurablePrimitives
from durable_primitives.spi import SystemRuntime
from durable_primitives_cloudflare.object.client import client_over
from durable_primitives_cloudflare.object.host import ObjectHost

from .sqlite_storage import SQLiteStorage

START_MS = 1_800_000_000_000


class Life(SQLiteStorage):
    """The storage as one life of an object sees it: after its end it cannot write any more."""

    def __init__(self, storage: SQLiteStorage) -> None:
        self._storage = storage
        self.over = False

    def __getattribute__(self, name: str) -> Any:
        if name in ("over", "_storage"):
            return object.__getattribute__(self, name)
        if self.over:
            raise RuntimeError("this life of the object is over")
        return getattr(self._storage, name)


class Cloud:
    """A namespace of objects (`durable_primitives_cloudflare.object.client.Objects`)."""

    def __init__(self, primitives: DurablePrimitives) -> None:
        self.now_ms = START_MS
        self.storages: dict[str, SQLiteStorage] = {}
        self.requests: Counter[str] = Counter()
        """What is billed: calls and alarms."""
        self._primitives = primitives
        self._hosts: dict[str, ObjectHost] = {}
        self._lives: list[tuple[ObjectHost, Life]] = []
        self.client = client_over(self, primitives)

    async def call(self, object_name: str, method: str, *arguments: object) -> bytes:
        self.requests["calls"] += 1
        host = await self.host(object_name)
        return await host.call(method, *arguments)

    async def host(self, name: str) -> ObjectHost:
        """The object of this name, started if it is not in memory."""
        if name not in self._hosts:
            storage = self.storages.setdefault(name, SQLiteStorage())
            life = Life(storage)
            host = ObjectHost(self._primitives, life, self, SystemRuntime(lambda: self.now_ms / 1000))
            self._lives.append((host, life))
            await host.start()
            self._hosts[name] = host
        return self._hosts[name]

    def evict(self) -> None:
        """Every object is gone from memory, whatever it was doing."""
        self._hosts.clear()
        for _, life in self._lives:
            life.over = True

    @property
    def next_alarm(self) -> int | None:
        return min((s.alarm for s in self.storages.values() if s.alarm is not None), default=None)

    async def fire_due(self) -> None:
        """Fire every alarm that is set for now, and those that these make due."""
        await self.advance(20)

    async def fire(self, name: str) -> None:
        """The alarm of one object."""
        self.requests["alarms"] += 1
        storage = self.storages[name]
        assert storage.alarm is not None
        host = await self.host(name)
        scheduled, storage.alarm = storage.alarm, None
        await host.alarm(scheduled)

    async def advance(self, milliseconds: int) -> None:
        """Let time pass, alarm by alarm."""
        until = self.now_ms + milliseconds
        while (alarm := self.next_alarm) is not None and alarm <= until:
            self.now_ms = max(self.now_ms, alarm)
            for name, storage in list(self.storages.items()):
                if storage.alarm is not None and storage.alarm <= self.now_ms:
                    await self.fire(name)
        self.now_ms = until
