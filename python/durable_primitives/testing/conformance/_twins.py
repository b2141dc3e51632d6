"""A backend and the reference, driven side by side through a history of steps, and compared after each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives.kernel.record import NEVER, Item, Record
from durable_primitives.kernel.transition import (
    Batching,
    Burial,
    ClaimRequest,
    Clear,
    Create,
    Due,
    Guard,
    LeaseRef,
    NewItem,
    Put,
    Reschedule,
    Retire,
    Transition,
)
from durable_primitives.testing.conformance._store import (
    ALL,
    Parts,
    Picture,
    Store,
    buried,
    check,
    check_same,
    removed,
)

LEASE_MS = 40
LINGER_MS = 60
WINDOW_MS = 30


class Step(Protocol):
    """One thing that happens.  What depends on the state of the store is chosen by looking at the reference."""

    async def play(self, twins: Twins) -> None:
        """Let it happen to both."""


class Twins:
    """The backend and the reference, at one moment of a history of one instance."""

    def __init__(self, store: Store, instance: str) -> None:
        self.store, self.instance = store, instance
        self.reference = MemoryStore()
        self.now = 0
        self._waiting: list[Transition] = []
        self._payloads = 0

    async def live(self, history: Sequence[Step]) -> None:
        """Play a history; fail at the first step after which the two differ."""
        for step in history:
            await step.play(self)
            if not self._waiting:
                await self.compare()
        await self.submit()
        await self.compare()

    async def commit(self, later: bool = False, **parts: Any) -> None:
        """Commit to both now, or in one round trip with what comes next."""
        self._waiting.append(Transition(instance=self.instance, at=self.now, **parts))
        if not later:
            await self.submit()

    async def submit(self, request: ClaimRequest | None = None) -> None:
        """Commit to both what waits."""
        batch, self._waiting = self._waiting, []
        outcomes, claims = await self.store.commit(*batch, request=request)
        expected, expected_claims = self.reference.commit(batch, request)
        for transition, outcome, wanted in zip(batch, outcomes, expected, strict=True):
            check(f"the outcome of {shown(transition)}", outcome, wanted)
        check(f"the claims at {self.now}", list(claims), expected_claims)

    async def claim(self, take: int) -> None:
        """Claim from both, after what waits."""
        await self.submit(ClaimRequest(owner="worker", at=self.now, lease_ms=LEASE_MS, limit=ALL, take=take))

    async def owned(self) -> Record | None:
        """The record, if it has an owner; it gets one now if it can be claimed."""
        await self.submit()
        record = self.record()
        if record is not None and record.owner is None:
            await self.claim(take=3)
            record = self.record()
        return None if record is None or record.owner is None else record

    async def compare(self) -> None:
        """Everything that can be seen."""
        check_same(f"at {self.now}", await self.store.picture(self.instance, self.now), self.picture())
        scanned = await self.store.backend.scan("", "", ALL)
        check(f"scan at {self.now}", list(scanned), self.reference.scan("", "", ALL))

    def payload(self) -> bytes:
        """Bytes that no other event of the history has."""
        self._payloads += 1
        return b"%d" % self._payloads

    def record(self) -> Record | None:
        """As the reference has it."""
        return self.reference.load(self.instance, (), ()).record

    def items(self, record: Record) -> list[Item]:
        """As the reference has them, over all segments."""
        segments = range(record.segment + 1)
        return [item for segment in segments for item in self.reference.items(self.instance, segment, 0, ALL)]

    def picture(self) -> Picture:
        """What the reference shows."""
        letters = self.reference.letters(self.instance, "", ALL)
        snapshot = self.reference.load(self.instance, self.store.known_ids(self.instance), ())
        items = [] if snapshot.record is None else self.items(snapshot.record)
        tally = self.reference.tally(self.instance, self.now)
        return Picture(snapshot.record, snapshot.receipts, items, letters, tally, self.reference.next_due())


def shown(transition: Transition) -> str:
    """Those parts of a transition that are not empty."""
    empty = Transition(instance=transition.instance, at=transition.at)
    parts = {name: getattr(transition, name) for name in transition.__struct_fields__}
    said = ", ".join(f"{name}={value!r}" for name, value in parts.items() if value != getattr(empty, name))
    return f"Transition(at={transition.at}, {said})"


# What happens to instances of every kind.


class Vanish(Struct):
    """Time passes, and another worker claims what the last one left."""

    ms: int
    take: int

    async def play(self, twins: Twins) -> None:
        twins.now += self.ms
        await twins.claim(self.take)


class Change(Struct):
    """The record's own part is written, under a guard that holds or does not."""

    wish: str
    held: bool
    linger: int | None
    dues: tuple[Due, ...]
    later: bool

    async def play(self, twins: Twins) -> None:
        record = twins.record()
        version, generation = (0, 1) if record is None else (record.version, record.generation)
        guards = {
            "none": None,
            "version": Guard(version=version),
            "old version": Guard(version=version - 1),
            "generation": Guard(generation=generation),
            "old generation": Guard(generation=generation - 1),
            "segment": Guard(segment=0 if record is None else record.segment),
            "old segment": Guard(segment=0),
            "exists": Guard(exists=True),
            "absent": Guard(exists=False),
        }
        put = Put(status="put", data=twins.payload(), held=self.held, linger_ms=self.linger)
        await twins.commit(self.later, guard=guards[self.wish], put=put, dues=self.dues)


