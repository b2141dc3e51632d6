"""The nodes of a cluster: each script goes to the primary that has its keys, wherever that is now.

All keys of a script are of one slot.  While a slot moves from node to node, its keys are on both, and a script that
finds half of them would stop half way.  So each call names a second key that never exists: a node that is giving the
slot away, or taking it, then refuses the call before it starts, and it is sent again until the slot has arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from hiredis import ReplyError
from redis.crc import key_slot

from durable_primitives.errors import BackendUnavailableError, StorageError
from durable_primitives_redis.address import Address
from durable_primitives_redis.failures import BACKEND, code_of, refusal, unreachable
from durable_primitives_redis.link import Link
from durable_primitives_redis.scripts import Script

SLOTS = 16384

FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.2
"""Between attempts, while a slot is on its way; the first one is made again at once."""

ASK_SECONDS = 2.0
"""How long a node may take to say who has which slot, before another one is asked."""

_UNSETTLED = {"ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY"}
"""Codes of errors that say: not here, or not now."""

_Place = tuple[str, int]
"""Host and port of a node."""


class ClusterLink:
    """Sends a script to the primary that has its key; when that changes, to the new one.

    A script that is sent again has its effect once, as on one node: what it remembers of a client moves with the keys.
    Calls that are to be applied in order must wait for each other: the first may be refused, and sent again, while the
    second is under way.
    """

    spread = True

    def __init__(self, address: Address, seconds: float, known: Iterable[Address] = ()) -> None:
        self._address, self._seconds = address, seconds
        self._links: dict[_Place, Link] = {}
        self._owners: list[_Place | None] = [None] * SLOTS
        self._known = {one.place: one for one in known or address.nodes()}
        """All nodes that we ever heard of: any of them knows the others."""
        self._reading: asyncio.Task[StorageError | None] | None = None
        self._dropping: set[asyncio.Task[None]] = set()
        self._moving: set[int] = set()
        """Slots that refused the last call."""
        self._closed = False

    async def open(self) -> None:
        """Read the map of the cluster from the first node that has one."""
        failure = await self._read_map()
        if failure is not None:
            raise failure

    async def close(self) -> None:
        """Finish what was handed over, then disconnect from all nodes."""
        self._closed = True
        await asyncio.gather(*(link.close() for link in self._links.values()))
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))
        if self._dropping:
            await asyncio.wait(self._dropping)

    def nodes(self) -> Sequence[Link]:
        """The links to all primaries."""
        return [self._link(place) for place in self._primaries()]

    def addresses(self) -> Sequence[Address]:
        """Where messages are heard: any node passes them on to all others."""
        return [self._known[place] for place in self._primaries()]

    def twin(self) -> ClusterLink:
        """Another link to the same cluster, which is not open, for another event loop."""
        # The nodes that were named at the beginning may be gone.
        return ClusterLink(self._address, self._seconds, tuple(self._known.values()))

    def is_held_up(self, key: str) -> bool:
        """Whether calls with this key get no answer while others do: its slot is on its way, or its node is away."""
        slot = key_slot(key.encode())
        place = self._owners[slot]
        link = None if place is None else self._links.get(place)
        return place is None or slot in self._moving or (link is not None and link.in_trouble)

    def _primaries(self) -> Sequence[_Place]:
        return [place for place in dict.fromkeys(self._owners) if place is not None]

    async def run(self, script: Script, key: str, *args: bytes | str) -> Any:
        """The reply of a script.  Raises a `StorageError` with what became of it."""
        slot, keys = key_slot(key.encode()), (key, _never(key))
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        pause = 0.0
        unknown = False
        while True:
            place = self._owners[slot]
            link = None if place is None else self._link(place)
            try:
                if link is None:
                    raise self._unserved(slot)
                reply = await link.evaluate(script, keys, args, until)
                self._moving.discard(slot)
                return reply
            except StorageError as error:
                left = link is not None and link not in self._links.values()
                unknown = unknown or error.outcome == "unknown"
                again = left or place is None or self._is_elsewhere(error, slot, place)
                if not again or self._closed or loop.time() + pause >= until:
                    if unknown:
                        # What was sent to another node before, or to a node that left, may have had its effect.
                        error.outcome = "unknown"
                    raise
                self._moving.add(slot)
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)

    def _is_elsewhere(self, error: StorageError, slot: int, place: _Place) -> bool:
        """Whether a node refused a call for a reason that passes; learn from it."""
        cause = error.__cause__
        code = code_of(cause) if isinstance(cause, ReplyError) else None
        if code == "MOVED":
            # MOVED slot host:port.  A node that does not know the other's name means its own.
            host, _, port = str(cause).split()[2].rpartition(":")
            owner = (host or place[0], int(port))
            self._known.setdefault(owner, self._address.at(*owner))
            self._owners[slot] = owner
            # One slot has moved: others may have, too.
            self._read_again()
            return True
        if code in _UNSETTLED:
            self._read_again()
            return True
        return False

    def _unserved(self, slot: int) -> StorageError:
        self._read_again()
        return BackendUnavailableError(
            f"no node of the cluster at {self._address.url} has slot {slot}",
            backend=BACKEND,
            outcome="not_applied",
            help="see CLUSTER SLOTS",
        )

    def _link(self, place: _Place) -> Link:
        link = self._links.get(place)
        if link is None:
            link = self._links[place] = Link(self._known[place], self._seconds)
            link.on_trouble = self._read_again
            link.start()
        return link

    # Who has which slot.

    def _read_again(self) -> None:
        """Read the map soon, if nobody is reading it."""
        if not self._closed and (self._reading is None or self._reading.done()):
            self._reading = asyncio.get_running_loop().create_task(self._read_map(), name="durable-primitives slots")

    async def _read_map(self) -> StorageError | None:
        """Ask one node after the other; why none of them could tell."""
        failure: StorageError | None = None
        # Those first that are there for certain.
        askable = sorted(self._known, key=lambda place: place not in self._links or not self._links[place].is_connected)
        for place in askable:
            address = self._known[place]
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    rows = await _slot_ranges(address)
            except (*address.refused, address.server_error) as error:
                failure = refusal(error, self._address.url)
                failure.outcome = "not_applied"
            except address.lost as error:
                failure = unreachable(error, self._address.url, outcome="not_applied")
            else:
                if rows:
                    self._take_over(rows, place[0])
                    return None
                failure = BackendUnavailableError(
                    f"the cluster at {self._address.url} has no slots assigned", backend=BACKEND, outcome="not_applied"
                )
        return failure

    def _take_over(self, rows: list[list[Any]], host: str) -> None:
        owners: list[_Place | None] = [None] * SLOTS
        for first, last, *nodes in rows:
            # A node that does not know its own name is the one that was asked.
            places = [(node[0].decode() if node[0] and node[0] != b"?" else host, int(node[1])) for node in nodes]
            owners[first : last + 1] = places[:1] * (last + 1 - first)
            for place in places:
                self._known.setdefault(place, self._address.at(*place))
        self._owners = owners
        for place in self._links.keys() - set(owners):
            # Whoever waits there is told, and asks the node that has the slot now.
            dropping = asyncio.get_running_loop().create_task(self._links.pop(place).drop())
            self._dropping.add(dropping)
            dropping.add_done_callback(self._dropping.discard)


def _never(key: str) -> str:
    """A key of the same slot that does not exist."""
    tag = key[1 : key.index("}")] if key.startswith("{") else key
    return f"{{{tag}}}:never"


async def _slot_ranges(address: Address) -> list[list[Any]]:
    connection = await address.connected()
    try:
        await connection.send_packed_command(connection.pack_command("CLUSTER", "SLOTS"), False)
        rows: list[list[Any]] = await connection.read_response()
        return rows
    finally:
        await connection.disconnect(nowait=True)
