"""The batches of a buffer: events fill a segment, a full one is sealed, a sealed one never changes."""

from __future__ import annotations

from durable_primitives.kernel.record import NEVER
from durable_primitives.kernel.transition import (
    FLUSH_DUE,
    WINDOW_DUE,
    Accepted,
    Batching,
    Clear,
    Create,
    Due,
    Guard,
    NewItem,
    Outcome,
    Retire,
)
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import DAY_MS, Store, check, event, ids

HOOKS = "buffer:webhooks:acct-7"
OPEN = Create(status="open", segment=1)
BY_THREE = Batching(max_items=3, window_ms=100)


def batched(*names: str) -> tuple[NewItem, ...]:
    """Events that only their buffer brings to execution."""
    return tuple(event(name, due=NEVER) for name in names)


async def add(store: Store, at: int, *names: str, batching: Batching = BY_THREE) -> Outcome:
    """What a client's `add` commits."""
    return await store.apply(at, HOOKS, create=OPEN, append=batched(*names), batching=batching)


async def segment_of(store: Store, segment: int) -> list[str | None]:
    """The ids in one segment, in order of arrival."""
    return ids(await store.items(HOOKS, segment))


@case
async def the_first_event_opens_the_window(store: Store) -> None:
    """Buffer: `flush_after` is a window from the first event of a batch; later ones neither shorten nor extend it."""
    outcome = await add(store, 5, "a")
    check("open from now on", outcome.dues, {WINDOW_DUE: 105})
    outcome = await add(store, 50, "b")
    check("not moved", outcome.dues, {WINDOW_DUE: 105})
    record = await store.record(HOOKS)
    counted = (record.segment, record.segment_count, record.segment_first_at, record.segment_last_at)
    check("what is in it", counted, (1, 2, 5, 50))
    check("how each one came in", outcome.accepted, (Accepted(2, 2, 1, 2, False),))


@case
async def no_window_without_one(store: Store) -> None:
    """Buffer: without `flush_after` the first event sets no due."""
    outcome = await add(store, 5, "a", batching=Batching(max_items=3, window_ms=None))
    check("no due", (outcome.dues, await store.backend.next_due()), ({}, None))


@case
async def a_window_without_a_bound_holds_any_number(store: Store) -> None:
    """Buffer: without `max_events` only time seals a batch."""
    outcome = await add(store, 5, *"abcdefgh", batching=Batching(max_items=None, window_ms=100))
    check("one batch", {a.segment for a in outcome.accepted}, {1})
    check("due with its window", outcome.dues, {WINDOW_DUE: 105})


@case
async def a_full_batch_is_sealed_at_once(store: Store) -> None:
    """Buffer: `max_events` seals the batch with the event that fills it, and the flush is due now."""
    await add(store, 0, "a", "b")
    outcome = await add(store, 7, "c")
    check("the third one filled it", outcome.accepted, (Accepted(3, 3, 1, 3, False),))
    check("due now, and no window", outcome.dues, {FLUSH_DUE: 7})
    record = await store.record(HOOKS)
    check("the next one is open and empty", (record.segment, record.segment_count), (2, 0))


@case
async def an_append_may_fill_several_batches(store: Store) -> None:
    """Buffer: `add_many` splits as single adds would, and the rest opens the next window."""
    outcome = await add(store, 5, *"abcdefg")
    check("two full ones and a rest", [a.segment for a in outcome.accepted], [1, 1, 1, 2, 2, 2, 3])
    check("counted within its own", [a.segment_count for a in outcome.accepted], [1, 2, 3, 1, 2, 3, 1])
    check("both dues", outcome.dues, {FLUSH_DUE: 5, WINDOW_DUE: 105})
    check("in order", [await segment_of(store, n) for n in (1, 2, 3)], [["a", "b", "c"], ["d", "e", "f"], ["g"]])


@case
async def a_seal_closes_the_open_batch(store: Store) -> None:
    """Buffer: a manual flush makes the open batch due now; there is none without events."""
    await add(store, 0, "a")
    outcome = await store.apply(3, HOOKS, seal=True)
    check("due now", outcome.dues, {FLUSH_DUE: 3})
    check("the next is open", (await store.record(HOOKS)).segment, 2)
    await store.apply(4, HOOKS, seal=True)
    check("an empty batch is not sealed", (await store.record(HOOKS)).segment, 2)


@case
async def a_writer_notices_that_its_batch_was_sealed(store: Store) -> None:
    """Law 1: a decision that was made for one batch is not applied to the next."""
    await add(store, 0, "a", "b")
    await add(store, 1, "c")
    late = await store.apply(2, HOOKS, guard=Guard(segment=1), append=batched("d"), batching=BY_THREE)
    check("the batch is sealed", (late.verdict, await segment_of(store, 2)), ("conflict", []))
    again = await store.apply(3, HOOKS, guard=Guard(segment=2), append=batched("d"), batching=BY_THREE)
    check("decided anew, it applies", (again.verdict, await segment_of(store, 2)), ("applied", ["d"]))


@case
async def a_sealed_batch_never_changes(store: Store) -> None:
    """Invariant 8: what execute sees is the same on every retry, whatever arrives meanwhile."""
    await add(store, 0, "a", "b")
    await store.apply(1, HOOKS, seal=True)
    before = await store.items(HOOKS, 1)
    await add(store, 2, "c", "a", "d")
    await store.apply(3, HOOKS, clear=Clear(2, DAY_MS))
    await add(store, 4, "e")
    check("the sealed one", list(await store.items(HOOKS, 1)), list(before))
    check("the open one", await segment_of(store, 2), ["e"])


