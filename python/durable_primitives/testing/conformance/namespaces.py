"""One store may hold several namespaces, and several processes may share one; the two are kept apart and together."""

from __future__ import annotations

import asyncio

from durable_primitives.kernel.transition import Guard, Put
from durable_primitives.testing.conformance._case import case, case_for
from durable_primitives.testing.conformance._store import ALL, ONE, Store, buried, check, event, ids

PUT = Put(status="live", data=b"")


async def visible(store: Store) -> tuple[object, ...]:
    """Everything that a namespace shows of what the cases here write."""
    records = [(record.instance, record.count) for record in await store.backend.scan("", "", ALL)]
    letters = [letter.id for letter in await store.letters()]
    return records, ids(await store.items()), letters, await store.receipt("a"), await store.backend.next_due()


NOTHING: tuple[object, ...] = ([], [], [], None, None)


@case_for("durable")
async def namespaces_do_not_see_each_other(store: Store) -> None:
    """A staging worker on the production store runs nothing of production."""
    await store.own(0, event("a"), event("b"))
    (item,) = (await store.apply(0, take=1)).items
    await store.apply(1, bury=(buried(item),))
    mine = await visible(store)
    other = await store.reopen("another")
    check("nothing to see", await visible(other), NOTHING)
    check("nothing to claim", list(await other.claim(10**9)), [])
    check("nothing to renew", other.renew(1, 10**9), False)
    check("nothing to sweep", await other.backend.sweep(10**12, ALL), 0)
    check("an id of the other is new here", (await other.enqueue(5, event("a"))).accepted[0].duplicate, False)
    check("and erased here", (await other.apply(6, erase=True)).verdict, "applied")
    again = await other.reopen()
    check("the first is as it was", await visible(again), mine)


@case_for("durable")
async def awkward_namespaces_are_kept_apart(store: Store) -> None:
    """Names that a pattern match or a case folding would mix up are different names."""
    names = ("a_b", "axb", "A_B", "a-b", "a.b", "a")
    for number, name in enumerate(names):
        store = await store.reopen(name)
        check(f"{name} starts empty", (await visible(store))[0], [])
        await store.apply(0, f"queue:orders:{number}", put=PUT)
    for number, name in enumerate(names):
        store = await store.reopen(name)
        check(f"{name} holds its own", (await visible(store))[0], [(f"queue:orders:{number}", 0)])


@case_for("multi_process")
async def processes_share_a_namespace(store: Store) -> None:
    """Law 2: what one has committed, the other sees at once."""
    other = await store.beside()
    await store.enqueue(0, event("a"))
    check("a duplicate for the other", (await other.enqueue(1, event("a"))).accepted[0].duplicate, True)
    claim = await other.claim_one(1, take=1, owner="other")
    check("claimed by the other", (ids(claim.items), list(await store.claim(2))), (["a"], []))
    check("only its token counts", (await store.apply(3, guard=Guard(token=claim.record.token + 1))).verdict, "fenced")


@case_for("multi_process")
async def processes_compete_fairly(store: Store) -> None:
    """Invariant 2, invariant 9: claims and appends in flight in two processes lose and double nothing."""
    other = await store.beside()
    both = (store, other)
    instances = [f"queue:orders:{number}" for number in range(8)]
    outcomes = await asyncio.gather(*(s.enqueue(0, event("a"), instance=name) for name in instances for s in both))
    check("each id accepted once", sum(not o.accepted[0].duplicate for o in outcomes), len(instances))
    shares = await asyncio.gather(*(s.claim(0, limit=3) for s in both for _ in range(2)))
    claimed = sorted(claim.record.instance for share in shares for claim in share)
    check("each instance claimed once", claimed, instances)


@case_for("multi_process")
async def processes_open_side_by_side(store: Store) -> None:
    """A second worker starts while the first one works, also in another namespace."""
    await store.enqueue(0, event("a"))
    other = await store.beside("another")
    check("it sees nothing of the first", await visible(other), NOTHING)
    await other.enqueue(0, event("b"))
    check("nor the first of it", ids(await store.items()), ["a"])


@case
async def two_stores_have_nothing_in_common(store: Store) -> None:
    """A test that makes its own store meets no other's leftovers."""
    await store.enqueue(0, event("a"))
    other = await store.fresh()
    check("a fresh store is empty", await visible(other), NOTHING)
    check("and the first is not", (await store.record(ONE)).count, 1)
