"""`RedisBackend`: the contract of a backend, over a server that other processes and machines use too."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from typing import Any

from durable_primitives.errors import DefinitionError
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import ClaimRequest, LeaseRef, Renewal, Transition
from durable_primitives.spi import (
    Capabilities,
    DamageLog,
    Lifeline,
    Reply,
    StoreClock,
    TimedBell,
    Watch,
    check_closed,
    check_open,
)
from durable_primitives_redis.address import Address, address_of_client, address_of_url, masked, split_options
from durable_primitives_redis.checks import check_server, check_settings, settings_for
from durable_primitives_redis.cluster import ClusterLink
from durable_primitives_redis.failures import BACKEND, damaged
from durable_primitives_redis.link import Channel, Link
from durable_primitives_redis.listener import Listener
from durable_primitives_redis.partitions import Partitions
from durable_primitives_redis.storage import Storage

RECHECK_SECONDS = 10.0
"""How long a lost wake-up can be missed."""

MAX_PAYLOAD = 16 << 20
"""Bytes.  The server works on one script at a time, and each of them copies what it is given."""

_OPTIONS = {"prefix", "partitions", "timeout"}
_PREFIX = re.compile(r"[A-Za-z0-9_.\-:]{1,64}")


class RedisBackend:
    """A store on a Redis or Valkey server, for any number of processes and machines.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``; ``redis+sentinel://`` or ``redis+cluster://``, with TLS
            ``rediss+sentinel://`` and ``rediss+cluster://``.  ``valkey`` and ``valkeys`` mean ``redis`` and ``rediss``.
        client: Instead of a URL, the application's own `redis.asyncio.Redis` or `valkey.asyncio.Valkey`: its settings
            are used, on connections of our own.
        prefix: The beginning of all keys.
        partitions: Over how many groups of keys the instances are spread, each on one node of a cluster.  It is noted
            in the store and cannot change.
        timeout_s: How long a call may take.  A call whose connection breaks is repeated within this time, and has its
            effect once.

    Raises:
        DefinitionError: Not exactly one of `url` and `client` is given, or one of the settings cannot be meant.

    Example:
        >>> RedisBackend("redis://:secret@localhost:6379/0").url
        'redis://:***@localhost:6379/0'
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        client: Any = None,
        prefix: str = "dp",
        partitions: int = 16,
        timeout_s: float = 10.0,
    ) -> None:
        if (url is None) == (client is None):
            raise DefinitionError("RedisBackend needs a url or a client, one of the two")
        if not _PREFIX.fullmatch(prefix):
            raise DefinitionError(f"prefix must be 1 to 64 letters, digits, '_', '-', '.' or ':', got {prefix!r}")
        if not 1 <= partitions <= 1024:
            raise DefinitionError(f"partitions must be between 1 and 1024, got {partitions!r}")
        if not timeout_s > 0:
            raise DefinitionError(f"timeout_s must be above 0, got {timeout_s!r}")
        self._address: Address = address_of_client(client) if url is None else address_of_url(url)
        self._prefix, self._partitions, self._seconds = prefix, partitions, timeout_s
        self._pid = 0
        self._clock = StoreClock()
        self._damage = DamageLog()
        self._link: Channel | None = None
        self._storage: Storage | None = None
        self._listener: Listener | None = None
        self._listening = False
        self._bell = TimedBell(self._clock.time)
        self._watch = Watch(self._bell, lambda: self._ready().next_due())

    @classmethod
    def from_url(cls, url: str) -> RedisBackend:
        """The backend of a URL, with ``prefix``, ``partitions`` and ``timeout`` (seconds) among its options.

        Example:
            >>> RedisBackend.from_url("redis://localhost:6379/0?prefix=shop&partitions=4").url
            'redis://localhost:6379/0'
        """
        bare, options = split_options(url, _OPTIONS)
        try:
            partitions, seconds = int(options.get("partitions", 16)), float(options.get("timeout", 10.0))
        except ValueError:
            raise DefinitionError(f"partitions and timeout must be numbers in {masked(url)}") from None
        return cls(bare, prefix=options.get("prefix", "dp"), partitions=partitions, timeout_s=seconds)

    @property
    def url(self) -> str:
        return self._address.url

    @property
    def capabilities(self) -> Capabilities:
        """What it can do: on a cluster each partition answers by itself."""
        partitions = self._partitions if self._address.is_cluster else 1
        return Capabilities(
            durable=True, multi_process=True, overlapping=True, partitions=partitions, max_payload=MAX_PAYLOAD
        )

    # Opening and closing.

    async def open(self, namespace: str) -> None:
        check_closed(self._storage, self, name=BACKEND)
        link: Channel = (ClusterLink if self._address.is_cluster else Link)(self._address, self._seconds)
        await link.open()
        try:
            for node in link.nodes():
                check_server(await node.call("INFO"), self.url, cluster=link.spread)
            lifeline: Lifeline[Channel] = Lifeline(link.twin, "Redis")
            partitions = Partitions(f"{self._prefix}:{namespace}", self._partitions, spread=link.spread)
            storage = Storage(link, lifeline, self._clock, partitions)
            committing = storage.committing
            committing.claiming.on_late = self._bell.ring
            settings = await storage.open(settings_for(self._partitions))
            check_settings(settings, self._partitions, self.url)
            await storage.next_due()
        except BaseException:
            await link.close()
            raise
        self._pid = os.getpid()
        self._link, self._lifeline, self._storage = link, lifeline, storage
        self._listener = Listener(link.addresses, committing.channel, committing.client, self._bell)
        self._listening = False

    async def close(self) -> None:
        link, listener = self._link, self._listener
        self._link = self._listener = self._storage = None
        if link is None or listener is None or os.getpid() != self._pid:
            return
        self._bell.ring()
        await listener.close()
        await asyncio.to_thread(self._lifeline.close)
        await link.close()

    def _ready(self) -> Storage:
        return check_open(self._storage, self, name=BACKEND, pid=self._pid)

    # Changing it.

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        storage = self._ready()
        if not transitions and request is None:
            return (), ()
        reply = await self._bell.follow(storage.committing.commit(transitions, request))
        if request is not None and reply.damaged:
            self._damage.tell(map(damaged, reply.damaged), request.at)
        return reply.outcomes, reply.claims

    def commit_now(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        raise NotImplementedError("a commit waits for the server: await commit()")

    async def sweep(self, now: int, budget: int) -> int:
        return await self._ready().sweep(now, budget)

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        return self._ready().renew(leases, until)

    # Looking at it.

    async def load(self, instance: str, receipts: Sequence[str] = (), letters: Sequence[str] = ()) -> Snapshot:
        return await self._ready().load(instance, receipts, letters)

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        return await self._ready().items(instance, segment, after, limit)

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        return await self._ready().letters(instance, after, limit)

    async def scan(self, prefix: str, after: str, limit: int) -> Sequence[Record]:
        return await self._ready().scan(prefix, after, limit)

    async def tally(self, instance: str, now: int) -> Tally:
        return await self._ready().tally(instance, now)

    # Waking, and the time.

    def time(self) -> float:
        """The server's clock, in seconds since the epoch: what due times are compared with."""
        return self._clock.time()

    async def next_due(self) -> int | None:
        return await self._watch.next_due()

    async def wait(self, seconds: float) -> None:
        self._ready()
        if not self._listening and self._listener is not None:
            # What others committed before somebody listened was heard by nobody: the caller must look again.
            await self._listener.start(self._seconds)
            self._listening = True
            return
        await self._watch.wait(seconds, recheck_seconds=RECHECK_SECONDS)