@case
async def new_arrivals_never_hasten_a_retry(store: Store) -> None:
    """Law 7: while a batch is in backoff, another one that fills up waits behind it."""
    await add(store, 0, "a", "b", "c")
    await store.apply(1, HOOKS, dues=(Due(FLUSH_DUE, "set", 10_000),))
    outcome = await add(store, 2, "d", "e", "f")
    check("the retry stays where it is", outcome.dues, {FLUSH_DUE: 10_000})
    await add(store, 3, "g")
    outcome = await store.apply(4, HOOKS, seal=True)
    assert outcome.dues is not None
    check("so with a manual flush", outcome.dues[FLUSH_DUE], 10_000)


@case
async def a_window_does_not_delay_a_flush(store: Store) -> None:
    """Buffer: a sealed batch is due by itself, and the open one keeps a window of its own."""
    await add(store, 0, "a", "b", "c")
    await add(store, 50, "d")
    record = await store.record(HOOKS)
    check("both", (record.dues, record.alarm), ({FLUSH_DUE: 0, WINDOW_DUE: 150}, 0))


@case
async def a_duplicate_joins_no_batch(store: Store) -> None:
    """Law 9: it neither fills a batch nor opens a window nor seals, and it learns where the first one went."""
    await add(store, 0, "a", "b")
    await store.apply(1, HOOKS, seal=True)
    outcome = await add(store, 2, "b")
    check("it learns of the first one's batch", outcome.accepted, (Accepted(2, 2, 1, 0, True),))
    check("no window", outcome.dues, {FLUSH_DUE: 1})
    await add(store, 3, "c")
    await store.apply(4, HOOKS, append=batched("c"), batching=BY_THREE, seal=True)
    check("no seal", (await store.record(HOOKS)).segment, 2)


@case
async def a_retired_batch_leaves_whole(store: Store) -> None:
    """Invariant 8: generations leave in order and together, and the later ones stay."""
    await add(store, 0, *"abcdefg")
    await store.apply(1, HOOKS, retire=Retire(2, "done", DAY_MS))
    check("what is left", [await segment_of(store, n) for n in (1, 2, 3)], [[], [], ["g"]])
    record = await store.record(HOOKS)
    check("the open one is as it was", (record.count, record.segment, record.segment_count), (1, 3, 1))
    endings = [await store.receipt(id, HOOKS) for id in "afg"]
    shown = [None if r is None else (r.settlement, r.expires_at) for r in endings]
    check("their ids are remembered for the window", shown, [("done", DAY_MS), ("done", DAY_MS), (None, None)])


@case
async def a_retired_batch_ends_the_ids_it_remembered(store: Store) -> None:
    """Law 9: ids that a reducer folded into the state end with their batch, and only with theirs."""
    await store.apply(0, HOOKS, create=OPEN, remember=("folded",), append=batched("a"), batching=BY_THREE)
    await store.apply(1, HOOKS, seal=True)
    await store.apply(2, HOOKS, remember=("later",))
    await store.apply(3, HOOKS, retire=Retire(1, "done", DAY_MS))
    endings = [await store.receipt(id, HOOKS) for id in ("folded", "later")]
    shown = [None if r is None else (r.settlement, r.expires_at) for r in endings]
    check("the retired one's, and the open one's", shown, [("done", DAY_MS), (None, None)])


@case
async def a_clear_drops_the_open_batch_only(store: Store) -> None:
    """Invariant 1: it says how many events it dropped, remembers their ids, and spares what is sealed."""
    await add(store, 0, *"abcde")
    outcome = await store.apply(1, HOOKS, clear=Clear(2, DAY_MS), dues=(Due(WINDOW_DUE, "clear"),))
    check("two were dropped", (outcome.cleared, outcome.count, outcome.dues), (2, 3, {FLUSH_DUE: 0}))
    check("the sealed one stays", await segment_of(store, 1), ["a", "b", "c"])
    receipt = await store.receipt("d", HOOKS)
    assert receipt is not None, "a cleared id is remembered: expected a receipt, got none"
    check("cleared", (receipt.settlement, receipt.expires_at), ("cleared", DAY_MS))
    outcome = await add(store, 2, "f")
    check(
        "the next event opens a window",
        (outcome.accepted[0].segment_count, outcome.dues),
        (1, {FLUSH_DUE: 0, WINDOW_DUE: 102}),
    )


@case
async def a_cleared_batch_leaves_no_window(store: Store) -> None:
    """Law 3: the alarm follows from what is stored: a batch that is gone has no due time left."""
    await add(store, 0, "a")
    await store.apply(1, HOOKS, clear=Clear(1, DAY_MS))
    check("no window without a batch", (await store.record(HOOKS)).dues, {})


@case
async def a_clear_spares_what_is_in_hand(store: Store) -> None:
    """Invariant 1: `clear` of a queue takes what is pending; what is running ends by itself."""
    await store.own(0, event("a"), event("b"), event("c"), take=1)
    outcome = await store.apply(1, clear=Clear(0, DAY_MS))
    check("the pending ones", (outcome.cleared, outcome.count, ids(await store.items())), (2, 1, ["a"]))
    receipt = await store.receipt("a")
    assert receipt is not None, "an event in hand is remembered: expected a receipt, got none"
    check("the one in hand is live", receipt.settlement, None)


@case
async def events_of_a_buffer_are_never_taken(store: Store) -> None:
    """Buffer: only its batch's due brings an event to execution."""
    await add(store, 0, "a", "b", "c", "d")
    claim = await store.claim_one(0, take=5)
    check("the claim has no items", ids(claim.items), [])
    outcome = await store.apply(1, HOOKS, take=5, release="idle")
    check("nor has a take, so it is idle", (ids(outcome.items), outcome.released), ([], True))
    check("the dues stay", (await store.record(HOOKS)).dues, {FLUSH_DUE: 0, WINDOW_DUE: 100})
