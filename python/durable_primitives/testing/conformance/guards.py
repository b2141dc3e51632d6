"""A guard says what must hold; the verdict says which kind of thing did not."""

from __future__ import annotations

import asyncio

from durable_primitives.kernel.transition import Due, Guard, Put, Reschedule
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import (
    LIVE,
    ONE,
    Parts,
    Store,
    buried,
    check,
    check_same,
    event,
    ids,
    removed,
)

PUT = Put(status="live", data=b"")


async def verdict(store: Store, guard: Guard) -> str:
    """What a harmless transition under this guard gets."""
    return (await store.apply(9, guard=guard, append=(event(None),))).verdict


@case
async def guards_on_an_absent_instance(store: Store) -> None:
    """Law 1: nothing matches what is not there, except the wish that it be absent."""
    for guard, expected in (
        (Guard(exists=True), "conflict"),
        (Guard(version=0), "conflict"),
        (Guard(segment=0), "conflict"),
        (Guard(generation=1), "fenced"),
        (Guard(token=0), "fenced"),
    ):
        outcome = await store.apply(0, guard=guard, create=LIVE)
        check(f"{guard!r} on an absent instance", outcome.verdict, expected)
    check("exists=False holds", (await store.apply(0, guard=Guard(exists=False), create=LIVE)).verdict, "applied")


@case
async def guards_on_a_live_instance(store: Store) -> None:
    """Law 1, law 4: each guard lets exactly its own value pass; a lost lease or generation is `fenced`."""
    await store.apply(0, put=PUT, dues=(Due("run", "set", 0),))
    token = (await store.claim_one(0)).record.token
    for guard, expected in (
        (Guard(exists=True), "applied"),
        (Guard(exists=False), "conflict"),
        (Guard(version=1), "applied"),
        (Guard(version=0), "conflict"),
        (Guard(version=2), "conflict"),
        (Guard(generation=1), "applied"),
        (Guard(generation=0), "fenced"),
        (Guard(generation=2), "fenced"),
        (Guard(segment=0), "applied"),
        (Guard(segment=1), "conflict"),
        (Guard(token=token), "applied"),
        (Guard(token=token - 1), "fenced"),
        (Guard(token=token + 1), "fenced"),
        (Guard(exists=True, version=1, generation=1, token=token), "applied"),
        (Guard(exists=True, version=0, generation=1, token=token), "conflict"),
    ):
        check(f"{guard!r} on a live instance", await verdict(store, guard), expected)


@case
async def guards_on_a_tombstone(store: Store) -> None:
    """Law 5: an erased instance counts as absent, but its generation is still known."""
    await store.apply(0, put=PUT)
    await store.apply(1, erase=True)
    for guard, expected in (
        (Guard(exists=True), "conflict"),
        (Guard(generation=1), "fenced"),
        (Guard(token=0), "fenced"),
    ):
        outcome = await store.apply(2, guard=guard, put=PUT)
        check(f"{guard!r} on a tombstone", outcome.verdict, expected)
    outcome = await store.apply(3, guard=Guard(exists=False, generation=2), put=PUT)
    check("a new life under the raised generation", (outcome.verdict, outcome.created), ("applied", True))


@case
async def a_lost_lease_is_told_before_anything_else(store: Store) -> None:
    """Law 4: an owner that is out must hear `fenced`, not a conflict that it would try to resolve."""
    await store.apply(0, put=PUT)
    await store.apply(1, remember=("seen",))
    guard = Guard(token=5, exists=False, version=9, room=0)
    outcome = await store.apply(2, guard=guard, remember=("seen",), append=(event("a"),))
    check("every guard fails", outcome.verdict, "fenced")


@case
async def what_does_not_exist_is_not_changed(store: Store) -> None:
    """Without `create` or `put` a transition finds an instance or conflicts; it never makes one."""
    rows: list[Parts] = [
        {"append": (event("a"),)},
        {"erase": True},
        {"cancel": ("a",)},
        {"dues": (Due("run", "set", 1),)},
    ]
    for parts in rows:
        outcome = await store.apply(0, **parts)
        check(f"{parts!r} on an absent instance", outcome.verdict, "conflict")
    check("nothing was made", (await store.backend.load(ONE)).record, None)


