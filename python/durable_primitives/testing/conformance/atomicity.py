"""One transition is one atomic change: all of it or nothing, and nobody sees half of it."""

from __future__ import annotations

import asyncio

from durable_primitives.kernel.transition import ClaimRequest, Due, Guard, Put, Transition
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import LIVE, ONE, Store, check, check_same, event, ids

TWO = "queue:orders:2"


@case
async def a_commit_changes_record_items_receipts_and_dues_together(store: Store) -> None:
    """Law 1: one commit changes the record, the items, the receipts and the due times."""
    await store.apply(
        5,
        put=Put(status="scheduled", data=b"\x00state"),
        append=(event("a"),),
        remember=("seen",),
        dues=(Due("run", "set", 3),),
    )
    record, receipts, items, _, _, next_due = await store.picture()
    assert record is not None
    check("the record is there", (record.status, record.data, record.count), ("scheduled", b"\x00state", 1))
    check("the item is there", [(item.id, item.payload, item.at) for item in items], [("a", b"payload of a", 5)])
    check("both ids are remembered", sorted(receipts), ["a", "seen"])
    check("the due times are there", (record.dues, next_due), ({"run": 3, "items": 5}, 3))


@case
async def a_refused_transition_changes_nothing(store: Store) -> None:
    """Law 1, invariant 5: a rejected request leaves the store as it was, whatever the reason."""
    await store.enqueue(0, event("a"), event("b"))
    await store.apply(1, put=Put(status="live", data=b"old"), remember=("seen",), dues=(Due("run", "set", 70),))
    before = await store.picture()
    reasons = {
        "exists": Guard(exists=False),
        "version": Guard(version=7),
        "generation": Guard(generation=7),
        "token": Guard(token=7),
        "room": Guard(room=2),
    }
    for reason, guard in reasons.items():
        outcome = await store.apply(
            2,
            guard=guard,
            put=Put(status="changed", data=b"new"),
            append=(event("c"),),
            cancel=("a",),
            dues=(Due("run", "set", 1),),
        )
        assert outcome.verdict != "applied", f"the guard on {reason} does not hold: expected a refusal, got {outcome!r}"
        check_same(f"refused by {reason}, nothing changes", await store.picture(), before)
    outcome = await store.apply(3, remember=("seen",), put=Put(status="changed", data=b"new"))
    check("a remembered id refuses all of the transition", outcome.verdict, "duplicate")
    check_same("refused as a duplicate, nothing changes", await store.picture(), before)


@case
async def a_refused_transition_leaves_no_instance_behind(store: Store) -> None:
    """Law 1: what was refused did not make its instance either."""
    outcome = await store.apply(0, guard=Guard(exists=True), put=Put(status="live", data=b""), append=(event("a"),))
    check("an instance that must exist does not", outcome.verdict, "conflict")
    check("no record was made", (await store.backend.load(ONE)).record, None)
    check("nothing is scheduled", await store.backend.next_due(), None)


@case
async def a_refused_transition_leaves_its_neighbours_alone(store: Store) -> None:
    """Law 1: transitions of one commit succeed and fail each for itself."""
    put = Put(status="live", data=b"")
    outcomes, _ = await store.commit(
        Transition(instance=ONE, at=0, put=put),
        Transition(instance=ONE, at=0, put=put, guard=Guard(version=9)),
        Transition(instance=TWO, at=0, put=put, guard=Guard(exists=True)),
        Transition(instance=TWO, at=0, put=put),
    )
    check(
        "one outcome per transition, in order",
        [outcome.verdict for outcome in outcomes],
        ["applied", "conflict", "conflict", "applied"],
    )
    check("each applied once", [(await store.record(name)).version for name in (ONE, TWO)], [1, 1])


@case
async def transitions_of_one_commit_see_each_other_in_order(store: Store) -> None:
    """Law 1: a later transition of a commit starts from what the earlier ones left."""
    outcomes, _ = await store.commit(
        Transition(instance=ONE, at=0, put=Put(status="first", data=b"")),
        Transition(instance=ONE, at=1, append=(event("a"), event("b"))),
        Transition(instance=ONE, at=2, put=Put(status="second", data=b""), guard=Guard(version=1)),
        Transition(instance=ONE, at=3, append=(event("a"), event("c"))),
    )
    check("versions rise along the commit", [outcome.version for outcome in outcomes], [1, 1, 2, 2])
    check("counts rise along the commit", [outcome.count for outcome in outcomes], [0, 2, 2, 3])
    check("the second 'a' is a duplicate", [a.duplicate for a in outcomes[3].accepted], [True, False])
    check("items in order of arrival", ids(await store.items()), ["a", "b", "c"])


@case
async def a_claim_sees_the_transitions_it_travels_with(store: Store) -> None:
    """Law 1: the claim is served after the transitions of the same round trip."""
    append = Transition(instance=ONE, at=0, create=LIVE, append=(event("a"),))
    request = ClaimRequest(owner="worker", at=0, lease_ms=100, limit=1, take=1)
    _, claims = await store.commit(append, request=request)
    check("the new work is claimed at once", [ids(claim.items) for claim in claims], [["a"]])


@case
async def an_empty_commit_does_nothing(store: Store) -> None:
    """A worker that has nothing to say may still take a turn."""
    outcomes, claims = await store.commit()
    check("no transitions, no outcomes", (list(outcomes), list(claims)), ([], []))


@case
async def commits_in_flight_together_lose_nothing(store: Store) -> None:
    """Law 1: concurrent commits to one instance are applied one after the other."""
    names = [f"event-{number:02}" for number in range(20)]
    outcomes = await asyncio.gather(*(store.enqueue(0, event(name)) for name in names))
    check("every event is there", sorted(str(id) for id in ids(await store.items())), names)
    check("sequences are given once", sorted(o.accepted[0].seq for o in outcomes), list(range(1, 21)))
    check("exactly one of them made the instance", sum(outcome.created for outcome in outcomes), 1)


@case
async def a_snapshot_does_not_change_afterwards(store: Store) -> None:
    """What a backend hands out is the caller's own: the store does not reach it, nor the other way round."""
    await store.enqueue(5, event("a"))
    snapshot = await store.record()
    await store.apply(6, put=Put(status="changed", data=b"new"), dues=(Due("run", "set", 1),))
    check(
        "an old snapshot stays as it was", (snapshot.status, snapshot.dues, snapshot.version), ("live", {"items": 5}, 0)
    )
    snapshot.dues["run"] = 0
    check("a caller's change stays the caller's", (await store.record()).dues, {"items": 5, "run": 1})
    claim = await store.claim_one(10)
    claim.record.dues.clear()
    check("so for a claim", (await store.record()).dues, {"items": 5, "run": 1})


@case
async def an_immediate_backend_commits_without_waiting(store: Store) -> None:
    """`commit_now` is `commit` for those that claim to be immediate, and an error for all others."""
    transition = Transition(instance=ONE, at=0, put=Put(status="live", data=b""))
    try:
        outcomes, _ = store.backend.commit_now([transition])
    except NotImplementedError:
        check("only a backend that is not immediate may refuse", store.backend.capabilities.immediate, False)
        return
    check("a backend with `commit_now` says that it is immediate", store.backend.capabilities.immediate, True)
    check("the transition applied", [outcome.verdict for outcome in outcomes], ["applied"])
    check("and is there", (await store.record()).status, "live")
