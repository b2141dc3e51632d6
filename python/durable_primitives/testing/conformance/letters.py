"""Failure never deletes: what was given up on is kept whole, can be run again, and goes only when it is told to."""

from __future__ import annotations

from durable_primitives.kernel.record import DeadLetter
from durable_primitives.kernel.transition import Burial
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import LIVE, ONE, Store, buried, check, event, ids, paged, removed


async def with_letters(store: Store, *names: str) -> None:
    """An owned instance whose events have all died at 7."""
    claim = await store.own(0, *(event(name, "L", rank=-2) for name in names), take=len(names))
    await store.apply(7, bury=tuple(buried(item) for item in claim.items))


@case
async def a_buried_item_is_kept_whole(store: Store) -> None:
    """Law 6: payload, lane, rank, times, attempts and error; it is no longer an item."""
    claim = await store.own(3, event("a", "L", rank=-2), event("b"), take=1)
    letter = Burial("a", claim.items[0], b"payload of a", 3, "boom", 1, 500)
    outcome = await store.apply(7, bury=(letter,))
    check("one item less", (outcome.count, (await store.record()).taken), (1, ()))
    check("items", ids(await store.items()), ["b"])
    expected = DeadLetter("a", b"payload of a", "L", -2, 3, 7, 3, "boom", 1, 500)
    check("the letter", list(await store.letters()), [expected])
    snapshot = await store.backend.load(ONE, letters=["a", "none"])
    check("found by its id", snapshot.letters, {"a": expected})
    check("counted", (await store.backend.tally(ONE, 7)).dead, 1)


@case
async def a_batch_is_buried_without_an_item(store: Store) -> None:
    """Law 6: a buffer's batch becomes one letter that says how many events are inside."""
    await store.apply(7, create=LIVE, bury=(Burial("flush-1", None, b"events", 3, "boom", 20, 500),))
    check(
        "the letter", list(await store.letters()), [DeadLetter("flush-1", b"events", None, 0, 7, 7, 3, "boom", 20, 500)]
    )


@case
async def letters_are_listed_by_id_in_pages(store: Store) -> None:
    """Law 12: every letter once, no page longer than asked for."""
    await with_letters(store, "c", "a", "e", "b", "d")
    pages = await paged(lambda after: store.backend.letters(ONE, after, 2), "", lambda letter: letter.id)
    check("pages of two", [[letter.id for letter in page] for page in pages], [["a", "b"], ["c", "d"], ["e"]])
    check("of no other instance", list(await store.backend.letters("queue:orders:2", "", 10)), [])


@case
async def a_redriven_letter_is_an_item_again(store: Store) -> None:
    """Law 6: with a fresh count of attempts, at the end of its lane, and due at once."""
    await with_letters(store, "a", "b")
    await store.apply(8, append=(event("c", "L", rank=-2),), release="yes")
    outcome = await store.apply(9, redrive=("a",))
    check("one more item", outcome.count, 2)
    check("the letter is gone", [letter.id for letter in await store.letters()], ["b"])
    items = await store.items()
    check("at the end", ids(items), ["c", "a"])
    a = items[-1]
    check("as it was", (a.payload, a.lane, a.rank, a.at), (b"payload of a", "L", -2, 0))
    check("a fresh start, due from now on", (a.attempt, a.delivery, a.error, a.due), (0, 0, None, 9))
    check("its lane goes on first", [ids(claim.items) for claim in await store.claim(9, take=2)], [["c"]])
    check("then it", ids((await store.apply(9, take=2)).items), ["a"])


@case
async def a_redrive_arms_its_instance(store: Store) -> None:
    """Law 3: it is work, so somebody will look."""
    await with_letters(store, "a")
    token = (await store.record()).token
    await store.apply(8, take=1, release="idle")
    dues = (await store.record()).dues
    assert "items" not in dues, f"an instance without items waits for none: expected no due 'items', got {dues!r}"
    await store.apply(20, redrive=("a",))
    check("due now", (await store.record()).dues.get("items"), 20)
    assert (await store.claim_one(20, take=1)).record.token > token, "the redriven item is claimed"


@case
async def a_redriven_event_lives_under_its_id(store: Store) -> None:
    """Law 9: it is live again: a duplicate meets it, and it can be cancelled."""
    await with_letters(store, "a")
    await store.apply(8, redrive=("a",))
    receipt = await store.receipt("a")
    assert receipt is not None, "a redriven event is remembered: expected a receipt, got none"
    check("live", (receipt.settlement, receipt.expires_at), (None, None))
    check("a duplicate", (await store.enqueue(9, event("a"))).accepted[0].duplicate, True)
    check("can be cancelled", (await store.apply(10, cancel=("a",))).cancelled, ("cancelled",))
    check("and is gone", ids(await store.items()), [])


@case
async def a_letter_is_redriven_once(store: Store) -> None:
    """Invariant 1: two redrives, or one of an unknown letter, run nothing twice."""
    await with_letters(store, "a")
    again = [(await store.apply(at, redrive=("a", "a", "none"))).cleared for at in (8, 9)]
    check("how many there were", again, [1, 0])
    check("one item", ids(await store.items()), ["a"])


@case
async def a_letter_is_not_redriven_after_its_retention(store: Store) -> None:
    """Invariant 9: its id is free by then, so that a late redrive, unswept, would run a second event under it."""
    claim = await store.own(0, event("a"), take=1)
    await store.apply(1, bury=(buried(claim.items[0], expires_at=50),))
    check("its id is free", (await store.enqueue(50, event("a"))).accepted[0].duplicate, False)
    await store.apply(50, redrive=("a",))
    check("one event of this id", ids(await store.items()), ["a"])


@case
async def a_redriven_event_may_die_again(store: Store) -> None:
    """Law 6: and is kept again, with what is known of its last failure."""
    await with_letters(store, "a")
    items = (await store.apply(8, redrive=("a",), take=1)).items
    check("it runs again", ids(items), ["a"])
    await store.apply(9, bury=(Burial("a", items[0], items[0].payload, 5, "again", 1, 900),))
    shown = [
        (letter.id, letter.error, letter.attempts, letter.at, letter.failed_at) for letter in await store.letters()
    ]
    check("one letter, the newest", shown, [("a", "again", 5, 0, 9)])


@case
async def a_discarded_letter_is_gone_but_remembered(store: Store) -> None:
    """Law 6, law 9: only an explicit word deletes it, and its id stays known for the window."""
    await with_letters(store, "a", "b")
    await store.apply(8, discard=("a", "none"))
    check("the letter is gone", [letter.id for letter in await store.letters()], ["b"])
    check("its id is known", (await store.enqueue(9, event("a"))).accepted[0].duplicate, True)
    await store.apply(10, redrive=("a",))
    check("it cannot be redriven", ids(await store.items()), [])


@case
async def a_letter_does_not_stop_the_line(store: Store) -> None:
    """Invariant 7: its lane goes on after the terminal outcome."""
    (item,) = (await store.own(0, *(event(name, "L") for name in "abc"), take=1)).items
    outcome = await store.apply(1, bury=(buried(item),), take=2)
    check("the successors", ids(outcome.items), ["b", "c"])
    await store.apply(2, remove=tuple(removed(item) for item in outcome.items))
    check("only finished work is counted as finished", (await store.record()).finished, 2)
