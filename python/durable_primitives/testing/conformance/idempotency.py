"""An event id is accepted once, and remembered from its acceptance to the end of its window."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from durable_primitives.kernel.record import Receipt
from durable_primitives.kernel.transition import (
    Accepted,
    Burial,
    Clear,
    Due,
    Guard,
    Put,
    Reschedule,
    Retire,
    Transition,
)
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import (
    DAY_MS,
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

END_MS = 9_000
"""When the window of an id ends in these cases."""


async def receipt_of(store: Store, id: str) -> Receipt:
    """What is remembered of an id, which must be known."""
    receipt = await store.receipt(id)
    assert receipt is not None, f"{id!r} was accepted: expected a receipt, got none"
    return receipt


@case
async def a_duplicate_gets_the_first_receipt(store: Store) -> None:
    """Law 9: a duplicate is not an error; the caller learns what became of the first one, and nothing changes."""
    await store.enqueue(0, event("a"))
    first = (await store.enqueue(1, event("b", due=50))).accepted
    await store.enqueue(1, event("c"))
    before = await store.picture()
    outcome = await store.enqueue(2, event("b", lane="other", due=90, rank=3))
    check("the first receipt", first, (Accepted(2, 2, 0, 2, False),))
    check("the same one again", outcome.accepted, (Accepted(2, 2, 0, 3, True),))
    after = await store.picture()
    assert after.record is not None
    after.record.updated_at = 1
    check_same("a duplicate changes nothing", after, before)


@case
async def an_id_is_accepted_once_within_a_commit(store: Store) -> None:
    """Invariant 9: also when it stands twice in one append, or in two transitions of one commit."""
    twice = (event("a"), event("b"), event("a"))
    outcomes, _ = await store.commit(
        Transition(instance=ONE, at=0, create=LIVE, append=twice),
        Transition(instance=ONE, at=0, create=LIVE, append=(event("b"), event("c"))),
    )
    check("one append", [a.duplicate for a in outcomes[0].accepted], [False, False, True])
    check("two transitions", [a.duplicate for a in outcomes[1].accepted], [True, False])
    check("each once", ids(await store.items()), ["a", "b", "c"])


@case
async def one_of_many_producers_of_an_id_is_accepted(store: Store) -> None:
    """Invariant 9: under any interleaving of commits in flight."""
    outcomes = await asyncio.gather(*(store.enqueue(0, event("a")) for _ in range(10)))
    check("one acceptance", sorted(o.accepted[0].duplicate for o in outcomes), [False] + [True] * 9)
    check("the same receipt for all", {o.accepted[0].seq for o in outcomes}, {1})
    check("one item", ids(await store.items()), ["a"])


@case
async def an_id_is_remembered_while_its_event_lives(store: Store) -> None:
    """Law 9: pending, delayed, in hand and in backoff, a second one is a duplicate."""
    await store.own(0, event("hand"), event("backoff"), event("pending"), event("delayed", due=50), take=2)
    backoff = (await store.items())[1]
    await store.apply(1, reschedule=(Reschedule(backoff, 50, 1, 0, "boom", True),))
    for seq, id in enumerate(("hand", "backoff", "pending", "delayed"), 1):
        receipt = await receipt_of(store, id)
        check(f"{id}: live, and kept without end", (receipt.settlement, receipt.expires_at), (None, None))
        (again,) = (await store.enqueue(2, event(id))).accepted
        check(f"{id}: a duplicate", (again.duplicate, again.seq), (True, seq))


@case
async def an_id_is_remembered_after_its_event_has_ended(store: Store) -> None:
    """Law 9: however it ended, its receipt says so and is kept for the window."""
    claim = await store.own(0, event("done"), event("dead"), event("discarded"), event("expired"), take=4)
    done, dead, discarded, expired = claim.items
    burials = tuple(buried(item, expires_at=END_MS) for item in (dead, discarded))
    removals = (removed(done, "done", END_MS), removed(expired, "cancelled", END_MS))
    await store.apply(1, remove=removals, bury=burials)
    await store.apply(2, discard=("discarded",), append=(event("cleared"),))
    await store.apply(3, clear=Clear(0, END_MS))
    await store.apply(4, append=(event("retired"), event("cancelled")))
    await store.apply(5, cancel=("cancelled",))
    await store.apply(6, retire=Retire(0, "done", END_MS))
    endings = {
        "done": "done",
        "dead": "dead",
        "discarded": "dead",
        "expired": "cancelled",
        "cleared": "cleared",
        "retired": "done",
        "cancelled": "cancelled",
    }
    for id, settlement in endings.items():
        receipt = await receipt_of(store, id)
        check(f"{id}: how it ended", receipt.settlement, settlement)
        # A cancellation does not say how long its id is remembered.
        assert receipt.expires_at is not None, f"{id}: has ended, expected an end of its window, got none"
        if id != "cancelled":
            check(f"{id}: the end of its window", receipt.expires_at, END_MS)
        check(f"{id}: a duplicate", (await store.enqueue(7, event(id))).accepted[0].duplicate, True)


@case
async def an_id_is_free_after_its_window(store: Store) -> None:
    """Law 9: the window ends when it was said to end, and the id can be used anew."""
    (item,) = (await store.own(0, event("a"), take=1)).items
    await store.apply(1, remove=(removed(item, expires_at=END_MS),))
    check("the window is kept", (await receipt_of(store, "a")).expires_at, END_MS)
    await store.backend.sweep(END_MS - 1, 100)
    check("before its end", (await store.enqueue(END_MS - 1, event("a"))).accepted[0].duplicate, True)
    await store.backend.sweep(END_MS, 100)
    check("after its end", (await store.enqueue(END_MS, event("a"))).accepted[0].duplicate, False)
    check("a new item", ids(await store.items()), ["a"])


@case
async def a_window_ends_on_time_however_late_the_sweep(store: Store) -> None:
    """Law 9: the window is a time, so a sweep that lags must not swallow an event that is new."""
    (item,) = (await store.own(0, event("a"), take=1)).items
    await store.apply(1, remove=(removed(item, expires_at=END_MS),))
    check("before its end", (await store.enqueue(END_MS - 1, event("a"))).accepted[0].duplicate, True)
    check("at its end, unswept", (await store.enqueue(END_MS, event("a"))).accepted[0].duplicate, False)
    check("a receipt of its own", (await receipt_of(store, "a")).settlement, None)


@case
async def an_append_of_duplicates_moves_no_due(store: Store) -> None:
    """Law 9: a duplicate moves no timer; one new event among duplicates does."""
    await store.apply(0, create=LIVE, append=(event("a"),), dues=(Due("quiet", "set", 50),))
    await store.apply(10, append=(event("a"),), dues=(Due("quiet", "set", 60),))
    check("nothing new", (await store.record()).dues["quiet"], 50)
    await store.apply(20, append=(event("a"), event("b")), dues=(Due("quiet", "set", 70),))
    check("something new", (await store.record()).dues["quiet"], 70)
    await store.apply(30, dues=(Due("quiet", "set", 80),))
    check("no append at all", (await store.record()).dues["quiet"], 80)


@case
async def a_remembered_id_makes_the_whole_transition_a_duplicate(store: Store) -> None:
    """Law 9: a change that no item stands for is applied once per id."""
    put = Put(status="live", data=b"1")
    check("the first time", (await store.apply(0, put=put, remember=("a", "b"))).verdict, "applied")
    for known in (("a",), ("b", "new"), ("new", "a")):
        outcome = await store.apply(1, put=Put(status="live", data=b"2"), remember=known)
        check(f"remember {known}", outcome.verdict, "duplicate")
    check("nothing changed", ((await store.record()).data, await store.receipt("new")), (b"1", None))
    check("an append meets it too", (await store.enqueue(2, event("a"))).accepted[0].duplicate, True)


@case
async def a_fresh_id_is_remembered_too(store: Store) -> None:
    """Law 9: `fresh` spares the look-up, not the memory."""
    await store.enqueue(0, replace(event("a"), fresh=True))
    check("a later duplicate is seen", (await store.enqueue(1, event("a"))).accepted[0].duplicate, True)


@case
async def events_without_an_id_are_all_accepted(store: Store) -> None:
    """Law 9: only an id makes two events the same."""
    outcome = await store.enqueue(0, event(None), event(None), event(None))
    check("three events", [a.duplicate for a in outcome.accepted], [False, False, False])
    check("three items", ids(await store.items()), [None, None, None])


@case
async def ids_are_remembered_per_instance(store: Store) -> None:
    """Law 9: one instance knows nothing of another's ids."""
    await store.enqueue(0, event("a"))
    outcome = await store.enqueue(0, event("a"), instance="queue:orders:2")
    check("the same id elsewhere", [(a.duplicate, a.seq) for a in outcome.accepted], [(False, 1)])