@case
async def create_leaves_an_existing_record_alone(store: Store) -> None:
    """A blind producer may always say `create`: only the first one makes the record."""
    check("the first one creates", (await store.enqueue(0, event("a"))).created, True)
    await store.apply(1, put=Put(status="paused", data=b"mine", linger_ms=5))
    outcome = await store.enqueue(2, event("b"))
    record = await store.record()
    check("the second one does not", (outcome.created, outcome.version), (False, 1))
    check("the record is untouched", (record.status, record.data, record.linger_ms), ("paused", b"mine", 5))


@case
async def versions_rise_with_every_put_and_with_nothing_else(store: Store) -> None:
    """A version guard protects the record's own part, so producers never conflict with its owner."""
    await store.apply(0, put=PUT)
    await store.enqueue(1, event("a"))
    await store.apply(2, dues=(Due("run", "set", 2),))
    await store.claim_one(2, take=1)
    check("appends, dues and claims leave it", (await store.record()).version, 1)
    check("a put raises it", (await store.apply(3, put=PUT)).version, 2)


@case
async def an_owner_speaks_once_of_each_item_in_its_hands(store: Store) -> None:
    """Law 1, law 4: half of what contradicts itself, or speaks of what another has, is never applied."""
    claim = await store.own(0, event("a"), event("b"), event("c"), take=2)
    a, b = claim.items
    c = (await store.items())[2]
    back = Reschedule(a, 9, 1, 0, None, True)
    rows: list[Parts] = [
        {"remove": (removed(b), removed(a), removed(a))},
        {"remove": (removed(a),), "reschedule": (back,)},
        {"remove": (removed(a),), "bury": (buried(a),)},
        {"remove": (removed(a),), "give_back": (a.seq,)},
        {"reschedule": (back, back)},
        {"reschedule": (back,), "mark": (a,)},
        {"give_back": (b.seq, b.seq)},
        {"remove": (removed(b), removed(c))},
        {"reschedule": (Reschedule(c, 9, 1, 0, None, True),)},
        {"mark": (c,)},
        {"bury": (buried(c),)},
        {"give_back": (c.seq,)},
        {"remove": (removed(a),), "erase": True},
    ]
    before = await store.picture()
    for parts in rows:
        outcome = await store.apply(1, guard=Guard(token=claim.record.token), put=PUT, **parts)
        check(f"{parts!r}", outcome.verdict, "conflict")
        check_same(f"nothing of {parts!r}", await store.picture(), before)
    outcome = await store.apply(2, remove=(removed(a),), give_back=(b.seq,))
    check("once of each", (outcome.verdict, outcome.count), ("applied", 2))


@case
async def one_of_two_writers_with_the_same_version_wins(store: Store) -> None:
    """Law 1: compare and commit is one step, also for commits that are in flight together."""
    await store.apply(0, put=PUT)
    outcomes = await asyncio.gather(
        *(store.apply(1, guard=Guard(version=1), put=Put(status="live", data=b"%d" % n)) for n in range(8))
    )
    verdicts = sorted(outcome.verdict for outcome in outcomes)
    check("one applied, the others conflict", verdicts, ["applied"] + ["conflict"] * 7)
    check("it applied once", (await store.record()).version, 2)


@case
async def a_full_instance_rejects(store: Store) -> None:
    """Law 12: over the bound there is an answer, never silent loss; items in hand count."""
    guard = Guard(room=3)
    await store.own(0, event("a"), take=1)
    outcome = await store.apply(1, guard=guard, append=(event("b"), event("c")))
    check("up to the bound", (outcome.verdict, outcome.count), ("applied", 3))
    check("one more", (await store.apply(2, guard=guard, append=(event("d"),))).verdict, "full")
    check("nothing of it came in", ids(await store.items()), ["a", "b", "c"])


