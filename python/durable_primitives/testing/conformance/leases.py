"""One owner at a time, known by a fencing token; what an owner leaves behind is found by the next one."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from durable_primitives.kernel.transition import Create, Due, Guard, LeaseRef, Put
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import (
    ALL,
    DAY_MS,
    LEASE_MS,
    LIVE,
    ONE,
    Store,
    check,
    check_same,
    event,
    ids,
    removed,
)


@case
async def an_instance_has_one_owner(store: Store) -> None:
    """Law 4, invariant 2: while its lease runs, nobody else gets it, whatever falls due."""
    claim = await store.own(0, event("a"))
    check("who, and until when", (claim.record.owner, claim.record.lease_until), ("worker", LEASE_MS))
    check("as it is stored", (await store.record()).owner, "worker")
    await store.enqueue(1, event("b"))
    check("a millisecond before its end", list(await store.claim(LEASE_MS - 1, owner="other")), [])


@case
async def two_workers_never_get_the_same_instance(store: Store) -> None:
    """Invariant 2: claims in flight together share out what is due."""
    instances = [f"queue:orders:{number}" for number in range(10)]
    for instance in instances:
        await store.enqueue(0, event("a"), instance=instance)
    shares = await asyncio.gather(*(store.claim(0, limit=4, owner=f"worker-{n}") for n in range(4)))
    claimed = sorted(claim.record.instance for share in shares for claim in share)
    check("each once, all of them", claimed, instances)
    for number, share in enumerate(shares):
        check("its owner is who asked", {claim.record.owner for claim in share} - {f"worker-{number}"}, set[str]())


@case
async def tokens_only_rise(store: Store) -> None:
    """Law 4: every claim has a new fencing token, also after a release, a lost lease and a termination."""
    tokens = [(await store.own(0)).record.token]
    await store.apply(1, release="yes")
    tokens.append((await store.claim_one(1)).record.token)
    tokens.append((await store.claim_one(1 + LEASE_MS)).record.token)
    await store.apply(1 + LEASE_MS, erase=True)
    tokens.append((await store.own(1 + LEASE_MS)).record.token)
    check("each above the one before", tokens, sorted(set(tokens)))


@case
async def tokens_rise_over_a_purge(store: Store) -> None:
    """Law 4: who owned an instance that was purged owns nothing of the one that came in its place."""
    await store.apply(0, create=Create(status="live", linger_ms=100))
    late = (await store.own(0)).record.token
    await store.claim_one(LEASE_MS)
    await store.apply(LEASE_MS, dues=(Due("run", "clear"),), release="yes")
    check("rows that a sweep took", await store.backend.sweep(LEASE_MS + 100, ALL), 1)
    claim = await store.own(DAY_MS, event("a"))
    removal = removed((await store.items())[0])
    zombie = await store.apply(DAY_MS, guard=Guard(token=late), remove=(removal,))
    check("the first owner", zombie.verdict, "fenced")
    check("its successor's token is higher", claim.record.token > late, True)


@case
async def an_abandoned_lease_is_a_due_time(store: Store) -> None:
    """Law 3, law 4: a worker that vanishes strands nothing; its instance is claimed at the end of its lease."""
    await store.own(0, event("a"), take=1)
    check("the end of the lease is the alarm", await store.backend.next_due(), LEASE_MS)
    claim = await store.claim_one(LEASE_MS, take=1, owner="other")
    check("claimed by another, with its work", (claim.record.owner, ids(claim.items)), ("other", ["a"]))


@case
async def a_lost_lease_commits_nothing(store: Store) -> None:
    """Law 4, invariant 2: a commit under a stale token is refused, every word of it."""
    late = await store.own(0, event("a"), take=1)
    check("in its hands", ids(late.items), ["a"])
    await store.claim_one(LEASE_MS, take=1, owner="other")
    before = await store.picture()
    outcome = await store.apply(
        LEASE_MS + 1,
        guard=Guard(token=late.record.token),
        put=Put(status="done", data=b"late"),
        remove=(removed(late.items[0]),),
        append=(event("b"),),
        dues=(Due("run", "clear"),),
        take=1,
        release="yes",
    )
    check("the late owner", outcome.verdict, "fenced")
    check_same("nothing changed", await store.picture(), before)


@case
async def a_released_lease_is_lost_too(store: Store) -> None:
    """Law 4: a token is good until the release, not after it."""
    token = (await store.own(0, event("a"))).record.token
    outcome = await store.apply(1, guard=Guard(token=token), release="yes")
    check("the release", (outcome.verdict, outcome.released, (await store.record()).owner), ("applied", True, None))
    check("a second one", (await store.apply(2, guard=Guard(token=token), release="yes")).verdict, "fenced")
    check("a renewal", store.renew(token, 99_000), False)


@case
async def an_expired_lease_that_nobody_took_is_still_held(store: Store) -> None:
    """Law 4: the token decides, not the clock: an owner that is late but alone loses no work."""
    token = (await store.own(0, event("a"))).record.token
    late = LEASE_MS + 500
    check("its commit", (await store.apply(late, guard=Guard(token=token))).verdict, "applied")
    check("its renewal", store.renew(token, late + LEASE_MS), True)
    check("then it is safe again", list(await store.claim(late, owner="other")), [])


@case
async def a_renewal_extends_the_lease(store: Store) -> None:
    """Law 4: the instance stays with its owner until the new end, and is due at it."""
    token = (await store.own(0)).record.token
    check("held", store.renew(token, 50_000), True)
    check("the alarm moved", await store.backend.next_due(), 50_000)
    check("before the new end", list(await store.claim(49_999, owner="other")), [])
    check("at the new end", [claim.record.owner for claim in await store.claim(50_000, owner="other")], ["other"])


@case
async def a_renewal_tells_of_what_others_wrote(store: Store) -> None:
    """Law 4: one answer per lease, in order; the version lets the owner notice a pause or a stop."""
    claim = await store.own(0)
    await store.apply(1, put=Put(status="paused", data=b"", held=True))
    refs = [
        LeaseRef("queue:orders:none", 1),
        LeaseRef(ONE, claim.record.token),
        LeaseRef(ONE, claim.record.token - 1),
    ]
    answers = [(a.instance, a.held, a.version) for a in store.backend.renew(refs, 50_000)]
    expected = [("queue:orders:none", False, 0), (ONE, True, claim.record.version + 1), (ONE, False, 0)]
    check("held or not, and the version", answers, expected)
    check("no leases, no answers", list(store.backend.renew([], 50_000)), [])


@case
async def a_lost_lease_is_not_renewed(store: Store) -> None:
    """Law 4: neither after a take-over nor after a termination; the new owner's lease stays as it is."""
    token = (await store.own(0)).record.token
    new = await store.claim_one(LEASE_MS, owner="other")
    check("the late owner", store.renew(token, 99_000), False)
    check("the new lease is untouched", (await store.record()).lease_until, 2 * LEASE_MS)
    await store.apply(LEASE_MS, erase=True)
    check("a termination ends it", store.renew(new.record.token, 99_000), False)
    check("nothing is due", await store.backend.next_due(), None)