@case
async def a_receipt_follows_its_event(store: Store) -> None:
    """Law 9: while an event waits, its receipt says where it stands, so that it can be cancelled at any time."""
    (item,) = (await store.own(0, event("a", "L", rank=-2), take=1)).items
    check("accepted", await receipt_of(store, "a"), Receipt("a", 1, 1, 0, -2, 0))
    await store.apply(1, reschedule=(Reschedule(item, 50, 1, 0, None, True),))
    check("waiting", await receipt_of(store, "a"), Receipt("a", 1, 1, 50, -2, 0))
    check("cancelled while it waits", (await store.apply(2, cancel=("a",))).cancelled, ("cancelled",))
    check("it is gone", (ids(await store.items()), (await store.record()).count), ([], 0))


@case
async def a_cancel_says_what_became_of_the_event(store: Store) -> None:
    """Law 9, invariant 1: one answer per id, and one terminal outcome per event."""
    claim = await store.own(0, event("hand"), event("done"), event("dead"), take=3)
    _, done, dead = claim.items
    await store.apply(1, remove=(removed(done),), bury=(buried(dead),), append=(event("pending"),), remember=("seen",))
    asked = ("pending", "hand", "done", "dead", "seen", "unknown", "pending")
    outcome = await store.apply(2, cancel=asked)
    answers = ("cancelled", "running", "done", "done", "not_found", "not_found", "cancelled")
    check("one answer per id", dict(zip(asked, outcome.cancelled, strict=True)), dict(zip(asked, answers, strict=True)))
    check("the owner is told of what it has in hand", outcome.cancels, (1,))
    check("only the pending one left", ids(await store.items()), ["hand"])
    check("told again with its next commit", (await store.apply(3)).cancels, (1,))
    check("asked again, told once", (await store.apply(3, cancel=("hand",))).cancels, (1,))
    await store.apply(4, remove=(removed(claim.items[0], "cancelled"),))
    check(
        "until it is settled",
        ((await store.record()).cancels, (await receipt_of(store, "hand")).settlement),
        ((), "cancelled"),
    )


