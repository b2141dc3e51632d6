"""Which object is asked what."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from durable_primitives.errors import PayloadTooLargeError, StorageError
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import ClaimRequest, LeaseRef, Outcome, Renewal, Transition
from durable_primitives.spi import Lifeline, gathered, split, xxh3_64
from durable_primitives_cloudflare.remote import wire
from durable_primitives_cloudflare.remote.failures import BACKEND
from durable_primitives_cloudflare.remote.link import MAX_BODY, Link

PART_BYTES = 8 << 20
"""Of the transitions of one request, unless it is a single one."""

MAX_TRANSITION = MAX_BODY - 65_536
"""Bytes of one transition as it travels: a request has room for it and for a claim."""


class Partitions:
    """One store, over an open link.

    Args:
        store: Its name at the host.
        count: Over how many objects its instances are spread.
    """

    def __init__(self, link: Link, lifeline: Lifeline[Link], store: str, count: int) -> None:
        self._link, self._lifeline = link, lifeline
        self.store, self._count = store, count
        self._client = os.urandom(8).hex()
        self._numbers = [0] * count
        # The host keeps the answer to one commit of each client, the last one.
        self._turns = [asyncio.Lock() for _ in range(count)]

    async def open(self, settings: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Note the settings in a new store; those that hold."""
        return dict(wire.read_settings(await self._call(0, "open", settings)))

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> wire.CommitReply:
        """One request for all of it where the store is one object."""
        packed, uploads = _packed(transitions)
        for index, payloads in uploads.items():
            await self._upload(self._place(transitions[index].instance), payloads)
        if self._count == 1:
            return await self._commit_at(0, packed, request)
        members = split(self._place(transition.instance) for transition in transitions)
        try:
            replies = await gathered(
                self._commit_at(place, [packed[index] for index in indexes], None) for place, indexes in members.items()
            )
        except PayloadTooLargeError as error:
            if len(members) == 1:
                raise
            raise _torn(error) from error
        outcomes: dict[int, Outcome] = {}
        for indexes, reply in zip(members.values(), replies, strict=True):
            outcomes.update(zip(indexes, reply.outcomes, strict=True))
        if request is not None:
            try:
                replies += await self._claim(request)
            except StorageError as error:
                if transitions:
                    error.outcome = "unknown"
                raise
        return _joined(replies, [outcomes[index] for index in range(len(transitions))])

    async def _upload(self, place: int, payloads: Mapping[str, bytes]) -> None:
        """Send ahead what is too long for one request.  If no commit speaks of it within an hour, a sweep takes it."""
        for name, payload in payloads.items():
            for number, part in enumerate(wire.parts_of(payload)):
                await self._call(place, "upload", (name, number, part))

    async def _claim(self, request: ClaimRequest) -> list[wire.CommitReply]:
        """Ask those partitions that have the earliest alarms, until nothing more is due."""
        replies: list[wire.CommitReply] = []
        left = request.limit
        while left > 0:
            packed = await gathered(self._call(place, "due", (request.at, left)) for place in range(self._count))
            due = sorted((alarm, place) for place, some in enumerate(packed) for alarm in wire.read_alarms(some))
            if not due:
                break
            # Another worker may be quicker in some of them: then the next look shows it.
            shares = Counter(place for _, place in due[:left])
            got = await gathered(
                self._commit_at(place, (), structs.replace(request, limit=share)) for place, share in shares.items()
            )
            left -= sum(len(reply.claims) for reply in got)
            replies += got
        return replies

    async def _commit_at(self, place: int, packed: Sequence[bytes], request: ClaimRequest | None) -> wire.CommitReply:
        parts = _in_parts(packed)
        replies: list[wire.CommitReply] = []
        try:
            for part in parts[:-1]:
                replies.append(await self._send(place, part, None))
            replies.append(await self._send(place, parts[-1], request))
        except StorageError as error:
            if replies:
                error.outcome = "unknown"
            raise
        except PayloadTooLargeError as error:
            if not replies:
                raise
            raise _torn(error) from error
        return _joined(replies, [outcome for reply in replies for outcome in reply.outcomes])

    async def _send(self, place: int, part: Sequence[bytes], request: ClaimRequest | None) -> wire.CommitReply:
        async with self._turns[place]:
            self._numbers[place] += 1
            query = f"client={self._client}&number={self._numbers[place]}"
            body = wire.joined(part, wire.encode(request))
            reply: wire.CommitReply | None = wire.read_commit(
                await self._link.call(self.store, place, "commit", body, query)
            )
        if reply is None:
            raise StorageError(
                f"{self._link.url} no longer knows what it answered first", backend=BACKEND, outcome="unknown"
            )
        return reply

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        """Blocks."""
        answers: dict[int, Renewal] = {}
        for place, indexes in split(self._place(lease.instance) for lease in leases).items():
            body = wire.encode(([leases[index] for index in indexes], until))
            reply = wire.read_renewals(self._renewals(place, body))
            answers.update(zip(indexes, reply, strict=True))
        return [answers[index] for index in range(len(leases))]

    def _renewals(self, place: int, body: bytes) -> bytes:
        return self._lifeline.run(lambda link: link.call(self.store, place, "renew", body))

    async def sweep(self, now: int, budget: int) -> int:
        """One partition after the other."""
        gone = 0
        for place in range(self._count):
            if gone < budget:
                gone += wire.read_count(await self._call(place, "sweep", (now, budget - gone)))
        return gone

    async def load(self, instance: str, receipts: Sequence[str], letters: Sequence[str]) -> Snapshot:
        """See `durable_primitives.spi.Storage`, as for the others."""
        reply = wire.read_load(await self._ask(instance, "load", (instance, receipts, letters)))
        whole = await self._whole(instance, reply.letters)
        return Snapshot(reply.record, {one.id: one for one in reply.receipts}, {letter.id: letter for letter in whole})

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        found: list[Item] = []
        more = True
        while more and len(found) < limit:
            start = found[-1].seq if found else after
            page, more = wire.read_items(
                await self._ask(instance, "items", (instance, segment, start, limit - len(found)))
            )
            found += page
        return found

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        found: list[DeadLetter] = []
        more = True
        while more and len(found) < limit:
            page, more = wire.read_letters(await self._ask(instance, "letters", (instance, after, limit - len(found))))
            found += await self._whole(instance, page)
            after = page[-1][0].id if page else after
        return found

    async def _whole(self, instance: str, sent: Sequence[wire.SentLetter]) -> list[DeadLetter]:
        """With the payloads that are longer than a reply; one that left meanwhile is left out."""
        found: list[DeadLetter] = []
        for letter, count in sent:
            parts = [letter.payload]
            for number in range(count):
                part = wire.read_part(await self._ask(instance, "letter_part", (instance, letter.id, number)))
                if part is None:
                    break
                parts.append(part)
            else:
                found.append(structs.replace(letter, payload=b"".join(parts)))
        return found

    async def scan(self, prefix: str, after: str, limit: int) -> Sequence[Record]:
        pages = await gathered(self._call(place, "scan", (prefix, after, limit)) for place in range(self._count))
        found = [record for page in pages for record in wire.read_records(page)]
        found.sort(key=lambda record: record.instance)
        return found[:limit]

    async def tally(self, instance: str, now: int) -> Tally:
        return wire.read_tally(await self._ask(instance, "tally", (instance, now)))

    async def next_due(self) -> int | None:
        heads = await gathered(self._call(place, "next_due", ()) for place in range(self._count))
        alarms = [wire.read_alarm(head) for head in heads]
        return min((alarm for alarm in alarms if alarm is not None), default=None)

    async def usage(self) -> Usage:
        """What the objects have counted since they began."""
        counts: Counter[str] = Counter()
        for place in range(self._count):
            counts.update(wire.read_usage(await self._call(place, "usage", ())))
        return Usage(**counts)

    async def _ask(self, instance: str, verb: str, body: object) -> bytes:
        return await self._call(self._place(instance), verb, body)

    async def _call(self, place: int, verb: str, body: object) -> bytes:
        return await self._link.call(self.store, place, verb, wire.encode(body))

    def _place(self, instance: str) -> int:
        """The partition of an instance: where its rows are, for as long as the store exists."""
        return xxh3_64(instance.encode()) % self._count if self._count > 1 else 0


