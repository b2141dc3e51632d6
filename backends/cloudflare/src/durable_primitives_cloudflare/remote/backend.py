"""`RemoteBackend`: the contract of a backend, over a host on Cloudflare."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence

from durable_primitives.errors import DefinitionError
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import ClaimRequest, LeaseRef, Renewal, Transition
from durable_primitives.spi import Capabilities, Lifeline, Reply, StoreClock, TimedBell, Watch, check_closed, check_open
from durable_primitives_cloudflare.remote.address import Settings, host_of, settings_of
from durable_primitives_cloudflare.remote.failures import BACKEND
from durable_primitives_cloudflare.remote.link import Link
from durable_primitives_cloudflare.remote.partitions import Partitions, Usage
from durable_primitives_cloudflare.remote.receiver import Receiver, receiver_at
from durable_primitives_cloudflare.remote.signing import parse_keys

ENGINE_KEYS = "DURABLE_PRIMITIVES_CLOUDFLARE_ENGINE_KEYS"
HOST_KEYS = "DURABLE_PRIMITIVES_CLOUDFLARE_HOST_KEYS"
"""Environment variables: one or two keys each, separated by a comma."""

MAX_PAYLOAD = 1_900_000
"""Bytes.  A row may have 2 MB; the rest is for what else is in it."""


class RemoteBackend:
    """A store in Durable Objects, behind the packaged host, for any number of processes and machines.

    Args:
        url: ``cloudflare+https://host``; ``cloudflare+http://`` for one on this machine.
        settings: The options of the URL, instead of those that are in it.
        engine_keys: One or two secrets that this side signs with (the first) and the host accepts; default: the
            environment variable ``DURABLE_PRIMITIVES_CLOUDFLARE_ENGINE_KEYS``.
        host_keys: The same for the host's calls; needed only to `listen` for them.

    Raises:
        DefinitionError: The URL, an option or a key cannot be meant.

    Example:
        >>> RemoteBackend("cloudflare+https://primitives.example.com", engine_keys="0123456789abcdef" * 2).url
        'cloudflare+https://primitives.example.com'
    """

    capabilities = Capabilities(durable=True, multi_process=True, max_payload=MAX_PAYLOAD)

    def __init__(
        self,
        url: str,
        *,
        settings: Settings | None = None,
        engine_keys: str | Iterable[str] | None = None,
        host_keys: str | Iterable[str] | None = None,
    ) -> None:
        self._host = host_of(url)
        self._settings = settings or settings_of(url)
        self._engine_keys = _keys(engine_keys, ENGINE_KEYS)
        self._host_keys = _keys(host_keys, HOST_KEYS) if self._settings.listen is not None else ()
        self._pid = 0
        self._clock = StoreClock()
        self._bell = TimedBell(self._clock.time)
        self._watch = Watch(self._bell, lambda: self._ready().next_due())
        self._link: Link | None = None
        self._partitions: Partitions | None = None
        self._receiver: Receiver | None = None

    @classmethod
    def from_url(cls, url: str) -> RemoteBackend:
        """The backend of a URL, with ``prefix``, ``partitions``, ``timeout``, ``listen`` and ``recheck`` as options."""
        return cls(url)

    @property
    def url(self) -> str:
        return f"cloudflare+{self._host}"

    # Opening and closing.

    async def open(self, namespace: str) -> None:
        check_closed(self._partitions, self, name=BACKEND)
        link, lifeline = self._make_link(), Lifeline(self._make_link, "Cloudflare")
        partitions = Partitions(link, lifeline, f"{self._settings.prefix}:{namespace}", self._settings.partitions)
        await link.open()
        try:
            found = await partitions.open([("partitions", str(self._settings.partitions))])
            if found["partitions"] != str(self._settings.partitions):
                raise DefinitionError(
                    f"the store at {self.url} has partitions={found['partitions']}, not {self._settings.partitions}",
                    help="open it with the number that it was made with, or another prefix",
                )
        except BaseException:
            await link.close()
            raise
        self._pid = os.getpid()
        self._link, self._lifeline, self._partitions = link, lifeline, partitions

    async def close(self) -> None:
        link, partitions, receiver = self._link, self._partitions, self._receiver
        self._link = self._partitions = self._receiver = None
        if link is None or partitions is None or os.getpid() != self._pid:
            return
        self._bell.ring()
        if receiver is not None:
            await receiver.remove(partitions.store, self._bell)
        await asyncio.to_thread(self._lifeline.close)
        await link.close()

    def _make_link(self) -> Link:
        return Link(self._host, self._engine_keys, self._clock, self._settings.timeout_s)

    def _ready(self) -> Partitions:
        return check_open(self._partitions, self, name=BACKEND, pid=self._pid)

    # Changing it.

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        partitions = self._ready()
        if not transitions and (request is None or request.limit < 1):
            return (), ()
        reply = await self._bell.follow(partitions.commit(transitions, request))
        return reply.outcomes, reply.claims

    def commit_now(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        raise NotImplementedError("a commit waits for the host: await commit()")

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

    async def usage(self) -> Usage:
        """What Cloudflare counts: requests and rows since the objects of this store began."""
        return await self._ready().usage()

    # Waking, and the time.

    def time(self) -> float:
        """The host's clock, in seconds since the epoch: what due times are compared with."""
        return self._clock.time()

    async def next_due(self) -> int | None:
        return await self._watch.next_due()

    async def wait(self, seconds: float) -> None:
        partitions = self._ready()
        if self._settings.listen is not None and self._receiver is None:
            # What became due before somebody listened was heard by nobody: the caller must look again.
            receiver = receiver_at(self._settings.listen, self._host_keys, self._clock)
            await receiver.add(partitions.store, self._bell, self._settings.listen)
            self._receiver = receiver
            return
        await self._watch.wait(seconds, recheck_seconds=self._settings.look_seconds)


def _keys(given: str | Iterable[str] | None, variable: str) -> tuple[bytes, ...]:
    return parse_keys(os.environ.get(variable, "") if given is None else given, variable if given is None else "keys")
