"""Which items an owner gets, and in which order: by turn, by lane, by due time, never twice."""

from __future__ import annotations

from typing import NamedTuple

from durable_primitives.kernel.record import NEVER, Item
from durable_primitives.kernel.transition import Guard, NewItem, Put, Reschedule
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import Store, check, event, ids, removed


class Row(NamedTuple):
    """Items in order of arrival, and whom a take at `now` gives."""

    promise: str
    items: list[NewItem]
    expected: list[str]
    now: int = 100
    limit: int = 10


async def served(store: Store, rows: list[Row]) -> None:
    """Each row on an instance of its own."""
    for number, row in enumerate(rows):
        instance = f"queue:orders:{number}"
        await store.own(0, *row.items, instance=instance)
        outcome = await store.apply(row.now, instance, take=row.limit)
        check(f"{row.promise} (at {row.now}, at most {row.limit})", ids(outcome.items), row.expected)


async def drained(store: Store, now: int, limit: int = 1) -> list[str | None]:
    """All that can be taken at one moment, one take after the other, each item finished before the next take."""
    order: list[str | None] = []
    items = (await store.apply(now, take=limit)).items
    while items:
        order += ids(items)
        items = (await store.apply(now, remove=tuple(removed(item) for item in items), take=limit)).items
    return order


def back_off(item: Item, due: int, blocks: bool = True) -> Reschedule:
    """The owner's word that an attempt failed."""
    return Reschedule(item, due, item.attempt + 1, item.delivery, "boom", blocks)


@case
async def ready_items_go_by_rank_and_then_by_arrival(store: Store) -> None:
    """A lower rank goes first; equals go in order of arrival; the limit is kept."""
    await served(
        store,
        [
            Row("by arrival", [event("a"), event("b"), event("c")], ["a", "b", "c"]),
            Row("by rank", [event("a"), event("b", rank=-5), event("c", rank=3)], ["b", "a", "c"]),
            Row("by arrival among equals", [event("a", rank=1), event("b"), event("c", rank=1)], ["b", "a", "c"]),
            Row("no more than asked for", [event("a"), event("b"), event("c")], ["a", "b"], limit=2),
        ],
    )


@case
async def nothing_is_taken_before_its_due_time(store: Store) -> None:
    """Invariant 4: not a millisecond early, and exactly on time."""
    await served(
        store,
        [
            Row("early", [event("a", due=50)], [], now=49),
            Row("on time", [event("a", due=50)], ["a"], now=50),
            Row("others do not wait for it", [event("a", due=50), event("b")], ["b"], now=49),
            Row("what only its instance brings to execution", [event("a", due=NEVER)], [], now=NEVER - 1),
        ],
    )


@case
async def what_waited_goes_before_what_is_ready(store: Store) -> None:
    """Law 7: once it is due, waiting work is not starved by new arrivals; by due time, then rank, then arrival."""
    await served(
        store,
        [
            Row("waiting first", [event("a"), event("b", due=50)], ["b", "a"]),
            Row("even before a better rank", [event("a", rank=-9), event("b", due=50)], ["b", "a"]),
            Row("by due time", [event("a", due=60), event("b", due=50)], ["b", "a"]),
            Row("then by rank", [event("a", due=50), event("b", due=50, rank=-1)], ["b", "a"]),
            Row("then by arrival", [event("a", due=50), event("b", due=50)], ["a", "b"]),
        ],
    )


@case
async def a_lane_keeps_its_order_whatever_the_rank(store: Store) -> None:
    """Invariant 7: a priority moves a lane among lanes, never an event past its predecessor in the lane."""
    for first, second in ((0, 0), (0, -5), (-5, 0), (-1, -5), (-5, -1)):
        instance = f"queue:ranks:{first}:{second}"
        await store.own(0, event("a", "L", rank=first), event("b", "L", rank=second), instance=instance)
        outcome = await store.apply(1, instance, take=1)
        check(f"ranks {first} and then {second} in one lane", ids(outcome.items), ["a"])


@case
async def a_rank_still_counts_across_lanes(store: Store) -> None:
    """A lane's order costs the other lanes nothing."""
    await served(
        store,
        [
            Row("another lane", [event("a", "L", rank=-1), event("b", "M", rank=-5)], ["b", "a"]),
            Row("a lane and none", [event("a", "L", rank=-1), event("b", rank=-5)], ["b", "a"]),
            Row("events without a key are each their own lane", [event("a", rank=5), event("b", rank=1)], ["b", "a"]),
        ],
    )


@case
async def an_event_in_backoff_blocks_its_own_lane_only(store: Store) -> None:
    """Law 7, invariant 7, strict: its successors wait until it can be taken, other lanes go on."""
    claim = await store.own(0, event("a1", "A"), event("a2", "A"), event("b1", "B"), event("free"), take=1)
    (a1,) = claim.items
    outcome = await store.apply(1, reschedule=(back_off(a1, 100),), take=10)
    check("the other lanes go on", ids(outcome.items), ["b1", "free"])
    await store.enqueue(2, event("a3", "A"))
    check("new arrivals do not pass either", ids((await store.apply(99, take=10)).items), [])
    check("on time it goes first, and frees its lane", await drained(store, 100), ["a1", "a2", "a3"])


