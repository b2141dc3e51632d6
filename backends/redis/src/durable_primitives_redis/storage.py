"""What is asked of the scripts: a namespace of a standalone server, where one script may look at every partition."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from itertools import compress

from msgspec import structs

from durable_primitives.errors import StorageFullError
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import ClaimRequest, LeaseRef, Outcome, Renewal, Transition, adds
from durable_primitives.spi import xxh3_64
from durable_primitives_redis import scripts, wire
from durable_primitives_redis.clock import ServerClock
from durable_primitives_redis.leases import Leases
from durable_primitives_redis.lifeline import Lifeline
from durable_primitives_redis.link import Link, Proof

IN_FLIGHT = 16
"""Commits that may be on their way at once; as many replies are kept for each client."""

SWEEP_ROWS = 1000
"""Rows of one script call: the server serves nobody else meanwhile."""

PROOF_SECONDS = 300.0
"""Well below the time that replies are kept (`replay.lua`), and above what a server loses by dying."""

_KNOWN_PLACES = 100_000
_FENCED = Outcome(verdict="fenced")


class Storage:
    """One namespace, over an open link.

    Args:
        stem: The beginning of the hash tags of its partitions.
        partitions: Over how many its instances are spread.
    """

    def __init__(self, link: Link, lifeline: Lifeline, clock: ServerClock, stem: str, partitions: int) -> None:
        self._link, self._lifeline, self._clock = link, lifeline, clock
        self._stem, self._partitions = stem, partitions
        self._all = tuple(range(partitions))
        self.client = os.urandom(8).hex()
        self.channel = f"{stem}:nearer"
        self._number = 0
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._leases = Leases()
        self._remembered, self._remembered_at = 0, 0.0
        link.proof, link.on_forgotten = self._proof, self._leases.forget
        self._places: dict[str, int] = {}
        self._key = self._tagged(0, "any")

    async def open(self, settings: Sequence[str]) -> list[bytes]:
        """Note the settings in a new store; those that hold, names and values in turn."""
        request = wire.OpenRequest(self._stem, self._all, settings)
        found: list[bytes] = await self._link.run(scripts.OPEN, f"{self._stem}:settings", wire.encode(request))
        return found

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> wire.CommitReply:
        """One script call for all of it."""
        async with self._room:
            if not self._leases.void:
                return await self._commit(transitions, request)
            valid = [
                one.guard is None or not self._leases.is_void(one.instance, one.guard.token) for one in transitions
            ]
            reply = await self._commit(list(compress(transitions, valid)), request)
            answers = iter(reply.outcomes)
            return structs.replace(reply, outcomes=[next(answers) if sent else _FENCED for sent in valid])

    async def _commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> wire.CommitReply:
        places = [self._place(transition.instance) for transition in transitions]
        self._number += 1
        number = self._number
        packed = wire.encode(
            wire.CommitRequest(self._stem, self.client, number, request, self._all, places, transitions)
        )
        key = self._reply_key(number)
        try:
            answer = await self._link.run(scripts.COMMIT, key, packed, self.channel, "")
        except StorageFullError:
            if any(adds(transition) for transition in transitions):
                raise
            # What only moves or ends is done all the same: it is how a full store gets room.
            answer = await self._link.run(scripts.COMMIT, key, packed, self.channel, "full")
        reply = wire.read_commit(answer)
        self._clock.note(reply.micros)
        self._leases.note(transitions, reply.outcomes, reply.claims)
        if number > self._remembered and (reply.claims or any(one.verdict == "applied" for one in reply.outcomes)):
            self._remembered, self._remembered_at = number, time.monotonic()
        return reply

    def _reply_key(self, number: int) -> str:
        return self._tagged(0, f"reply:{self.client}:{number % IN_FLIGHT}")

    def _proof(self) -> Proof | None:
        """What a server that forgot nothing has: our last reply.  What is older is on every disk and replica."""
        if not self._remembered or time.monotonic() - self._remembered_at > PROOF_SECONDS:
            return None
        return Proof(self._reply_key(self._remembered), self._remembered)

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        """Blocks."""
        places = [self._place(lease.instance) for lease in leases]
        packed = wire.encode(wire.RenewRequest(self._stem, until, leases, places, self._all))
        answers = wire.read_renewals(self._lifeline.run(scripts.RENEW, self._key, packed, self.channel))
        return [
            structs.replace(answer, held=False) if self._leases.is_void(lease.instance, lease.token) else answer
            for lease, answer in zip(leases, answers, strict=True)
        ]

    async def sweep(self, now: int, budget: int) -> int:
        """In steps that are short for the server."""
        gone = 0
        while gone < budget:
            step = min(budget - gone, SWEEP_ROWS)
            packed = wire.encode(wire.SweepRequest(self._stem, self._all, now, step))
            went = int(await self._link.run(scripts.SWEEP, self._key, packed))
            gone += went
            if went < step:
                break
        return gone

    async def load(self, instance: str, receipts: Sequence[str], letters: Sequence[str]) -> Snapshot:
        """See `durable_primitives.spi.Storage`, as for the others."""
        request = wire.LoadRequest(self._stem, self._place(instance), instance, receipts, letters)
        reply = wire.read_load(await self._link.run(scripts.LOAD, self._key, wire.encode(request)))
        return Snapshot(
            reply.record, {one.id: one for one in reply.receipts}, {letter.id: letter for letter in reply.letters}
        )

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        request = wire.ItemsRequest(self._stem, self._place(instance), instance, segment, after, limit)
        return wire.read_items(await self._link.run(scripts.ITEMS, self._key, wire.encode(request)))

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        request = wire.LettersRequest(self._stem, self._place(instance), instance, after, limit)
        return wire.read_letters(await self._link.run(scripts.LETTERS, self._key, wire.encode(request)))

    async def scan(self, prefix: str, after: str, limit: int) -> Sequence[Record]:
        first = f"({after}" if after >= prefix else f"[{prefix}"
        request = wire.ScanRequest(self._stem, self._all, first, prefix, limit)
        found = wire.read_records(await self._link.run(scripts.SCAN, self._key, wire.encode(request)))
        found.sort(key=lambda record: record.instance)
        return found[:limit]

    async def tally(self, instance: str, now: int) -> Tally:
        request = wire.TallyRequest(self._stem, self._place(instance), instance, now)
        return wire.read_tally(await self._link.run(scripts.TALLY, self._key, wire.encode(request)))

    async def next_due(self) -> int | None:
        request = wire.NextDueRequest(self._stem, self._all)
        reply = wire.read_next_due(await self._link.run(scripts.NEXT_DUE, self._key, wire.encode(request)))
        self._clock.note(reply.micros)
        return reply.alarm

    def _tagged(self, partition: int, name: str) -> str:
        return f"{{{self._stem}:{partition}}}:{name}"

    def _place(self, instance: str) -> int:
        """The partition of an instance: where its rows are, for as long as the store exists."""
        place = self._places.get(instance)
        if place is None:
            if len(self._places) >= _KNOWN_PLACES:
                self._places.clear()
            place = self._places[instance] = xxh3_64(instance.encode()) % self._partitions
        return place
