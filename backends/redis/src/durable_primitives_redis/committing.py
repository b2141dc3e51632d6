"""A batch of transitions becomes one script call, or a few that are short for the server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import compress

from msgspec import structs

from durable_primitives.kernel.transition import Claim, ClaimRequest, Outcome, Transition, adds
from durable_primitives.spi import StoreClock, split
from durable_primitives_redis import scripts, wire
from durable_primitives_redis.claiming import Claiming, Trip, limited
from durable_primitives_redis.leases import Leases
from durable_primitives_redis.link import Channel, Proof
from durable_primitives_redis.partitions import Partitions
from durable_primitives_redis.spreading import in_parts

IN_FLIGHT = 16
"""Commits that may be on their way at once, on a standalone server; as many replies are kept for each client."""

LARGE_REPLY = 65_536
"""Replies above this size, in bytes, are not kept longer than needed."""

PROOF_SECONDS = 300.0
"""Well below the time that replies are kept (`replay.lua`), and above what a server loses by dying."""

_FENCED = Outcome(verdict="fenced")


class Committing:
    """The commits of one process, numbered, so that one that is sent again has its effect once.

    Args:
        look: The alarms that have come, by partition: (time, limit).
        is_held_up: Whether a group of partitions cannot answer now.
    """

    def __init__(
        self,
        link: Channel,
        clock: StoreClock,
        partitions: Partitions,
        look: Callable[[int, int], Awaitable[Mapping[int, Sequence[int]]]],
        is_held_up: Callable[[int], bool],
    ) -> None:
        self._link, self._clock, self._partitions = link, clock, partitions
        self._numbers = [0] * len(partitions.groups)
        self._answered: list[list[tuple[str, int]]] = [[] for _ in partitions.groups]
        self.client = os.urandom(8).hex()
        self.channel = f"{partitions.stem}:nearer"
        # A slot that moves to another node would let the second of two commits overtake the first.
        self._rooms = [asyncio.Semaphore(1 if partitions.spread else IN_FLIGHT) for _ in partitions.groups]
        self._starting = asyncio.Lock()
        """Held while the calls of a commit begin, one after the other."""
        self.leases = Leases()
        self._remembered, self._remembered_at = 0, 0.0
        if not partitions.spread:
            (node,) = link.nodes()
            node.proof, node.on_forgotten = self._proof, self.leases.forget
        self.claiming = Claiming(look, lambda group, request: self._commit_group(group, (), request), is_held_up)

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> wire.CommitReply:
        """One script call for all of it; on a cluster one for each partition."""
        if not self.leases.void:
            return await self._commit(transitions, request)
        valid = [one.guard is None or not self.leases.is_void(one.instance, one.guard.token) for one in transitions]
        reply = await self._commit(list(compress(transitions, valid)), request)
        answers = iter(reply.outcomes)
        return structs.replace(reply, outcomes=[next(answers) if sent else _FENCED for sent in valid])

    async def _commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> wire.CommitReply:
        kept: Sequence[Claim] = ()
        # Where a partition may be stuck, what was granted elsewhere does not wait for it.
        if request is not None and not (self._partitions.spread and transitions):
            kept, request = self.claiming.kept(request)
        try:
            if self._partitions.spread and not transitions and request is not None:
                replies, outcomes = await self.claiming.anywhere(request), list[Outcome]()
            else:
                replies, outcomes = await self._commit_parts(transitions, request)
        except BaseException:
            self.claiming.keep(kept)
            raise
        if len(replies) == 1 and not kept:
            return replies[0]
        return wire.CommitReply(
            outcomes,
            [*kept, *(claim for reply in replies for claim in reply.claims)],
            min((reply.nearest for reply in replies if reply.nearest is not None), default=None),
            max((reply.micros for reply in replies), default=0),
            [instance for reply in replies for instance in reply.damaged],
        )

    async def _commit_parts(
        self, transitions: Sequence[Transition], request: ClaimRequest | None
    ) -> tuple[list[wire.CommitReply], list[Outcome]]:
        """A call for each group of partitions, and several for one that has much to do; a claim goes with the last."""
        if self._partitions.spread:
            members = split(self._partitions.place(one.instance) for one in transitions)
            shares = {} if request is None else _shares(members, request.limit)
        else:
            members, shares = {0: list(range(len(transitions)))}, {0: 0 if request is None else request.limit}
        parts = [
            (group, part)
            for group in sorted({*members, *shares})
            for part in in_parts(members.get(group, ()), transitions)
        ]
        if len(parts) == 1:
            async with self._starting:
                pass
            reply = await self._commit_group(parts[0][0], transitions, request)
            return [reply], reply.outcomes
        last = {group: index for index, (group, _) in enumerate(parts)}
        trips: dict[int, Trip] = {}
        async with self._starting:
            for index, (group, part) in enumerate(parts):
                share = shares.get(group, 0) if index == last[group] else 0
                wish = None if request is None or not share else limited(request, share)
                trips[index] = asyncio.ensure_future(self._commit_group(group, [transitions[at] for at in part], wish))
            # So that they have begun before whatever is called later.
            await asyncio.sleep(0)
        places = {index: group for index, (group, _) in enumerate(parts)}
        found = await self.claiming.replies(
            trips, places, needed={index for index, (_, part) in enumerate(parts) if part}
        )
        outcomes: dict[int, Outcome] = {}
        for index, reply in found.items():
            outcomes.update(zip(parts[index][1], reply.outcomes, strict=True))
        return list(found.values()), [outcomes[at] for at in range(len(transitions))]

    async def _commit_group(
        self, group: int, transitions: Sequence[Transition], request: ClaimRequest | None
    ) -> wire.CommitReply:
        places = [self._partitions.place(transition.instance) for transition in transitions]
        partitions, stem = self._partitions.groups[group], self._partitions.stem
        async with self._rooms[group]:
            self._numbers[group] += 1
            number = self._numbers[group]
            answered, self._answered[group] = self._answered[group], []
            packed = wire.encode(
                wire.CommitRequest(stem, self.client, number, request, partitions, places, answered, transitions)
            )
            key = self._reply_key(partitions[0], number)
            # What only moves or ends is done on a full server too: it is how that gets room.
            full = "" if any(map(adds, transitions)) else "full"
            data = await self._link.run(scripts.COMMIT, key, packed, self.channel, full)
            if len(data) > LARGE_REPLY:
                self._answered[group].append((key, number))
        reply = wire.read_commit(data)
        self._clock.note(reply.micros)
        self.leases.note(transitions, reply.outcomes, reply.claims)
        if number > self._remembered and (reply.claims or any(one.verdict == "applied" for one in reply.outcomes)):
            self._remembered, self._remembered_at = number, time.monotonic()
        return reply

    def _reply_key(self, partition: int, number: int) -> str:
        return self._partitions.key(partition, f"reply:{self.client}:{number % IN_FLIGHT}")

    def _proof(self) -> Proof | None:
        """What a server that forgot nothing has: our last reply.  What is older is on every disk and replica."""
        if not self._remembered or time.monotonic() - self._remembered_at > PROOF_SECONDS:
            return None
        return Proof(self._reply_key(0, self._remembered), self._remembered)


def _shares(groups: Collection[int], limit: int) -> dict[int, int]:
    """How many instances a claim asks of each group, if it travels with transitions for them."""
    each, rest = divmod(limit, len(groups))
    return {group: each + (index < rest) for index, group in enumerate(groups) if each or index < rest}
