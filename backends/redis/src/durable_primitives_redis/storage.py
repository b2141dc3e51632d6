"""What is asked of the scripts, and of which of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs

from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import LeaseRef, Renewal
from durable_primitives.spi import Lifeline, StoreClock, gathered, split
from durable_primitives_redis import scripts, wire
from durable_primitives_redis.committing import Committing
from durable_primitives_redis.link import Channel
from durable_primitives_redis.partitions import Partitions
from durable_primitives_redis.patience import most_of

SWEEP_ROWS = 1000
"""Rows of one script call: the server serves nobody else meanwhile."""

LOOK_AGAIN_MS = 500
"""When some partitions did not answer."""


class Storage:
    """One namespace, over an open link."""

    def __init__(self, link: Channel, lifeline: Lifeline[Channel], clock: StoreClock, partitions: Partitions) -> None:
        self._link, self._lifeline, self._clock, self._partitions = link, lifeline, clock, partitions
        self._stem, self._groups = partitions.stem, partitions.groups
        self.committing = Committing(link, clock, partitions, self._due, self._is_held_up)

    async def open(self, settings: Sequence[str]) -> list[bytes]:
        """Note the settings in a new store; those that hold, names and values in turn."""
        request = wire.OpenRequest(self._stem, () if self._partitions.spread else self._groups[0], settings)
        found: list[bytes] = await self._link.run(scripts.OPEN, f"{self._stem}:settings", wire.encode(request))
        return found

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        """Blocks."""
        places = [self._partitions.place(lease.instance) for lease in leases]
        members = split(map(self._partitions.group, places))
        calls: list[tuple[str, bytes | str, bytes | str]] = []
        for group, indexes in members.items():
            some, where = [leases[index] for index in indexes], [places[index] for index in indexes]
            request = wire.RenewRequest(self._stem, until, some, where, self._groups[group])
            calls.append((self._partitions.key(where[0]), wire.encode(request), self.committing.channel))
        answers: dict[int, Renewal] = {}
        # If one of the calls failed, all others have had their effect when this raises.
        replies = self._lifeline.run(lambda link: gathered(link.run(scripts.RENEW, *call) for call in calls))
        for indexes, reply in zip(members.values(), replies, strict=True):
            answers.update(zip(indexes, wire.read_renewals(reply), strict=True))
        return [
            structs.replace(answers[index], held=False)
            if self.committing.leases.is_void(lease.instance, lease.token)
            else answers[index]
            for index, lease in enumerate(leases)
        ]

    async def sweep(self, now: int, budget: int) -> int:
        """In steps that are short for the server."""
        gone = 0
        groups = dict(enumerate(self._groups))
        while groups and gone < budget:
            left = budget - gone
            asked = dict(list(groups.items())[:left])
            step = min(left // len(asked), SWEEP_ROWS)
            went = await most_of(
                {
                    group: self._run_at(
                        partitions[0], scripts.SWEEP, wire.SweepRequest(self._stem, partitions, now, step)
                    )
                    for group, partitions in asked.items()
                },
                self._is_held_up,
            )
            gone += sum(map(int, went.values()))
            for group in asked:
                if int(went.get(group, 0)) < step:
                    del groups[group]
        return gone

    async def load(self, instance: str, receipts: Sequence[str], letters: Sequence[str]) -> Snapshot:
        """See `durable_primitives.spi.Storage`, as for the others."""
        place = self._partitions.place(instance)
        request = wire.LoadRequest(self._stem, place, instance, receipts, letters)
        reply = wire.read_load(await self._run_at(place, scripts.LOAD, request))
        return Snapshot(
            reply.record, {one.id: one for one in reply.receipts}, {letter.id: letter for letter in reply.letters}
        )

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        place = self._partitions.place(instance)
        request = wire.ItemsRequest(self._stem, place, instance, segment, after, limit)
        return wire.read_items(await self._run_at(place, scripts.ITEMS, request))

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        place = self._partitions.place(instance)
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
        place = self._partitions.place(instance)
        request = wire.TallyRequest(self._stem, place, instance, now)
        return wire.read_tally(await self._run_at(place, scripts.TALLY, request))

    async def _due(self, at: int, limit: int) -> dict[int, list[int]]:
        """The alarms that have come, by partition."""
        packed = await most_of(
            {
                place: self._run_at(place, scripts.DUE, wire.DueRequest(self._stem, place, at, limit))
                for place in range(self._partitions.count)
            },
            self._is_held_up,
        )
        return {place: wire.read_alarms(one) for place, one in packed.items()}

    async def next_due(self) -> int | None:
        packed = await most_of(
            {
                group: self._run_at(partitions[0], scripts.NEXT_DUE, wire.NextDueRequest(self._stem, partitions))
                for group, partitions in enumerate(self._groups)
            },
            self._is_held_up,
        )
        replies = [wire.read_next_due(one) for one in packed.values()]
        micros = max(reply.micros for reply in replies)
        self._clock.note(micros)
        alarms = [reply.alarm for reply in replies if reply.alarm is not None]
        if len(replies) < len(self._groups):
            # Nobody knows what is due in the others: look again soon.
            alarms.append(micros // 1000 + LOOK_AGAIN_MS)
        return min(alarms, default=None)

    async def _run_at(self, partition: int, script: scripts.Script, request: Struct) -> Any:
        return await self._link.run(script, self._partitions.key(partition), wire.encode(request))

    def _is_held_up(self, group: int) -> bool:
        return self._link.is_held_up(self._partitions.key(self._groups[group][0]))
