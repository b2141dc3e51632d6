"""Due times: several by name, one alarm that follows from them, none ever lost."""

from __future__ import annotations

from typing import Literal

from durable_primitives.kernel.record import NEVER, RECHECK_DUE
from durable_primitives.kernel.transition import Due, Guard, NewItem, Put, Reschedule
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import LEASE_MS, LIVE, ONE, Store, check, event, ids, removed

PUT = Put(status="live", data=b"")


@case
async def the_words_for_a_named_due(store: Store) -> None:
    """Law 3: `set`, `set_if_unset`, `earlier` and `clear`, on a due that is there and on one that is not."""
    rows: list[tuple[int | None, Literal["set", "set_if_unset", "earlier", "clear"], int, int | None]] = [
        (None, "set", 50, 50),
        (70, "set", 90, 90),
        (70, "set", 50, 50),
        (None, "set_if_unset", 50, 50),
        (70, "set_if_unset", 50, 70),
        (None, "earlier", 50, 50),
        (70, "earlier", 50, 50),
        (70, "earlier", 90, 70),
        (None, "clear", 0, None),
        (70, "clear", 0, None),
    ]
    for number, (before, how, at, after) in enumerate(rows):
        instance = f"continuous:refresh:{number}"
        await store.apply(0, instance, put=PUT, dues=() if before is None else (Due("run", "set", before),))
        outcome = await store.apply(1, instance, dues=(Due("other", "set", 99), Due("run", how, at)))
        expected = {"other": 99} if after is None else {"other": 99, "run": after}
        check(f"{before}, then {how} {at}", (await store.record(instance)).dues, expected)
        check(f"{before}, then {how} {at}: as the outcome says", outcome.dues, expected)


@case
async def dues_are_changed_in_the_order_given(store: Store) -> None:
    """Law 3: a transition may clear a due and set it again."""
    await store.apply(0, put=PUT, dues=(Due("run", "set", 10),))
    await store.apply(1, dues=(Due("run", "clear"), Due("run", "set_if_unset", 50), Due("run", "earlier", 60)))
    check("cleared, set, kept", (await store.record()).dues, {"run": 50})


@case
async def the_alarm_is_the_earliest_due(store: Store) -> None:
    """Law 3: a pure function of what is stored: it comes nearer, moves away and goes with the dues."""
    steps: list[tuple[tuple[Due, ...], int | None]] = [
        ((), None),
        ((Due("run", "set", 50), Due("retry", "set", 70)), 50),
        ((Due("quiet", "set", 20),), 20),
        ((Due("quiet", "set", 90),), 50),
        ((Due("run", "clear"),), 70),
        ((Due("retry", "clear"), Due("quiet", "clear")), None),
    ]
    for dues, alarm in steps:
        await store.apply(0, put=PUT, dues=dues)
        check(f"after {dues!r}", ((await store.record()).alarm, await store.backend.next_due()), (alarm, alarm))


@case
async def the_next_due_is_the_earliest_alarm_of_all(store: Store) -> None:
    """Law 3: over all instances, through every change."""
    for number, at in enumerate((70, 30, 50)):
        await store.apply(0, f"continuous:refresh:{number}", put=PUT, dues=(Due("run", "set", at),))
    check("the earliest of three", await store.backend.next_due(), 30)
    await store.apply(1, "continuous:refresh:1", dues=(Due("run", "set", 90),))
    check("it moved away", await store.backend.next_due(), 50)
    await store.apply(2, "continuous:refresh:2", erase=True)
    check("it was erased", await store.backend.next_due(), 70)
    await store.claim(70)
    check("it is leased: the others, or the end of the lease", await store.backend.next_due(), 90)


@case
async def nothing_is_claimed_before_its_due(store: Store) -> None:
    """Invariant 4: not a millisecond early, and exactly on time."""
    await store.apply(0, put=PUT, dues=(Due("run", "set", 50),))
    check("early", list(await store.claim(49)), [])
    check("on time", [claim.record.instance for claim in await store.claim(50)], [ONE])