class Usage(Struct, frozen=True, kw_only=True):
    """What the objects of a store did since each of them began: what Cloudflare counts."""

    requests: int = 0
    alarms: int = 0
    """They count as requests too."""
    calls: int = 0
    """Of the engine."""
    armings: int = 0
    rows_written: int = 0
    """Armings included."""


def _torn(error: PayloadTooLargeError) -> StorageError:
    """For a change of which only a part was refused."""
    return StorageError(str(error), backend=BACKEND, outcome="unknown")


def _packed(transitions: Sequence[Transition]) -> tuple[list[bytes], dict[int, dict[str, bytes]]]:
    """What goes in requests, and by position what has to be sent ahead of it.

    Raises:
        PayloadTooLargeError: One is too long even so.
    """
    packed = [wire.packed(transition) for transition in transitions]
    uploads: dict[int, dict[str, bytes]] = {}
    for index, transition in enumerate(transitions):
        if len(packed[index]) > MAX_TRANSITION:
            packed[index] = wire.packed(transition, uploads.setdefault(index, {}))
    largest = max(map(len, packed), default=0)
    if largest > MAX_TRANSITION:
        raise PayloadTooLargeError(largest, MAX_TRANSITION, "encoded change of one instance")
    return packed, uploads


def _in_parts(transitions: Sequence[bytes]) -> list[Sequence[bytes]]:
    """In their order, each part within `PART_BYTES` if it can be."""
    parts: list[Sequence[bytes]] = []
    start = size = 0
    for index, transition in enumerate(transitions):
        if size and size + len(transition) > PART_BYTES:
            parts.append(transitions[start:index])
            start, size = index, 0
        size += len(transition)
    parts.append(transitions[start:])
    return parts


def _joined(replies: Sequence[wire.CommitReply], outcomes: list[Outcome]) -> wire.CommitReply:
    """One reply made of several."""
    if len(replies) == 1:
        return replies[0]
    return wire.CommitReply(
        outcomes,
        [claim for reply in replies for claim in reply.claims],
        min((reply.nearest for reply in replies if reply.nearest is not None), default=None),
    )
