"""Retention: what has outlived its time goes, in small steps, and nothing else does."""

from __future__ import annotations

from durable_primitives.kernel.record import NEVER
from durable_primitives.kernel.transition import Burial, Clear, Create, Due, Guard, Put
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import (
    ALL,
    DAY_MS,
    LIVE,
    ONE,
    Parts,
    Store,
    buried,
    check,
    check_same,
    event,
    removed,
)

LINGERING = Create(status="live", linger_ms=100)


async def finished(store: Store, *names: str, expires_at: int) -> None:
    """Events that ran to their end, one after the other; their receipts stay."""
    claim = await store.own(0, *(event(name) for name in names), take=len(names))
    await store.apply(1, remove=tuple(removed(item, expires_at=expires_at) for item in claim.items))
    await store.apply(2, dues=(Due("run", "clear"),), release="yes")


def batches(*names: str) -> tuple[Burial, ...]:
    """Batches that are given up on: letters without an item."""
    return tuple(Burial(name, None, b"events", 3, "boom", 1, DAY_MS) for name in names)


@case
async def a_receipt_goes_when_its_window_ends(store: Store) -> None:
    """Law 9, law 12: not before, and not the receipt of an event that is still live."""
    await finished(store, "a", expires_at=50)
    await store.enqueue(3, event("live"))
    check("before its end", await store.backend.sweep(49, ALL), 0)
    check("at its end", await store.backend.sweep(50, ALL), 1)
    known = [await store.receipt(id) is not None for id in ("a", "live")]
    check("the live one stays", known, [False, True])


@case
async def a_letter_goes_when_its_retention_ends(store: Store) -> None:
    """Law 6: a dead letter is deleted by its retention and by nothing earlier."""
    claim = await store.own(0, event(None), take=1)
    await store.apply(1, bury=(buried(claim.items[0], expires_at=50),))
    await store.backend.sweep(49, ALL)
    check("before its end", len(await store.letters()), 1)
    check("at its end", await store.backend.sweep(50, ALL), 1)
    check("gone", list(await store.letters()), [])


@case
async def of_too_many_letters_the_oldest_go(store: Store) -> None:
    """Law 12: ten thousand stay in each instance; those that failed first go, whatever their ids, and no others."""
    many = [f"letter-{number:05}" for number in range(10_000)]
    two = "queue:orders:2"
    await store.apply(0, create=LINGERING, bury=batches("y", "z"), instance=two)
    await store.apply(1, create=LIVE, bury=batches("z"))
    await store.apply(2, bury=batches("y", "x"))
    await store.apply(3, bury=batches(*many[3:]))
    check("as many as may be", await store.backend.sweep(DAY_MS - 1, ALL), 0)
    await store.apply(4, bury=batches(*many[:3]))
    check("no more than the budget", await store.backend.sweep(DAY_MS - 1, 2), 2)
    left = (await store.backend.load(ONE, letters=["x", "y", "z"])).letters
    check("the oldest, the first of two", list(left), ["y"])
    check("the rest", [await store.backend.sweep(DAY_MS - 1, ALL) for _ in range(2)], [1, 0])
    check("what failed later is there", (await store.backend.tally(ONE, 5)).dead, 10_000)
    left = (await store.backend.load(ONE, letters=["x", "y", "z", *many])).letters
    check("all of it", sorted(left), many)
    check("the other instance has few", [letter.id for letter in await store.letters(two)], ["y", "z"])


@case
async def a_record_goes_when_it_has_lingered(store: Store) -> None:
    """Law 12: so long after its last work; one that says nothing of lingering stays for good."""
    await store.apply(5, create=LINGERING)
    await store.apply(5, "queue:orders:2", create=Create(status="live"))
    check(
        "its time is set",
        ((await store.record()).purge_at, (await store.record("queue:orders:2")).purge_at),
        (105, None),
    )
    check("before its end", await store.backend.sweep(104, ALL), 0)
    check("at its end", await store.backend.sweep(105, ALL), 1)
    left = [record.instance for record in await store.backend.scan("", "", ALL)]
    check("the other one stays", left, ["queue:orders:2"])


@case
async def a_record_with_work_does_not_go(store: Store) -> None:
    """Law 6: items, dues, a lease or a pause each keep it; its time starts again when all are gone."""
    rows: dict[str, Parts] = {
        "items": {"append": (event("a"),)},
        "items that wait for their batch": {"append": (event("a", due=NEVER),)},
        "a due": {"dues": (Due("run", "set", 10**6),)},
        "a pause": {"put": Put(status="paused", data=b"", held=True, linger_ms=100)},
    }
    for row, parts in rows.items():
        fresh = await store.fresh()
        await fresh.apply(0, create=LINGERING)
        await fresh.apply(5, **parts)
        check(f"{row}: no time is set", (await fresh.record()).purge_at, None)
        check(f"{row}: it stays", await fresh.backend.sweep(10**6, ALL), 0)
    await store.apply(0, create=LINGERING)
    await store.own(1)
    await store.apply(2, dues=(Due("run", "clear"),))
    record = await store.record()
    check("nothing but a lease: no time is set", (record.dues, record.purge_at), ({}, None))
    await store.apply(9, release="yes")
    check("released: from now on", (await store.record()).purge_at, 109)


