"""Looking without changing: loads, pages and counts."""

from __future__ import annotations

from durable_primitives.kernel.record import NEVER, TERMINATED, Snapshot, Tally
from durable_primitives.kernel.transition import Put, Reschedule
from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import ALL, LIVE, ONE, Store, buried, check, event, ids, paged

AWKWARD = (
    "queue:a_b:1",
    "queue:a_b:2",
    "queue:axb:1",
    "queue:a.b:1",
    "queue:A_B:1",
    "queue:a_b%:1",
    "queue:a_b:%",
    'queue:a_b:it\'s "quoted" [*?]\\',
    "queue:a_b:\u00e9",
    "queue:a_b:\U0001f600",
    "queue:a_b:\uffee",
    "queue:a_b:",
    "buffer:a_b:1",
)
"""Instance ids that a pattern match, a collation or an upper bound might get wrong."""


@case
async def an_unknown_instance_is_empty(store: Store) -> None:
    """Asking for what is not there is no error."""
    check("load", await store.backend.load(ONE, ["a"], ["b"]), Snapshot(None, {}, {}))
    check("items", list(await store.items()), [])
    check("letters", list(await store.letters()), [])
    check("scan", list(await store.backend.scan("", "", ALL)), [])
    check("tally", await store.backend.tally(ONE, 0), Tally(0, 0, 0, 0, None))
    check("next due", await store.backend.next_due(), None)


@case
async def a_scan_finds_a_literal_prefix(store: Store) -> None:
    """A prefix is text: no wildcard, no case folding, no end of the alphabet."""
    for instance in AWKWARD:
        await store.apply(0, instance, create=LIVE)
    for prefix in ("", "queue:", "queue:a_b:", "queue:a_b:%", "queue:a_b%", "queue:A_B", "queue:a_b:\U0001f600", "z"):
        found = [record.instance for record in await store.backend.scan(prefix, "", ALL)]
        expected = sorted(instance for instance in AWKWARD if instance.startswith(prefix))
        check(f"prefix {prefix!r}, in order of code points", found, expected)


@case
async def a_scan_can_be_paged(store: Store) -> None:
    """Law 12: every record once, no page longer than asked for."""
    for instance in AWKWARD:
        await store.apply(0, instance, create=LIVE)
    pages = await paged(lambda after: store.backend.scan("queue:", after, 5), "", lambda record: record.instance)
    check("full pages, then the rest", [len(page) for page in pages], [5, 5, 2])
    expected = sorted(instance for instance in AWKWARD if instance.startswith("queue:"))
    check("each once, in order", [record.instance for page in pages for record in page], expected)


@case
async def a_scan_shows_whole_records(store: Store) -> None:
    """A record in a scan is the record that `load` shows; tombstones are among them."""
    await store.own(3, event("a"), take=1)
    await store.apply(4, "queue:orders:2", put=Put(status="live", data=b"x", linger_ms=5))
    await store.apply(5, "queue:orders:2", erase=True)
    found = list(await store.backend.scan("queue:orders:", "", ALL))
    check("as loaded", found, [await store.record(), await store.record("queue:orders:2")])
    check("a live one and a tombstone", [record.status for record in found], ["live", TERMINATED])


@case
async def any_id_and_any_bytes_come_back_as_they_were(store: Store) -> None:
    """Law 14: the store interprets neither ids nor payloads."""
    payload = bytes(range(256))
    for number, instance in enumerate(AWKWARD):
        name = instance.partition(":")[2]
        await store.apply(
            number, instance, put=Put(status=name, data=payload), append=(event(name, lane=name),), remember=("",)
        )
        await store.apply(number, instance, append=(event(name),))
        record = await store.record(instance)
        check(f"the record of {instance!r}", (record.status, record.data, record.count), (name, payload, 1))
        check(f"the item of {instance!r}", [(i.id, i.lane) for i in await store.items(instance)], [(name, name)])
    empty = "queue:empty:1"
    await store.apply(0, empty, put=Put(status="live", data=b""), append=(event(None),))
    check("no bytes at all", (await store.record(empty)).data, b"")


@case
async def items_can_be_paged_within_a_segment(store: Store) -> None:
    """Law 12: by sequence, whatever their turn; items in hand are among them."""
    await store.own(0, *(event(name, rank=-n) for n, name in enumerate("abcdefg")), take=2)
    pages = await paged(lambda after: store.backend.items(ONE, 0, after, 3), 0, lambda item: item.seq)
    check("three at a time", [ids(page) for page in pages], [["a", "b", "c"], ["d", "e", "f"], ["g"]])
    check("another segment has none", list(await store.items(segment=1)), [])


@case
async def a_tally_counts_what_nobody_has_in_hand(store: Store) -> None:
    """Ready, delayed, retrying, dead; the oldest is told of all that are there."""
    claim = await store.own(0, event("hand"), event("dies"), event("retries"), take=3)
    _, dies, retries = claim.items
    retry = Reschedule(retries, 90, 1, 0, "boom", True)
    new = (event("ready"), event("delayed", due=50), event("far", due=NEVER))
    await store.apply(10, bury=(buried(dies),), reschedule=(retry,), append=new)
    for now, expected in (
        (10, Tally(ready=1, delayed=2, retrying=1, dead=1, oldest_at=0)),
        (50, Tally(ready=2, delayed=1, retrying=1, dead=1, oldest_at=0)),
        (90, Tally(ready=3, delayed=1, retrying=0, dead=1, oldest_at=0)),
    ):
        check(f"at {now}", await store.backend.tally(ONE, now), expected)


@case
async def looking_changes_nothing(store: Store) -> None:
    """A dashboard that is open all day costs no instance anything."""
    await store.own(0, event("a"), event("b"), take=1)
    before = await store.picture()
    for _ in range(3):
        await store.backend.scan("", "", ALL)
        await store.backend.tally(ONE, 10**6)
        await store.backend.next_due()
    check("the picture", await store.picture(), before)
