"""The random histories of `model`: a Hypothesis state machine that drives a backend and the reference side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives.kernel.record import NEVER, Item, Record
from durable_primitives.kernel.transition import (
    Batching,
    Burial,
    Claim,
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
from durable_primitives.testing.conformance._store import ALL, Parts, Picture, Store, buried, check, check_same, removed

HISTORIES = 60
STEPS = 40
LEASE_MS = 40
LINGER_MS = 60
WINDOW_MS = 30
DRAIN = 10**6

T = TypeVar("T")

QUEUE = "queue:orders:0"
BUFFER = "buffer:webhooks:acct-7"
INSTANCES = (QUEUE, BUFFER)

instances = st.sampled_from(INSTANCES)
event_ids = st.sampled_from(["a", "b", "c", "d", "e", "f"])
some_ids = st.lists(event_ids, min_size=1, max_size=3)
dues = st.lists(
    st.builds(
        Due,
        name=st.sampled_from(["run", "quiet"]),
        how=st.sampled_from(["set", "set_if_unset", "earlier", "clear"]),
        at=st.integers(0, 150),
    ),
    max_size=2,
).map(tuple)
fates = st.lists(st.sampled_from(["done", "retry", "dead", "back", "mark", "keep"]), min_size=1, max_size=4)
wishes = st.sampled_from(["none", "none", "version", "old version", "generation", "exists", "absent"])


class Twins(RuleBasedStateMachine):
    """The backend and the reference.  What depends on the state of the store is chosen by looking at the reference."""

    store: Store
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.reference = MemoryStore()
        self.twin = self.wait_for(self.store.fresh())
        self.now = 0
        self.waiting: list[Transition] = []
        self.serial = 0

    def teardown(self) -> None:
        self.wait_for(self.twin.backend.close())

    def wait_for(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, self.loop).result()

    # What happens often: work comes in, and workers go on with it.

    @rule(
        ids=st.lists(st.none() | event_ids, min_size=1, max_size=4),
        lane=st.sampled_from([None, "L", "L", "M"]),
        delay=st.sampled_from([0, 0, 0, 10]),
        rank=st.sampled_from([0, 0, -3, 2]),
        blocks=st.booleans(),
        room=st.sampled_from([None, None, 4]),
        on_full=st.sampled_from(["reject", "drop_oldest"]),
        dues=dues,
        later=st.booleans(),
    )
    def enqueue(
        self,
        ids: list[str | None],
        lane: str | None,
        delay: int,
        rank: int,
        blocks: bool,
        room: int | None,
        on_full: Literal["reject", "drop_oldest"],
        dues: tuple[Due, ...],
        later: bool,
    ) -> None:
        due = self.now + delay if delay else 0
        append = tuple(NewItem(id, self.payload(), lane, due, rank, fresh=id is None, blocks=blocks) for id in ids)
        create = Create(status="live", linger_ms=LINGER_MS)
        guard = Guard(room=room)
        self.commit(QUEUE, later, guard=guard, create=create, append=append, on_full=on_full, dues=dues)

    @rule(
        fates=fates,
        delay=st.sampled_from([0, 5]),
        blocks=st.booleans(),
        take=st.integers(0, 3),
        release=st.sampled_from(["no", "no", "idle", "yes"]),
        stale=st.sampled_from([False, False, False, True]),
        progress=st.booleans(),
        dues=dues,
    )
    def work(
        self,
        fates: list[str],
        delay: int,
        blocks: bool,
        take: int,
        release: Literal["no", "idle", "yes"],
        stale: bool,
        progress: bool,
        dues: tuple[Due, ...],
    ) -> None:
        record = self.owned(QUEUE, take)
        if record is None:
            return
        hand = self.hand(record)
        fate = {item.seq: fates[n % len(fates)] for n, item in enumerate(hand)}
        due = self.now + delay if delay else 0
        expires_at = self.now + LINGER_MS
        self.commit(
            QUEUE,
            guard=Guard(token=record.token - stale),
            remove=tuple(removed(i, expires_at=expires_at) for i in hand if fate[i.seq] == "done"),
            reschedule=tuple(
                Reschedule(i, due, i.attempt + 1, 0, "boom", blocks) for i in hand if fate[i.seq] == "retry"
            ),
            bury=tuple(buried(i, expires_at=expires_at) for i in hand if fate[i.seq] == "dead"),
            give_back=tuple(i.seq for i in hand if fate[i.seq] == "back"),
            mark=tuple(replace(i, delivery=i.delivery + 1) for i in hand if fate[i.seq] == "mark"),
            progress=progress,
            take=take,
            release=release,
            dues=dues,
        )

    @rule(ids=some_ids, seal=st.booleans(), later=st.booleans())
    def add(self, ids: list[str], seal: bool, later: bool) -> None:
        append = tuple(NewItem(id, self.payload(), due=NEVER) for id in ids)
        create = Create(status="open", segment=1, linger_ms=LINGER_MS)
        self.commit(BUFFER, later, create=create, append=append, batching=Batching(3, WINDOW_MS), seal=seal)

    @rule(outcome=st.sampled_from(["done", "retry", "dead"]), release=st.booleans())
    def flush(self, outcome: Literal["done", "retry", "dead"], release: bool) -> None:
        record = self.owned(BUFFER)
        if record is None:
            return
        oldest = min((item.segment for item in self.items(record)), default=record.segment)
        parts: Parts = {"dues": (Due("flush", "clear"),)}
        if outcome == "retry":
            parts = {"dues": (Due("flush", "set", self.now + 20),)}
        elif oldest < record.segment:
            parts["retire"] = Retire(oldest, outcome, self.now + LINGER_MS)
            if outcome == "dead":
                name = f"flush-{record.generation}-{oldest}"
                parts["bury"] = (Burial(name, None, self.payload(), 3, "boom", 3, self.now + LINGER_MS),)
        self.commit(BUFFER, guard=Guard(token=record.token), release="yes" if release else "no", **parts)

    @rule(ms=st.sampled_from([1, 7, LEASE_MS]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(ms=st.sampled_from([7, LEASE_MS]), take=st.integers(0, 3))
    def workers_vanish(self, ms: int, take: int) -> None:
        self.now += ms
        self.submit(ClaimRequest(owner="other", at=self.now, lease_ms=LEASE_MS, limit=ALL, take=take))

    # What happens now and then.

    @rule(
        instance=instances,
        held=st.booleans(),
        linger=st.sampled_from([None, LINGER_MS]),
        wish=wishes,
        dues=dues,
        later=st.booleans(),
    )
    def put(self, instance: str, held: bool, linger: int | None, wish: str, dues: tuple[Due, ...], later: bool) -> None:
        record = self.record(instance)
        version = 0 if record is None else record.version
        guards = {
            "none": None,
            "version": Guard(version=version),
            "old version": Guard(version=version - 1),
            "generation": Guard(generation=1 if record is None else record.generation),
            "exists": Guard(exists=True),
            "absent": Guard(exists=False),
        }
        put = Put(status="put", data=self.payload(), held=held, linger_ms=linger)
        self.commit(instance, later, guard=guards[wish], put=put, dues=dues)

    @rule(
        what=st.sampled_from(["cancel", "cancel", "redrive", "redrive", "discard"]), ids=some_ids, later=st.booleans()
    )
    def name_events(self, what: str, ids: list[str], later: bool) -> None:
        parts: Parts = {what: tuple(ids)}
        self.commit(QUEUE, later, **parts)

    @rule(instance=instances, what=st.sampled_from(["clear", "erase", "restart", "remember"]), later=st.booleans())
    def rarely(self, instance: str, what: str, later: bool) -> None:
        record = self.record(instance)
        put = Put(status=what, data=self.payload(), linger_ms=LINGER_MS)
        words: dict[str, Parts] = {
            "clear": {"clear": Clear(0 if record is None else record.segment, self.now + LINGER_MS)},
            "erase": {"erase": True},
            "restart": {"erase": True, "put": put},
            "remember": {"remember": ("a", "folded"), "put": put},
        }
        self.commit(instance, later, **words[what])

    @rule(ms=st.integers(1, 60), stale=st.booleans())
    def renew(self, ms: int, stale: bool) -> None:
        self.submit()
        refs = [LeaseRef(r.instance, r.token - stale) for r in map(self.record, INSTANCES) if r is not None]
        answers = self.twin.backend.renew(refs, self.now + ms)
        check("renew", list(answers), self.reference.renew(refs, self.now + ms))

    @rule(ms=st.sampled_from([0, LINGER_MS]))
    def sweep(self, ms: int) -> None:
        self.submit()
        self.now += ms
        while self.wait_for(self.twin.backend.sweep(self.now, DRAIN)):
            pass
        while self.reference.sweep(self.now, DRAIN):
            pass

    @rule()
    def restart(self) -> None:
        self.submit()
        if self.twin.backend.capabilities.durable:
            self.twin = self.wait_for(self.twin.reopen())

    # After every step.

    @invariant()
    def they_show_the_same(self) -> None:
        if self.waiting:
            return
        for instance in INSTANCES:
            seen = self.wait_for(self.twin.picture(instance, self.now))
            check_same(f"{instance} at {self.now}", seen, self.picture(instance))
        scanned = self.wait_for(self.twin.backend.scan("", "", ALL))
        check("scan", list(scanned), self.reference.scan("", "", ALL))

    # How a step reaches both.

    def commit(self, instance: str, later: bool = False, **parts: Any) -> None:
        """Commit to both now, or in one round trip with what comes next."""
        transition = Transition(instance=instance, at=self.now, **parts)
        self.waiting.append(transition)
        if not later:
            self.submit()

    def submit(self, request: ClaimRequest | None = None) -> None:
        batch, self.waiting = self.waiting, []
        outcomes, claims = self.wait_for(self.twin.commit(*batch, request=request))
        expected, expected_claims = self.reference.commit(batch, request)
        for transition, outcome, wanted in zip(batch, outcomes, expected, strict=True):
            check(f"the outcome of {transition!r}", outcome, wanted)
        check("the claims", by_instance(claims), by_instance(expected_claims))

    def owned(self, instance: str, take: int = 1) -> Record | None:
        """The record of an instance that has an owner; it gets one now if it can be claimed."""
        self.submit()
        record = self.record(instance)
        if record is not None and record.owner is None:
            self.submit(ClaimRequest(owner="worker", at=self.now, lease_ms=LEASE_MS, limit=ALL, take=take))
            record = self.record(instance)
        return None if record is None or record.owner is None else record

    def payload(self) -> bytes:
        self.serial += 1
        return b"%d" % self.serial

    def record(self, instance: str) -> Record | None:
        return self.reference.load(instance, (), ()).record

    def items(self, record: Record) -> list[Item]:
        segments = range(record.segment + 1)
        return [item for segment in segments for item in self.reference.items(record.instance, segment, 0, ALL)]

    def hand(self, record: Record) -> list[Item]:
        return [item for item in self.items(record) if item.seq in record.taken]

    def picture(self, instance: str) -> Picture:
        letters = self.reference.letters(instance, "", ALL)
        snapshot = self.reference.load(instance, self.twin.known_ids(instance), ())
        items = [] if snapshot.record is None else self.items(snapshot.record)
        tally = self.reference.tally(instance, self.now)
        return Picture(snapshot.record, snapshot.receipts, items, letters, tally, self.reference.next_due())


def by_instance(claims: Any) -> list[Claim]:
    """Instances that are due at the same time may be claimed in any order."""
    return sorted(claims, key=lambda claim: claim.record.instance)


def search(store: Store, loop: asyncio.AbstractEventLoop) -> None:
    """Look for a history on which the backend and the reference disagree; fail with the shortest one found."""
    machine = type("Twins", (Twins,), {"store": store, "loop": loop})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