@case
async def a_take_over_names_the_suspects(store: Store) -> None:
    """Law 8: what the last owner had in hand when it vanished, and only that."""
    claim = await store.own(0, event("a"), event("b"), event("c"), event("d"), take=3)
    check("the first owner has none", (claim.suspects, ids(claim.items)), ((), ["a", "b", "c"]))
    await store.apply(1, remove=(removed(claim.items[0]),), give_back=(3,))
    over = await store.claim_one(LEASE_MS, take=1, owner="other")
    check("still in hand at the end", over.suspects, (2,))
    check("the work starts again in order", (ids(over.items), over.record.taken), (["b"], (2,)))
    await store.apply(LEASE_MS + 1, release="yes")
    check("none after an orderly release", (await store.claim_one(LEASE_MS + 1)).suspects, ())


@case
async def deliveries_count_claims_without_an_outcome(store: Store) -> None:
    """Law 8: each claim counts; finished work starts the count again, an orderly release forgets it."""
    counts = [(await store.own(0, event("a"), take=1)).record.deliveries]
    counts += [(await store.claim_one(n * LEASE_MS, take=1)).record.deliveries for n in (1, 2)]
    check("a crash loop shows", counts, [1, 2, 3])
    await store.apply(2 * LEASE_MS + 1, progress=True)
    check("finished work", (await store.record()).deliveries, 1)
    check("the next vanished owner", (await store.claim_one(3 * LEASE_MS)).record.deliveries, 2)
    await store.apply(3 * LEASE_MS + 1, release="yes")
    check("a release", (await store.record()).deliveries, 0)


