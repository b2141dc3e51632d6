"""Termination ends a life for good: the next one has a higher generation, and nothing comes back from the dead."""

from __future__ import annotations

from durable_primitives.kernel.record import TERMINATED
from durable_primitives.kernel.transition import Create, Due, Guard, Put
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import (
    DAY_MS,
    LIVE,
    Parts,
    Store,
    buried,
    check,
    check_same,
    event,
    ids,
    removed,
)

PUT = Put(status="live", data=b"state", held=True, linger_ms=9)


async def lived(store: Store) -> None:
    """An instance with some of everything: state, items, receipts, a dead letter, dues, a lease."""
    claim = await store.own(0, event("a"), event("b"), event("c"), take=2)
    await store.apply(1, put=PUT, remove=(removed(claim.items[0]),), bury=(buried(claim.items[1]),), remember=("seen",))


@case
async def an_erased_instance_leaves_a_tombstone(store: Store) -> None:
    """Law 5, invariant 12: no state, item, receipt, dead letter, due or lease of the old generation is left."""
    await lived(store)
    outcome = await store.apply(5, erase=True)
    check("the next generation", (outcome.verdict, outcome.generation, outcome.count), ("applied", 2, 0))
    record, receipts, items, letters, tally, next_due = await store.picture()
    assert record is not None, "an erased instance leaves a tombstone: expected a record, got none"
    check("the tombstone", (record.status, record.data, record.held), (TERMINATED, b"", False))
    check("no lease", (record.owner, record.taken, record.cancels, record.deliveries), (None, (), (), 0))
    check("no dues", (record.dues, next_due), ({}, None))
    check("no rows", (receipts, items, letters, tally.dead), ({}, [], [], 0))
    check("it is never claimed", list(await store.claim(10**9)), [])


@case
async def a_late_write_of_an_older_generation_is_refused(store: Store) -> None:
    """Law 5: by generation, by version and by token; on the tombstone and in the next life."""
    await lived(store)
    old = await store.record()
    guards = (Guard(generation=old.generation), Guard(version=old.version), Guard(token=old.token))
    await store.apply(5, erase=True)
    for guard in guards:
        verdict = (await store.apply(6, guard=guard, put=PUT)).verdict
        check(f"{guard!r} on the tombstone is refused", verdict != "applied", True)
    await store.own(7, event("new"))
    before = await store.picture()
    for guard in guards:
        verdict = (await store.apply(8, guard=guard, put=PUT, append=(event("late"),))).verdict
        check(f"{guard!r} in the next life is refused", verdict != "applied", True)
    check_same("nothing changed", await store.picture(), before)


@case
async def a_new_life_starts_clean(store: Store) -> None:
    """Law 5: it is created anew, keeps the raised generation and remembers none of the old ids."""
    await lived(store)
    await store.apply(5, erase=True)
    outcome = await store.apply(
        6, create=Create(status="open", data=b"new", segment=1, linger_ms=7), append=(event("a"),)
    )
    check("created, in the next generation", (outcome.created, outcome.generation), (True, 2))
    check("an old id is new", [a.duplicate for a in outcome.accepted], [False])
    record = await store.record()
    own = (record.status, record.data, record.segment, record.linger_ms, record.held)
    check("as it was created", own, ("open", b"new", 1, 7, False))
    check("counted from the start", (record.count, record.segment_count, record.finished), (1, 1, 0))
    check("its own time", record.created_at, 6)
    check("only the new work", ids(await store.items(segment=1)), ["a"])


@case
async def a_new_life_does_not_end_with_its_tombstone(store: Store) -> None:
    """Law 5, law 6: how long the tombstone was to stay says nothing about who lives after it."""
    await store.apply(0, put=PUT)
    await store.apply(1, erase=True)
    await store.apply(2, create=Create(status="live", linger_ms=2 * DAY_MS))
    check("when it may go", (await store.record()).purge_at, 2 + 2 * DAY_MS)


@case
async def a_put_starts_a_new_life_too(store: Store) -> None:
    """Law 5: a start after a termination is one commit."""
    await store.apply(0, put=PUT)
    await store.apply(1, erase=True)
    put = Put(status="scheduled", data=b"again")
    outcome = await store.apply(2, guard=Guard(exists=False), put=put, dues=(Due("run", "set", 2),))
    check("created", (outcome.created, outcome.generation), (True, 2))
    record = await store.record()
    own = (record.status, record.data, record.held, record.linger_ms, record.purge_at)
    check("as it was put", own, ("scheduled", b"again", False, None, None))


@case
async def generations_rise_with_every_life(store: Store) -> None:
    """Law 5: and versions never come back, so an old snapshot never matches."""
    seen: list[tuple[int, int]] = []
    for life in range(3):
        outcome = await store.apply(life, put=PUT)
        seen.append((outcome.generation, outcome.version))
        await store.apply(life, erase=True)
    check("generations", [generation for generation, _ in seen], [1, 2, 3])
    versions = [version for _, version in seen]
    check("versions", versions, sorted(set(versions)))


@case
async def sequences_are_not_given_twice(store: Store) -> None:
    """Law 5: an item of an old life is never taken for one of the new."""
    await store.enqueue(0, event("a"), event("b"))
    await store.apply(1, erase=True)
    outcome = await store.enqueue(2, event("c"))
    check("the sequence goes on", outcome.accepted[0].seq, 3)


@case
async def a_restart_is_one_commit(store: Store) -> None:
    """Law 1, law 5: `erase` and then `create` or `put`, in the order of the vocabulary, in one transition."""
    rows: dict[str, Parts] = {"create": {"create": LIVE}, "put": {"put": Put(status="live", data=b"")}}
    for row, parts in rows.items():
        fresh = await store.fresh()
        await lived(fresh)
        outcome = await fresh.apply(5, erase=True, **parts, append=(event("a"),))
        check(f"erase and {row}: a new life", (outcome.verdict, outcome.created), ("applied", True))
        record = await fresh.record()
        check(f"erase and {row}: it lives", (record.status, record.generation, record.owner), ("live", 2, None))
        check(f"erase and {row}: only the new work", ids(await fresh.items()), ["a"])


@case
async def a_tombstone_is_erased_no_further(store: Store) -> None:
    """Law 5: a second termination finds nothing to do."""
    await store.apply(0, put=PUT)
    await store.apply(1, erase=True)
    outcome = await store.apply(2, erase=True)
    check("it is absent", (outcome.verdict, (await store.record()).generation), ("conflict", 2))
    outcome = await store.apply(3, erase=True, create=LIVE)
    check("a restart finds nothing to end", (outcome.created, outcome.generation), (True, 2))


@case
async def a_tombstone_is_kept_its_time(store: Store) -> None:
    """Law 5: late writers stay fenced for a day, whatever the retention of the instance was; then it goes."""
    await store.apply(0, put=Put(status="stopped", data=b"", linger_ms=10))
    await store.apply(9, erase=True)
    await store.backend.sweep(9 + DAY_MS - 1, 100)
    record = (await store.picture()).record
    assert record is not None, "before a day has passed the tombstone is there: expected a record, got none"
    check("its generation is known", (record.status, record.generation), (TERMINATED, 2))
    await store.backend.sweep(9 + DAY_MS, 100)
    check("then it is gone", (await store.picture()).record, None)