@case
async def a_cancel_request_ends_with_its_event(store: Store) -> None:
    """Law 12: it is kept while the event waits for its next attempt, and goes with it, however the event goes."""
    leave: dict[str, Parts] = {
        "cancelled": {"cancel": ("a",)},
        "cleared": {"clear": Clear(0, DAY_MS)},
        "retired": {"retire": Retire(0, "done", DAY_MS)},
        "dropped": {"guard": Guard(room=1), "on_full": "drop_oldest", "append": (event("b"),)},
    }
    for how, parts in leave.items():
        fresh = await store.fresh()
        (item,) = (await fresh.own(0, event("a"), take=1)).items
        await fresh.apply(1, cancel=("a",))
        await fresh.apply(2, reschedule=(Reschedule(item, 50, 1, 0, "boom", True),))
        check(f"not yet {how}: asked for", (await fresh.record()).cancels, (1,))
        await fresh.apply(3, **parts)
        check(f"{how}: asked for no more", (await fresh.record()).cancels, ())


@case
async def a_dead_batch_leaves_the_receipts_of_its_events(store: Store) -> None:
    """Law 9: a batch that died was accepted event by event, and each of them stays remembered."""
    await store.apply(0, create=LIVE, append=(event("a"), event("b")))
    batch = Burial("flush-1", None, b"both", 3, "boom", 2, DAY_MS)
    await store.apply(1, bury=(batch,), retire=Retire(0, "dead", DAY_MS))
    for id in ("a", "b"):
        check(f"{id} is dead", (await receipt_of(store, id)).settlement, "dead")
        check(f"{id} is a duplicate", (await store.enqueue(2, event(id))).accepted[0].duplicate, True)
