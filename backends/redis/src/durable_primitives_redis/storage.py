"""What is asked of the scripts, and of which of them."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any

from msgspec import Struct, structs

from durable_primitives.errors import StorageFullError
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import ClaimRequest, LeaseRef, Outcome, Renewal, Transition, adds
from durable_primitives.spi import StoreClock, gathered, split, xxh3_64
from durable_primitives_redis import scripts, wire
from durable_primitives_redis.failures import sent_again_after
from durable_primitives_redis.leases import Leases
from durable_primitives_redis.lifeline import Lifeline
from durable_primitives_redis.link import Channel, Proof
from durable_primitives_redis.spreading import in_parts

IN_FLIGHT = 16
"""Commits that may be on their way at once, on a standalone server; as many replies are kept for each client."""

LARGE_REPLY = 65_536
"""Replies above this size, in bytes, are not kept longer than needed."""

SWEEP_ROWS = 1000
"""Rows of one script call: the server serves nobody else meanwhile."""

PROOF_SECONDS = 300.0
"""Well below the time that replies are kept (`replay.lua`), and above what a server loses by dying."""

_KNOWN_PLACES = 100_000
_FENCED = Outcome(verdict="fenced")


class Storage:
    """One namespace, over an open link.

    A script sees one group of partitions: all of them on a standalone server, on a cluster each by itself.

    Args:
        stem: The beginning of the hash tags of its partitions.
        partitions: Over how many its instances are spread.
    """

    def __init__(self, link: Channel, lifeline: Lifeline, clock: StoreClock, stem: str, partitions: int) -> None:
        self._link, self._lifeline, self._clock = link, lifeline, clock
        self._stem, self._partitions = stem, partitions
        everything = tuple(range(partitions))
        self._groups = [(one,) for one in everything] if link.spread else [everything]
        self._numbers = [0] * len(self._groups)
        self._answered: list[list[tuple[str, int]]] = [[] for _ in self._groups]
        self.client = os.urandom(8).hex()
        self.channel = f"{stem}:nearer"
        # A slot that moves to another node would let the second of two commits overtake the first.
        self._rooms = [asyncio.Semaphore(1 if link.spread else IN_FLIGHT) for _ in self._groups]
        self._leases = Leases()
        self._remembered, self._remembered_at = 0, 0.0
        if not link.spread:
            (node,) = link.nodes()
            node.proof, node.on_forgotten = self._proof, self._leases.forget
        self._places: dict[str, int] = {}
        self._turn = 0

    async def open(self, settings: Sequence[str]) -> list[bytes]:
        """Note the settings in a new store; those that hold, names and values in turn."""
        request = wire.OpenRequest(self._stem, () if self._link.spread else self._groups[0], settings)
        found: list[bytes] = await self._link.run(scripts.OPEN, f"{self._stem}:settings", wire.encode(request))
        return found

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> wire.CommitReply:
        """One script call for all of it; on a cluster one for each partition."""
        if not self._leases.void:
            return await self._commit(transitions, request)
        valid = [one.guard is None or not self._leases.is_void(one.instance, one.guard.token) for one in transitions]
        reply = await self._commit(list(compress(transitions, valid)), request)
        answers = iter(reply.outcomes)
        return structs.replace(reply, outcomes=[next(answers) if sent else _FENCED for sent in valid])

    async def _commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> wire.CommitReply:
        if not self._link.spread:
            parts = in_parts(transitions)
            if len(parts) == 1:
                return await self._commit_group(0, transitions, request)
            last = len(parts) - 1
            replies = await gathered(
                self._commit_group(0, part, request if index == last else None) for index, part in enumerate(parts)
            )
            return _joined(replies, [outcome for reply in replies for outcome in reply.outcomes])
        if not transitions and request is not None:
            return await self._claim_anywhere(request)
        members = split(self._place(transition.instance) for transition in transitions)
        shares = {} if request is None else self._shares(members, request.limit)
        groups = sorted({*members, *shares})
        replies = await gathered(
            self._commit_group(
                group, [transitions[index] for index in members.get(group, ())], _limited(request, shares.get(group, 0))
            )
            for group in groups
        )
        outcomes: dict[int, Outcome] = {}
        for group, reply in zip(groups, replies, strict=True):
            outcomes.update(zip(members.get(group, ()), reply.outcomes, strict=True))
        return _joined(replies, [outcomes[index] for index in range(len(transitions))])

    def _shares(self, members: Iterable[int], limit: int) -> dict[int, int]:
        """A claim that travels with transitions asks their partitions, and one more in turn."""
        self._turn = (self._turn + 1) % self._partitions
        chosen = list(dict.fromkeys([*members, self._turn]))
        each, rest = divmod(limit, len(chosen))
        return {group: each + (index < rest) for index, group in enumerate(chosen) if each or index < rest}

    async def _claim_anywhere(self, request: ClaimRequest) -> wire.CommitReply:
        """A claim that travels alone asks the partitions that have the earliest alarms, until nothing more is due."""
        replies: list[wire.CommitReply] = []
        left = request.limit
        while left > 0:
            alarms = await gathered(
                self._run_at(place, scripts.DUE, wire.DueRequest(self._stem, place, request.at, left))
                for place in range(self._partitions)
            )
            due = sorted((alarm, place) for place, packed in enumerate(alarms) for alarm in wire.read_alarms(packed))
            if not due:
                break
            # Another worker may be quicker in some of them: then the next look shows it.
            shares = Counter(place for _, place in due[:left])
            got = await gathered(self._commit_group(group, (), _limited(request, n)) for group, n in shares.items())
            left -= sum(len(reply.claims) for reply in got)
            replies += got
        return _joined(replies, [])

    async def _commit_group(
        self, group: int, transitions: Sequence[Transition], request: ClaimRequest | None
    ) -> wire.CommitReply:
        places = [self._place(transition.instance) for transition in transitions]
        partitions = self._groups[group]
        async with self._rooms[group]:
            self._numbers[group] += 1
            number = self._numbers[group]
            answered, self._answered[group] = self._answered[group], []
            packed = wire.encode(
                wire.CommitRequest(self._stem, self.client, number, request, partitions, places, answered, transitions)
            )
            key = self._reply_key(partitions[0], number)
            try:
                data = await self._link.run(scripts.COMMIT, key, packed, self.channel, "")
            except StorageFullError as full:
                if any(adds(transition) for transition in transitions):
                    raise
                # What only moves or ends is done all the same: it is how a full store gets room.
                with sent_again_after(full):
                    data = await self._link.run(scripts.COMMIT, key, packed, self.channel, "full")
            if len(data) > LARGE_REPLY:
                self._answered[group].append((key, number))
        reply = wire.read_commit(data)
        self._clock.note(reply.micros)
        self._leases.note(transitions, reply.outcomes, reply.claims)
        if number > self._remembered and (reply.claims or any(one.verdict == "applied" for one in reply.outcomes)):
            self._remembered, self._remembered_at = number, time.monotonic()
        return reply

    def _reply_key(self, partition: int, number: int) -> str:
        return self._tagged(partition, f"reply:{self.client}:{number % IN_FLIGHT}")

    def _proof(self) -> Proof | None:
        """What a server that forgot nothing has: our last reply.  What is older is on every disk and replica."""
        if not self._remembered or time.monotonic() - self._remembered_at > PROOF_SECONDS:
            return None
        return Proof(self._reply_key(0, self._remembered), self._remembered)

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        """Blocks."""
        places = [self._place(lease.instance) for lease in leases]
        members = split(place if self._link.spread else 0 for place in places)
        answers: dict[int, Renewal] = {}
        for group, indexes in members.items():
            some, where = [leases[index] for index in indexes], [places[index] for index in indexes]
            packed = wire.encode(wire.RenewRequest(self._stem, until, some, where, self._groups[group]))
            reply = self._lifeline.run(scripts.RENEW, self._tagged(where[0], "any"), packed, self.channel)
            answers.update(zip(indexes, wire.read_renewals(reply), strict=True))
        return [
            structs.replace(answers[index], held=False)
            if self._leases.is_void(lease.instance, lease.token)
            else answers[index]
            for index, lease in enumerate(leases)
        ]

    async def sweep(self, now: int, budget: int) -> int:
        """In steps that are short for the server."""
        gone = 0
        for partitions in self._groups:
            while gone < budget:
                step = min(budget - gone, SWEEP_ROWS)
                request = wire.SweepRequest(self._stem, partitions, now, step)
                went = int(await self._run_at(partitions[0], scripts.SWEEP, request))
                gone += went
                if went < step:
                    break
        return gone

    async def load(self, instance: str, receipts: Sequence[str], letters: Sequence[str]) -> Snapshot:
        """See `durable_primitives.spi.Storage`, as for the others."""
        place = self._place(instance)
        request = wire.LoadRequest(self._stem, place, instance, receipts, letters)
        reply = wire.read_load(await self._run_at(place, scripts.LOAD, request))
        return Snapshot(
            reply.record, {one.id: one for one in reply.receipts}, {letter.id: letter for letter in reply.letters}
        )

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        place = self._place(instance)
        request = wire.ItemsRequest(self._stem, place, instance, segment, after, limit)
        return wire.read_items(await self._run_at(place, scripts.ITEMS, request))

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        place = self._place(instance)
        request = wire.LettersRequest(self._stem, place, instance, after, limit)
        return wire.read_letters(await self._run_at(place, scripts.LETTERS, request))

    async def scan(self, prefix: str, after: str, limit: int) -> Sequence[Record]:
        first = f"({after}" if after >= prefix else f"[{prefix}"
        pages = await gathered(
            self._run_at(partitions[0], scripts.SCAN, wire.ScanRequest(self._stem, partitions, first, prefix, limit))
            for partitions in self._groups
        )
        found = [record for page in pages for record in wire.read_records(page)]
        found.sort(key=lambda record: record.instance)
        return found[:limit]

    async def tally(self, instance: str, now: int) -> Tally:
        place = self._place(instance)
        request = wire.TallyRequest(self._stem, place, instance, now)
        return wire.read_tally(await self._run_at(place, scripts.TALLY, request))

    async def next_due(self) -> int | None:
        packed = await gathered(
            self._run_at(partitions[0], scripts.NEXT_DUE, wire.NextDueRequest(self._stem, partitions))
            for partitions in self._groups
        )
        replies = [wire.read_next_due(one) for one in packed]
        self._clock.note(max(reply.micros for reply in replies))
        return min((reply.alarm for reply in replies if reply.alarm is not None), default=None)

    async def _run_at(self, partition: int, script: scripts.Script, request: Struct) -> Any:
        return await self._link.run(script, self._tagged(partition, "any"), wire.encode(request))

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


def _limited(request: ClaimRequest | None, limit: int) -> ClaimRequest | None:
    return structs.replace(request, limit=limit) if request is not None and limit else None


def _joined(replies: Sequence[wire.CommitReply], outcomes: list[Outcome]) -> wire.CommitReply:
    """One reply made of those of several partitions."""
    return wire.CommitReply(
        outcomes,
        [claim for reply in replies for claim in reply.claims],
        min((reply.nearest for reply in replies if reply.nearest is not None), default=None),
        max((reply.micros for reply in replies), default=0),
    )