@case
async def what_is_due_first_is_claimed_first(store: Store) -> None:
    """Law 3: earliest first and no more than asked for, so that a small worker starves nobody."""
    due = {f"continuous:refresh:{number}": at for number, at in enumerate((70, 10, 50, 30, 90))}
    for instance, at in due.items():
        await store.apply(0, instance, put=PUT, dues=(Due("run", "set", at),))
    order: list[int] = []
    for _ in range(3):
        order += [due[claim.record.instance] for claim in await store.claim(70, limit=2)]
    check("two at a time, earliest first", order, [10, 30, 50, 70])


@case
async def a_claim_keeps_the_dues(store: Store) -> None:
    """Law 3: a claim deletes no due time, so a worker that dies right after it has lost nothing."""
    await store.apply(0, put=PUT, dues=(Due("run", "set", 10), Due("quiet", "set", 20)))
    claim = await store.claim_one(10)
    check("as the claim shows it", claim.record.dues, {"run": 10, "quiet": 20})
    check("as it is stored", (await store.record()).dues, {"run": 10, "quiet": 20})
    await store.apply(11, guard=Guard(token=claim.record.token), release="yes")
    check("released unchanged, it is due again", await store.backend.next_due(), 10)


@case
async def an_append_arms_its_instance(store: Store) -> None:
    """Law 3: now for what is ready, later for what is delayed, never for what waits for its instance."""
    rows: list[tuple[list[NewItem], dict[str, int]]] = [
        ([event("a")], {"items": 5}),
        ([event("a", due=3)], {"items": 5}),
        ([event("a", due=50)], {"items": 50}),
        ([event("a", due=50), event("b", due=20), event("c", due=70)], {"items": 20}),
        ([event("a", due=NEVER)], {}),
        ([event("a", due=NEVER), event("b", due=50)], {"items": 50}),
    ]
    for number, (items, dues) in enumerate(rows):
        instance = f"queue:orders:{number}"
        await store.enqueue(5, *items, instance=instance)
        check(f"due at {[item.due for item in items]}", (await store.record(instance)).dues, dues)


@case
async def an_append_only_ever_brings_the_alarm_nearer(store: Store) -> None:
    """Law 3: later work does not push earlier work away."""
    for at, due, expected in ((0, 50, 50), (1, 80, 50), (2, 30, 30), (3, 0, 3), (4, 0, 3)):
        await store.enqueue(at, event(None, due=due))
        check(f"an item due at {due}", await store.backend.next_due(), expected)


@case
async def a_reschedule_arms_its_instance(store: Store) -> None:
    """Law 7: a retry is a due time."""
    (item,) = (await store.own(0, event("a"), take=1)).items
    await store.apply(1, reschedule=(Reschedule(item, 500, 1, 0, "boom", True),), dues=(Due("run", "clear"),))
    await store.apply(2, release="yes")
    check("when the retry is due", await store.backend.next_due(), 500)


@case
async def a_retry_is_not_hastened_by_new_arrivals(store: Store) -> None:
    """Law 7: backoff cannot be bypassed; new work may wake its owner, but the retry stays where it is."""
    (item,) = (await store.own(0, event("a"), take=1)).items
    await store.apply(1, reschedule=(Reschedule(item, 500, 1, 0, "boom", True),), release="yes")
    await store.enqueue(2, event("b"), event("a"))
    claim = await store.claim_one(2, take=10)
    check("only the new one", ids(claim.items), ["b"])
    check("the retry waits on", [item.due for item in await store.items()], [500, 0])