@case
async def a_new_retention_counts_from_when_it_is_stated(store: Store) -> None:
    """Law 6: `linger_ms` is always stated anew, so the newest word decides how long the record stays."""
    for before, after, expected in ((100, 5_000, 5_001), (5_000, 100, 101), (100, None, None)):
        fresh = await store.fresh()
        await fresh.apply(0, put=Put(status="live", data=b"", linger_ms=before))
        await fresh.apply(1, put=Put(status="stopped", data=b"", linger_ms=after))
        check(f"{before}, then {after}", (await fresh.record()).purge_at, expected)


@case
async def looking_in_does_not_keep_a_record_alive(store: Store) -> None:
    """Law 12: a transition that brings no work leaves the time as it was set."""
    await store.apply(0, create=LINGERING)
    await store.apply(60, cancel=("none",))
    check("still the first one", (await store.record()).purge_at, 100)


@case
async def a_record_stays_while_it_has_letters(store: Store) -> None:
    """Law 6: retention of the instance does not delete what failed in it."""
    await store.apply(0, create=LINGERING)
    claim = await store.own(1, event(None), take=1)
    await store.apply(2, bury=(buried(claim.items[0], expires_at=9_000),), dues=(Due("run", "clear"),), release="yes")
    await store.backend.sweep(8_999, ALL)
    check("the letter is there", len(await store.letters()), 1)
    while await store.backend.sweep(9_000, ALL):
        pass
    check("then both go", (await store.backend.load(ONE)).record, None)


@case
async def a_sweep_keeps_to_its_budget(store: Store) -> None:
    """Law 12: a sweep is a small step: it says how many rows went, and the next one goes on."""
    await finished(store, *"abcdefg", expires_at=50)
    check("none", [await store.backend.sweep(50, budget) for budget in (-1, 0)], [0, 0])
    steps = [await store.backend.sweep(50, 3) for _ in range(4)]
    check("three at a time", steps, [3, 3, 1, 0])


@case
async def a_sweep_has_one_budget_for_everything(store: Store) -> None:
    """Law 12: for receipts, letters and records of all instances together."""
    for instance in ("queue:orders:1", "queue:orders:2", "queue:orders:3"):
        await store.apply(0, instance, create=LINGERING)
        claim = await store.own(0, event("a"), event("b"), take=2, instance=instance)
        done, dead = claim.items
        over = (removed(done, expires_at=50),), (buried(dead, expires_at=50),)
        await store.apply(1, instance, remove=over[0], bury=over[1], dues=(Due("run", "clear"),), release="yes")
    steps = [await store.backend.sweep(1_000, 2) for _ in range(7)]
    check("two receipts, a letter and a record of each", steps, [2, 2, 2, 2, 2, 2, 0])


@case
async def a_sweep_spares_everything_alive(store: Store) -> None:
    """Law 6: items, in hand or not, live receipts, dues, leases and state are never a sweep's business."""
    await store.own(0, event("a"), event("b"), event("later", due=10**9), take=1)
    await store.apply(1, put=Put(status="live", data=b"state"), remember=("seen",))
    before = await store.picture()
    check("nothing goes", await store.backend.sweep(10**12, ALL), 0)
    check_same("nothing changes", await store.picture(), before)


@case
async def a_swept_instance_is_forgotten(store: Store) -> None:
    """Law 9: with its record everything of it goes; an old id is new to the next life."""
    await store.apply(0, create=LINGERING, remember=("seen",))
    await store.backend.sweep(100, ALL)
    outcome = await store.apply(101, create=LINGERING, append=(event("seen"),))
    check("a new life", (outcome.created, outcome.accepted[0].duplicate), (True, False))


@case
async def what_is_over_leaves_the_store_as_it_began(store: Store) -> None:
    """Invariant 14: when all is terminal and retention has passed, nothing is left."""
    for number in range(3):
        instance = f"queue:orders:{number}"
        await store.apply(0, instance, create=LINGERING)
        claim = await store.own(1, *(event(name) for name in "abcd"), take=2, instance=instance)
        guard = Guard(token=claim.record.token)
        done, dead = claim.items
        await store.apply(2, instance, guard=guard, remove=(removed(done),), bury=(buried(dead),))
        await store.apply(3, instance, cancel=("c",), clear=Clear(0, 500), dues=(Due("run", "clear"),))
        await store.apply(4, instance, guard=guard, take=1, release="idle")
    await store.apply(5, "queue:orders:2", erase=True)
    while await store.backend.sweep(10 * DAY_MS, 4):
        pass
    check("no records", list(await store.backend.scan("", "", ALL)), [])
    check("nothing due", await store.backend.next_due(), None)
    for number in range(3):
        picture = await store.picture(f"queue:orders:{number}")
        check(
            f"instance {number}", (picture.record, picture.receipts, picture.items, picture.letters), (None, {}, [], [])
        )