class Turn(Struct):
    """What happens rarely: ids without items, a clear, a termination, a restart."""

    what: str
    later: bool

    async def play(self, twins: Twins) -> None:
        record = twins.record()
        put = Put(status=self.what, data=twins.payload(), linger_ms=LINGER_MS)
        words: dict[str, Parts] = {
            "remember": {"remember": ("a", "folded"), "put": put},
            "clear": {"clear": Clear(0 if record is None else record.segment, twins.now + LINGER_MS)},
            "erase": {"erase": True},
            "restart": {"erase": True, "put": put},
            "begin anew": {"erase": True, "create": Create(status="live", linger_ms=LINGER_MS)},
        }
        await twins.commit(self.later, **words[self.what])


class Renew(Struct):
    """A heartbeat, of the owner or of one that is none any more."""

    late: bool

    async def play(self, twins: Twins) -> None:
        await twins.submit()
        record = twins.record()
        refs = [] if record is None else [LeaseRef(record.instance, record.token - self.late)]
        answers = twins.store.backend.renew(refs, twins.now + LEASE_MS)
        check("renew", list(answers), twins.reference.renew(refs, twins.now + LEASE_MS))


class Sweep(Struct):
    """Time passes and what has outlived it goes."""

    ms: int

    async def play(self, twins: Twins) -> None:
        await twins.submit()
        twins.now += self.ms
        # How many rows go at a time is the backend's own affair; what is left is not.
        while await twins.store.backend.sweep(twins.now, ALL):
            pass
        while twins.reference.sweep(twins.now, ALL):
            pass


class Reopen(Struct):
    """The process is gone; the store is opened again, if it is one that stays."""

    async def play(self, twins: Twins) -> None:
        await twins.submit()
        if twins.store.backend.capabilities.durable:
            twins.store = await twins.store.reopen()


# What happens to a queue.


class Enqueue(Struct):
    """Events come in."""

    ids: list[str | None]
    lane: str | None
    delay: int
    rank: int
    blocks: bool
    room: int | None
    on_full: Literal["reject", "drop_oldest"]
    dues: tuple[Due, ...]
    later: bool

    async def play(self, twins: Twins) -> None:
        due = twins.now + self.delay if self.delay else 0
        append = tuple(NewItem(id, twins.payload(), self.lane, due, self.rank, blocks=self.blocks) for id in self.ids)
        create = Create(status="live", linger_ms=LINGER_MS)
        guard = Guard(room=self.room)
        await twins.commit(self.later, guard=guard, create=create, append=append, on_full=self.on_full, dues=self.dues)


class Work(Struct):
    """The owner says what became of each item in its hands, takes others, and may let go."""

    fates: list[str]
    delay: int
    blocks: bool
    take: int
    release: Literal["no", "idle", "yes"]
    stale: bool
    progress: bool
    dues: tuple[Due, ...]
    ms: int

    async def play(self, twins: Twins) -> None:
        twins.now += self.ms
        record = await twins.owned()
        if record is None:
            return
        hand = [item for item in twins.items(record) if item.seq in record.taken]
        met: dict[str, list[Item]] = {fate: hand[n :: len(self.fates)] for n, fate in enumerate(self.fates)}
        due = twins.now + self.delay if self.delay else 0
        end = twins.now + LINGER_MS
        await twins.commit(
            guard=Guard(token=record.token - self.stale),
            remove=tuple(removed(item, expires_at=end) for item in met["done"]),
            reschedule=tuple(Reschedule(i, due, i.attempt + 1, 0, "boom", self.blocks) for i in met["retry"]),
            bury=tuple(buried(item, expires_at=end) for item in met["dead"]),
            give_back=tuple(item.seq for item in met["back"]),
            mark=tuple(replace(item, delivery=item.delivery + 1) for item in met["mark"]),
            progress=self.progress,
            take=self.take,
            release=self.release,
            dues=self.dues,
        )


class Name(Struct):
    """Events are cancelled, or dead ones redriven or discarded, by their ids."""

    what: Literal["cancel", "redrive", "discard"]
    ids: list[str]
    later: bool

    async def play(self, twins: Twins) -> None:
        parts: Parts = {self.what: tuple(self.ids)}
        await twins.commit(self.later, **parts)


# What happens to a buffer.


class Add(Struct):
    """Events join the open segment."""

    ids: list[str]
    seal: bool
    dues: tuple[Due, ...]
    later: bool

    async def play(self, twins: Twins) -> None:
        await twins.commit(
            self.later,
            create=Create(status="open", segment=1, linger_ms=LINGER_MS),
            append=tuple(NewItem(id, twins.payload(), due=NEVER) for id in self.ids),
            batching=Batching(3, WINDOW_MS),
            seal=self.seal,
            dues=self.dues,
        )


class Flush(Struct):
    """The owner retires the oldest sealed segment, as done or dead, or puts it off."""

    outcome: Literal["done", "dead", "retry"]
    release: Literal["no", "idle", "yes"]
    ms: int

    async def play(self, twins: Twins) -> None:
        twins.now += self.ms
        record = await twins.owned()
        if record is None:
            return
        end = twins.now + LINGER_MS
        oldest = min((item.segment for item in twins.items(record)), default=record.segment)
        parts: Parts = {"dues": (Due("flush", "set", twins.now + 20),), "seal": True}
        if self.outcome != "retry" and oldest < record.segment:
            parts = {"dues": (Due("flush", "clear"),), "retire": Retire(oldest, self.outcome, end)}
        if self.outcome == "dead" and "retire" in parts:
            name = f"flush-{record.generation}-{oldest}"
            parts["bury"] = (Burial(name, None, twins.payload(), 3, "boom", 3, end),)
        await twins.commit(guard=Guard(token=record.token), release=self.release, **parts)