@case
async def an_idle_release_waits_for_the_next_item(store: Store) -> None:
    """Law 3: an owner that finds nothing to take leaves the due time of what still waits."""
    rows: list[tuple[str, list[NewItem], dict[str, int]]] = [
        ("nothing left", [], {}),
        ("waiting", [event("x", due=500), event("y", due=90)], {"items": 90}),
        ("held back by its lane", [event("x", "L", due=500), event("y", "L")], {"items": 500}),
        ("for its instance only", [event("x", due=NEVER)], {}),
    ]
    for number, (row, items, dues) in enumerate(rows):
        instance = f"queue:orders:{number}"
        claim = await store.own(0, event("a"), *items, take=1, instance=instance)
        outcome = await store.apply(
            1,
            instance,
            guard=Guard(token=claim.record.token),
            remove=(removed(claim.items[0]),),
            dues=(Due("run", "clear"),),
            take=5,
            release="idle",
        )
        check(f"{row}: nothing to take", (ids(outcome.items), outcome.released), ([], True))
        check(f"{row}: what remains due", (await store.record(instance)).dues, dues)


@case
async def what_waited_lets_go_of_its_lane_when_it_is_taken_out(store: Store) -> None:
    """Law 3: an event that is cancelled or dropped leaves no successor behind to wait for its due time."""
    for number, way in enumerate(("cancel", "drop")):
        instance = f"queue:orders:{number}"
        claim = await store.own(0, event("x", "L", due=500), event("y", "L"), instance=instance)
        fence = Guard(token=claim.record.token)
        await store.apply(1, instance, guard=fence, dues=(Due("run", "clear"),), take=5, release="idle")
        check(f"{way}: it waits with what holds it back", (await store.record(instance)).dues, {"items": 500})
        if way == "cancel":
            await store.apply(2, instance, cancel=("x",))
        else:
            late = event("z", "L", due=900)
            await store.apply(2, instance, guard=Guard(room=2), append=(late,), on_full="drop_oldest")
        check(f"{way}: it need not wait any longer", (await store.record(instance)).dues, {"items": 2})
        check(f"{way}: it can be taken", ids((await store.claim_one(2, take=1)).items), ["y"])


@case
async def an_idle_release_keeps_what_it_can_still_do(store: Store) -> None:
    """Law 4: `idle` gives the lease back only if nothing was taken and nothing is in hand."""
    claim = await store.own(0, event("a"), event("b"), take=1)
    guard = Guard(token=claim.record.token)
    outcome = await store.apply(1, guard=guard, release="idle")
    check("something is in hand", (outcome.released, (await store.record()).owner), (False, "worker"))
    outcome = await store.apply(2, guard=guard, remove=(removed(claim.items[0]),), take=1, release="idle")
    check("something was taken", (outcome.released, ids(outcome.items)), (False, ["b"]))
    outcome = await store.apply(3, guard=guard, remove=(removed(outcome.items[0]),), take=1, release="idle")
    check("nothing of both", (outcome.released, (await store.record()).owner), (True, None))


@case
async def work_that_arrives_before_a_release_survives_it(store: Store) -> None:
    """Law 3: no wake-up is lost between the owner's last look and its release."""
    claim = await store.own(0, event("a"), take=1)
    guard = Guard(token=claim.record.token)
    await store.apply(1, guard=guard, remove=(removed(claim.items[0]),), dues=(Due("run", "clear"),), take=1)
    await store.enqueue(2, event("b"))
    outcome = await store.apply(3, guard=guard, release="idle")
    check("released without a look", outcome.released, True)
    check("due at once", await store.backend.next_due(), 3)
    check("and found", [ids(claim.items) for claim in await store.claim(3, take=1)], [["b"]])


@case
async def a_release_with_items_in_hand_gives_them_back(store: Store) -> None:
    """Invariant 1: an owner that lets go loses nothing of what it held."""
    claim = await store.own(0, event("a"), event("b"), take=2)
    await store.apply(1, guard=Guard(token=claim.record.token), dues=(Due("run", "clear"),), release="yes")
    record = await store.record()
    check("nothing in hand, due at once", (record.taken, record.owner, record.dues), ((), None, {"items": 1}))
    check("taken again in order", [ids(claim.items) for claim in await store.claim(1, take=2)], [["a", "b"]])