@case
async def a_new_instance_has_no_more_room_than_another(store: Store) -> None:
    """Law 12: the bound holds from the first append on."""
    for names in (("a", "b"), (None, None)):
        outcome = await store.apply(0, create=LIVE, guard=Guard(room=1), append=tuple(map(event, names)))
        check(f"two do not fit where one does: {names}", outcome.verdict, "full")
    check("nothing was made", (await store.backend.load(ONE)).record, None)
    outcome = await store.apply(0, create=LIVE, guard=Guard(room=1), append=(event("a"),))
    check("one does", outcome.verdict, "applied")


@case
async def a_duplicate_needs_no_room(store: Store) -> None:
    """Law 9, law 12: a duplicate is not an error, in a full instance too, and above a bound that was lowered."""
    await store.enqueue(0, event("a"), event("b"))
    for room in (2, 1):
        outcome = await store.apply(1, guard=Guard(room=room), append=(event("a"),))
        check(f"a duplicate with room for {room}", outcome.verdict, "applied")
        check("and it is one", [accepted.duplicate for accepted in outcome.accepted], [True])
    outcome = await store.apply(2, guard=Guard(room=3), append=(event("c"), event("c"), event("a")))
    check("only 'c' needs room, and once", (outcome.verdict, outcome.count), ("applied", 3))


@case
async def drop_oldest_makes_room(store: Store) -> None:
    """Law 12: the stated policy takes out what came first, says how many, and remembers their ids as cleared."""
    await store.enqueue(0, event("a"), event("b"))
    guard = Guard(room=2)
    outcome = await store.apply(1, guard=guard, on_full="drop_oldest", append=(event("c"), event("a")))
    check("one went, one was a duplicate", (outcome.verdict, outcome.cleared, outcome.count), ("applied", 1, 2))
    check("the oldest went", ids(await store.items()), ["b", "c"])
    receipt = await store.receipt("a")
    assert receipt is not None, "a dropped id is remembered: expected a receipt, got none"
    check("it was cleared", receipt.settlement, "cleared")


@case
async def drop_oldest_holds_from_the_first_append_on(store: Store) -> None:
    """Law 12: a policy that drops never rejects, in a new instance as in an old one."""
    outcome = await store.apply(
        0, create=LIVE, guard=Guard(room=2), on_full="drop_oldest", append=(event("a"), event("b"), event("c"))
    )
    check("all came in, the first had to go", (outcome.verdict, outcome.cleared, outcome.count), ("applied", 1, 2))
    check("the newest stay", ids(await store.items()), ["b", "c"])


@case
async def drop_oldest_goes_by_age(store: Store) -> None:
    """Law 12: the oldest is what came first, not what has the nearest turn or waits the longest."""
    guard = Guard(room=2)
    for row, (first, second) in {
        "a delay does not make it older": (event("old"), event("young", due=5_000)),
        "nor does its turn": (event("old", rank=5), event("young", rank=1)),
        "nor does a lane": (event("old", lane="L", due=5_000), event("young", lane="L")),
    }.items():
        fresh = await store.fresh()
        await fresh.enqueue(0, first)
        await fresh.enqueue(1, second)
        await fresh.apply(2, guard=guard, on_full="drop_oldest", append=(event("new"),))
        check(row, ids(await fresh.items()), ["young", "new"])


@case
async def drop_oldest_spares_what_is_in_hand(store: Store) -> None:
    """Law 6: an item that the owner has in hand is not taken out from under it."""
    await store.own(0, event("a"), take=1)
    await store.enqueue(1, event("b"))
    outcome = await store.apply(2, guard=Guard(room=2), on_full="drop_oldest", append=(event("c"),))
    check("the oldest that nobody has in hand went", (outcome.cleared, ids(await store.items())), (1, ["a", "c"]))
    await store.apply(3, take=1)
    outcome = await store.apply(4, guard=Guard(room=2), on_full="drop_oldest", append=(event("d"),))
    check("all in hand, none went", (outcome.cleared, ids(await store.items())), (0, ["a", "c", "d"]))