@case
async def an_event_that_does_not_block_lets_its_lane_pass(store: Store) -> None:
    """Relaxed: successors pass an event in backoff, and it returns when it is due."""
    (a1,) = (await store.own(0, event("a1", "A"), event("a2", "A"), event("a3", "A"), take=1)).items
    outcome = await store.apply(1, reschedule=(back_off(a1, 100, blocks=False),), take=1)
    check("its successor passes", ids(outcome.items), ["a2"])
    check("nor does its lane hold it back", ids((await store.apply(100, take=1)).items), ["a1"])


@case
async def a_delayed_event_keeps_its_place_in_its_lane(store: Store) -> None:
    """Invariant 7, strict: what was enqueued with a delay holds its successors, and waits for its predecessors."""
    await store.own(0, event("a1", "A", due=80), event("a2", "A", due=40), event("a3", "A"))
    check("a2 is due, but a1 comes first", ids((await store.apply(50, take=10)).items), [])
    check("then all of them in order", await drained(store, 80), ["a1", "a2", "a3"])


@case
async def successors_may_follow_what_is_in_hand(store: Store) -> None:
    """The owner may hold several events of a lane, and then answers for their order itself."""
    await store.own(0, event("a1", "A", due=10), event("a2", "A"))
    check("the first one", ids((await store.apply(10, take=1)).items), ["a1"])
    check("its successor, while it is in hand", ids((await store.apply(10, take=1)).items), ["a2"])


@case
async def what_is_in_hand_is_not_given_again(store: Store) -> None:
    """Invariant 7: two takes never give the same item; `taken` says what is in hand, in order."""
    first = (await store.own(0, *(event(name) for name in "abcde"), take=2)).items
    second = (await store.apply(1, take=2)).items
    check("each once", (ids(first), ids(second)), (["a", "b"], ["c", "d"]))
    check("all four are in hand", (await store.record()).taken, (1, 2, 3, 4))
    check("they are still counted", ((await store.record()).count, len(await store.items())), (5, 5))


@case
async def what_is_given_back_keeps_its_place(store: Store) -> None:
    """An item that the owner returns unstarted is the next one again, as if it had never been taken."""
    await store.own(0, event("a"), event("b"), event("c"))
    before = await store.items()
    await store.apply(1, take=2)
    outcome = await store.apply(2, give_back=(1,), take=1)
    check("it is the next one", ids(outcome.items), ["a"])
    await store.apply(3, give_back=(1, 2))
    check("nothing about it has changed", list(await store.items()), list(before))


@case
async def a_rescheduled_item_carries_what_the_owner_says(store: Store) -> None:
    """Law 8: due time, attempt, delivery, error and blocking are as given; it is out of hand and still there."""
    (item,) = (await store.own(0, event("a", "L", rank=-3), take=1)).items
    outcome = await store.apply(1, reschedule=(Reschedule(item, 70, 2, 1, "boom", False),))
    check("still a live item", outcome.count, 1)
    check("out of hand", (await store.record()).taken, ())
    (later,) = await store.items()
    expected = Item(1, "a", b"payload of a", 0, "L", 70, -3, 0, attempt=2, delivery=1, error="boom", blocks=False)
    check("as the owner said", later, expected)
    check("and found again when due", ids((await store.apply(70, take=1)).items), ["a"])


@case
async def a_held_instance_gives_nothing(store: Store) -> None:
    """Invariant 11: after a pause commit nothing starts, not even for the owner; the owner hears of it."""
    token = (await store.own(0, event("a"), event("b"), take=1)).record.token
    await store.apply(1, put=Put(status="paused", data=b"", held=True))
    outcome = await store.apply(2, guard=Guard(token=token), take=1)
    check("its owner gets nothing further and is told", (ids(outcome.items), outcome.held), ([], True))
    await store.apply(3, put=Put(status="live", data=b""))
    outcome = await store.apply(4, guard=Guard(token=token), take=1)
    check("a resume loses nothing", (ids(outcome.items), outcome.held), (["b"], False))


@case
async def a_long_line_is_served_whole_and_in_order(store: Store) -> None:
    """Invariant 7: through many small takes every event comes once, and each lane in its order."""
    names = [f"{lane}{number:02}" for number in range(12) for lane in "ABC"]
    await store.own(0, *(event(name, name[0], rank=-(ord(name[0]) % 2)) for name in names))
    order = [str(id) for id in await drained(store, 1, limit=5)]
    check("every event once", sorted(order), sorted(names))
    for lane in "ABC":
        check(f"lane {lane} in order", [x for x in order if x[0] == lane], [x for x in names if x[0] == lane])
    check("nothing is left", (await store.record()).count, 0)