@case
async def a_held_instance_keeps_its_dues_and_has_no_alarm(store: Store) -> None:
    """Invariant 11: after a pause commit there is no claim; a resume loses nothing."""
    await store.apply(0, put=PUT, append=(event("a"),), dues=(Due("run", "set", 30),))
    await store.apply(1, put=Put(status="paused", data=b"", held=True))
    await store.enqueue(2, event("b"))
    check("no alarm, no claim", (await store.backend.next_due(), list(await store.claim(1_000))), (None, []))
    check("the dues are kept", (await store.record()).dues, {"run": 30, "items": 0})
    await store.apply(3, put=PUT)
    check("resumed, it is due", await store.backend.next_due(), 0)
    check("with all its work", [ids(claim.items) for claim in await store.claim(4, take=5)], [["a", "b"]])


@case
async def an_idle_release_in_a_pause_keeps_what_is_due(store: Store) -> None:
    """Invariant 11: an owner that is paused takes nothing and lets go; what it was to take next is still due."""
    await store.own(0, event("a"))
    await store.apply(1, put=Put(status="paused", data=b"", held=True), dues=(Due("run", "clear"),))
    outcome = await store.apply(2, take=5, release="idle")
    check("it has let go, with nothing", (outcome.released, ids(outcome.items)), (True, []))
    await store.apply(3, put=PUT)
    check("resumed, its work is there", [ids(claim.items) for claim in await store.claim(4, take=5)], [["a"]])


@case
async def a_held_instance_is_looked_at_again_for_its_recheck(store: Store) -> None:
    """Law 6: a parked instance comes back by itself: one due is served in a pause, and with it no item."""
    await store.apply(0, put=PUT, append=(event("a"),), dues=(Due("run", "set", 30), Due(RECHECK_DUE, "set", 500)))
    await store.apply(1, put=Put(status="orphaned", data=b"", held=True))
    check("the recheck is the alarm", await store.backend.next_due(), 500)
    check("nothing before it", list(await store.claim(499)), [])
    claim = await store.claim_one(500, take=5)
    check("claimed, with no item", (claim.record.status, ids(claim.items)), ("orphaned", []))
    await store.apply(501, put=PUT, take=5)
    check("resumed, its work is there", (await store.record()).taken, (1,))


@case
async def a_live_instance_with_work_always_has_an_alarm(store: Store) -> None:
    """Law 3, invariant 3: wherever a worker dies between its commits, somebody will look again."""
    await store.enqueue(0, event("a"), event("b", due=40_000))
    alarms = [await store.backend.next_due()]
    claim = await store.claim_one(0, take=1)
    alarms.append(await store.backend.next_due())
    retry = Reschedule(claim.items[0], 50_000, 1, 0, "boom", True)
    await store.apply(1, guard=Guard(token=claim.record.token), reschedule=(retry,), take=5)
    alarms.append(await store.backend.next_due())
    await store.apply(2, guard=Guard(token=claim.record.token), take=5, release="idle")
    alarms.append(await store.backend.next_due())
    claim = await store.claim_one(50_000, take=5)
    alarms.append(await store.backend.next_due())
    check("all of it is in hand", sorted(map(str, ids(claim.items))), ["a", "b"])
    expected = [0, LEASE_MS, LEASE_MS, 40_000, 50_000 + LEASE_MS]
    check("the due times, or the end of a lease", alarms, expected)


@case
async def dues_of_one_instance_leave_the_others_alone(store: Store) -> None:
    """Law 3: an alarm belongs to one instance."""
    for instance in ("queue:orders:1", "queue:orders:10", "buffer:orders:1"):
        await store.apply(0, instance, create=LIVE, dues=(Due("run", "set", 50),))
    await store.apply(1, "queue:orders:1", dues=(Due("run", "clear"),))
    claimed = sorted(claim.record.instance for claim in await store.claim(50))
    check("the other two", claimed, ["buffer:orders:1", "queue:orders:10"])