@case
async def a_marked_item_stays_in_hand(store: Store) -> None:
    """Law 8: a delivery is counted before the item starts, so that a process it kills has counted it."""
    items = (await store.own(0, event("a", "L"), event("b"), take=2)).items
    check("both in hand", ids(items), ["a", "b"])
    await store.apply(1, mark=(replace(items[0], delivery=items[0].delivery + 1),))
    check("counted", [item.delivery for item in await store.items()], [1, 0])
    check("still in hand", (await store.record()).taken, (1, 2))
    over = await store.claim_one(LEASE_MS, take=1, owner="other")
    check("the next owner sees it", [(item.id, item.delivery) for item in over.items], [("a", 1)])


@case
async def a_claim_takes_items_with_it(store: Store) -> None:
    """One round trip: the lease and the first items, at most as many per instance as asked for."""
    for instance in ("queue:orders:1", "queue:orders:2"):
        await store.enqueue(0, event("a"), event("b"), event("c"), instance=instance)
    claims = sorted(await store.claim(0, take=2), key=lambda claim: claim.record.instance)
    check("two of each", [ids(claim.items) for claim in claims], [["a", "b"], ["a", "b"]])
    check("in hand, as the claim says", [claim.record.taken for claim in claims], [(1, 2), (1, 2)])
    check("and as the store says", (await store.record("queue:orders:2")).taken, (1, 2))


@case
async def a_claim_shows_the_record_as_it_is(store: Store) -> None:
    """A worker decides on the claim alone: it holds the whole record, as of this claim."""
    put = Put(status="scheduled", data=b"\xffdata", linger_ms=7)
    await store.apply(3, put=put, append=(event("a"),), dues=(Due("run", "set", 0),))
    claim = await store.claim_one(5)
    check("the record", claim.record, await store.record())
    check("its own part", (claim.record.status, claim.record.data), ("scheduled", b"\xffdata"))


@case
async def no_more_instances_are_claimed_than_asked_for(store: Store) -> None:
    """Law 12: a worker gets what it has room for; the rest stays due."""
    for number in range(5):
        await store.enqueue(0, event("a"), instance=f"queue:orders:{number}")
    check("none", [list(await store.claim(0, limit=limit)) for limit in (-1, 0)], [[], []])
    check("three", len(await store.claim(0, limit=3)), 3)
    check("the other two", len(await store.claim(0, limit=ALL)), 2)


@case
async def an_abandoned_lease_on_a_held_instance_starts_nothing(store: Store) -> None:
    """Invariant 11: after a pause commit nothing runs, not even what a vanished owner had in hand."""
    await store.own(0, event("a"), event("b"), take=1)
    await store.apply(1, put=Put(status="paused", data=b"", held=True))
    claims = await store.claim(LEASE_MS, take=5, owner="other")
    check("no items", [id for claim in claims for id in ids(claim.items)], [])
    await store.apply(LEASE_MS + 1, release="yes")
    await store.apply(LEASE_MS + 2, put=Put(status="live", data=b""))
    claim = await store.claim_one(LEASE_MS + 2, take=5)
    check("a resume loses nothing", ids(claim.items), ["a", "b"])


@case
async def a_cancel_request_survives_its_owner(store: Store) -> None:
    """Law 4, invariant 1: a caller who was told `running` is not forgotten because the worker vanished."""
    await store.own(0, event("a"), event("b"), take=1)
    check("in hand", (await store.apply(1, cancel=("a",))).cancelled, ("running",))
    over = await store.claim_one(LEASE_MS, take=1, owner="other")
    told = over.record.cancels == (1,) or ids(over.items) != ["a"]
    assert told, f"the next owner hears of the cancellation of 'a': expected it in record.cancels, got {over!r}"


@case
async def producers_do_not_disturb_an_owner(store: Store) -> None:
    """Hot operations never conflict: appends and cancels leave the lease, the token and the hand alone."""
    claim = await store.own(0, event("a"), take=1)
    await store.apply(1, create=LIVE, append=(event("b"),), dues=(Due("run", "set", 1),))
    await store.apply(2, cancel=("b",))
    record = await store.record()
    check("lease and hand", (record.owner, record.token, record.taken), ("worker", claim.record.token, (1,)))
    outcome = await store.apply(3, guard=Guard(token=claim.record.token), remove=(removed(claim.items[0]),))
    check("its next commit", (outcome.verdict, outcome.count), ("applied", 0))
