"""What was acknowledged is there after the process is gone: a store is closed and opened again."""

from __future__ import annotations

import asyncio

from durable_primitives.kernel.record import NEVER
from durable_primitives.kernel.transition import Batching, Create, Due, Guard, Put, Reschedule
from durable_primitives.testing.conformance._case import case, case_for
from durable_primitives.testing.conformance._store import (
    LEASE_MS,
    LIVE,
    ONE,
    Store,
    buried,
    check,
    check_same,
    event,
    ids,
    removed,
)

HOOKS = "buffer:webhooks:acct-7"


@case_for("durable")
async def everything_comes_back(store: Store) -> None:
    """Law 2: records, items, receipts, dead letters, dues and leases, field by field."""
    claim = await store.own(0, *(event(name, "L", rank=n - 9) for n, name in enumerate("abcdef")), take=4)
    a, b, c, _ = claim.items
    await store.apply(
        5,
        put=Put(status="running", data=b"\x00\xff", linger_ms=90),
        remember=("seen",),
        remove=(removed(a),),
        bury=(buried(b),),
        reschedule=(Reschedule(c, 70, 1, 1, "boom", False),),
        cancel=("d",),
        dues=(Due("quiet", "set", 99),),
    )
    batching = Batching(max_items=2, window_ms=50)
    items = tuple(event(name, due=NEVER) for name in "xyz")
    await store.apply(6, HOOKS, create=Create(status="open", segment=1), append=items, batching=batching)
    await store.apply(7, "queue:orders:2", create=LIVE)
    await store.apply(8, "queue:orders:2", erase=True)
    instances = (ONE, HOOKS, "queue:orders:2")
    before = [await store.picture(instance) for instance in instances]
    store = await store.reopen()
    for instance, picture in zip(instances, before, strict=True):
        check_same(f"{instance}, opened again", await store.picture(instance), picture)


@case_for("durable")
async def due_work_runs_without_anybody_calling(store: Store) -> None:
    """Invariant 15: after a restart a worker finds all due work by itself."""
    await store.enqueue(0, event("a"), event("b", due=50))
    store = await store.reopen()
    check("the alarm is there", await store.backend.next_due(), 0)
    claim = await store.claim_one(50, take=5)
    check("the work too", ids(claim.items), ["b", "a"])


@case_for("durable")
async def a_lease_outlives_its_process(store: Store) -> None:
    """Law 3, law 4: nobody gets it before its end, and at its end somebody does, with a higher token."""
    old = await store.own(0, event("a"), event("b"), take=1)
    store = await store.reopen()
    check("before its end", list(await store.claim(LEASE_MS - 1, owner="other")), [])
    over = await store.claim_one(LEASE_MS, take=1, owner="other")
    check("at its end", (over.suspects, ids(over.items), over.record.deliveries), ((1,), ["a"], 2))
    check("a new token", over.record.token > old.record.token, True)
    verdict = (await store.apply(LEASE_MS + 1, guard=Guard(token=old.record.token))).verdict
    check("the old one is fenced", verdict, "fenced")


@case_for("durable")
async def counting_goes_on_where_it_was(store: Store) -> None:
    """Law 4, law 5, law 9: sequences, versions, generations and receipts know of no restart."""
    await store.apply(0, put=Put(status="live", data=b""))
    await store.apply(1, erase=True)
    await store.enqueue(2, event("a"))
    store = await store.reopen()
    outcome = await store.enqueue(3, event("a"), event("b"))
    check(
        "duplicate, then the next sequence", [(a.duplicate, a.seq) for a in outcome.accepted], [(True, 1), (False, 2)]
    )
    check("generation and version", (outcome.generation, outcome.version), (2, 2))


@case_for("durable")
async def what_was_settled_stays_settled(store: Store) -> None:
    """Invariant 1: a completion, a sweep and a termination are as durable as an acceptance."""
    claim = await store.own(0, event("a"), event("b"), take=2)
    a, b = claim.items
    await store.apply(1, remove=(removed(a, expires_at=50), removed(b, expires_at=90)), release="yes")
    await store.enqueue(2, event("x"), instance="queue:orders:2")
    await store.apply(3, "queue:orders:2", erase=True)
    await store.backend.sweep(50, 10)
    store = await store.reopen()
    check("no item came back", ids(await store.items()), [])
    check("one receipt was swept", (await store.receipt("a"), await store.receipt("b") is not None), (None, True))
    check("none of the erased one", ids(await store.items("queue:orders:2")), [])


@case_for("durable")
async def what_was_handed_over_before_a_close_is_finished(store: Store) -> None:
    """Law 2, law 15: a commit that a close overtakes is applied or raises, and the store agrees with the answer."""
    commits = [asyncio.ensure_future(store.enqueue(0, event(f"event-{number}"))) for number in range(5)]
    await asyncio.sleep(0)
    again = await store.reopen()
    answers = await asyncio.gather(*commits, return_exceptions=True)
    acknowledged = [f"event-{n}" for n, answer in enumerate(answers) if not isinstance(answer, BaseException)]
    stored = sorted(str(id) for id in ids(await again.items()))
    check("what was acknowledged is there", [id for id in acknowledged if id not in stored], [])
    check("each at most once", stored, sorted(set(stored)))


@case
async def a_store_may_be_closed_twice(store: Store) -> None:
    """`close` is safe to call again, also by code that cleans up after an error."""
    await store.enqueue(0, event("a"))
    await store.backend.close()
    await store.backend.close()


@case
async def a_store_that_was_never_opened_may_be_closed(store: Store) -> None:
    """So is a `close` after an `open` that did not happen."""
    await store.unopened().close()
