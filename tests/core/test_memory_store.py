"""`MemoryStore`: both implementations give the same answers to any history.

What the words of a transition mean is held by the conformance suite; here the two are only held to each other, over
mixtures of words that no primitive would use.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from durable_primitives.kernel.record import NEVER, Item
from durable_primitives.kernel.transition import (
    Batching,
    Burial,
    ClaimRequest,
    Clear,
    Create,
    Due,
    Guard,
    LeaseRef,
    NewItem,
    Put,
    Removal,
    Reschedule,
    Retire,
    Transition,
)

INSTANCES = ("queue:q:0", "queue:q:1", "buffer:b:ø")
IDS = tuple("abcdef")
ALL = 1000

# Times are offsets from the moment of the step.
SOON = st.integers(0, 40)
FEW = st.integers(0, 3)
LIMIT = st.integers(-1, 3)
SOME_IDS = st.lists(st.sampled_from(IDS), max_size=2).map(tuple)
LINGER = st.sampled_from([None, 0, 30])


class Step(NamedTuple):
    """One transition, given by what fits any store: its guard and the items it names are looked up on its turn."""

    instance: str
    common: dict[str, Any]
    rare: tuple[str, Any]
    guard: str | None
    stale: bool
    """The writer knows an older version, generation and token than the stored ones."""
    fates: list[str]
    """What the owner says of the items in its hands, one after the other."""


NEW_ITEMS = st.builds(
    NewItem,
    id=st.sampled_from([None, *IDS]),
    payload=st.sampled_from([b"", b"payload"]),
    lane=st.sampled_from([None, None, "L", "M"]),
    due=st.sampled_from([0, 0, 0, 10, 35, NEVER]),
    rank=st.sampled_from([0, 0, -2, 3]),
    fresh=st.booleans(),
    blocks=st.booleans(),
)
DUES = st.builds(
    Due,
    st.sampled_from(["run", "flush", "items"]),
    st.sampled_from(["set", "set_if_unset", "earlier", "clear"]),
    SOON,
)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "create": st.builds(Create, status=st.just("made"), data=st.just(b"made"), segment=FEW, linger_ms=LINGER),
    "append": st.lists(NEW_ITEMS, min_size=1, max_size=3).map(tuple),
    "take": LIMIT,
    "release": st.sampled_from(["no", "idle", "yes"]),
}
RARE: dict[str, st.SearchStrategy[Any]] = {
    "batching": st.builds(Batching, st.sampled_from([None, 1, 2]), st.sampled_from([None, 20])),
    "put": st.builds(Put, status=st.just("put"), data=st.just(b"put"), held=st.booleans(), linger_ms=LINGER),
    "on_full": st.just("drop_oldest"),
    "dues": st.lists(DUES, min_size=1, max_size=2).map(tuple),
    "clear": st.builds(Clear, FEW, SOON),
    "retire": st.builds(Retire, FEW, st.just("done"), SOON),
    "give_back": st.lists(st.integers(1, 6), min_size=1, max_size=2).map(tuple),
    "seal": st.just(True),
    "progress": st.just(True),
    "remember": SOME_IDS,
    "redrive": SOME_IDS,
    "discard": SOME_IDS,
    "cancel": SOME_IDS,
}
STEPS = st.builds(
    Step,
    instance=st.sampled_from(INSTANCES),
    common=st.fixed_dictionaries({}, optional=COMMON),
    rare=st.one_of([st.tuples(st.just(word), values) for word, values in RARE.items()]),
    guard=st.sampled_from([None, None, "token", "version", "generation", "segment", "exists", "room"]),
    stale=st.sampled_from([False, False, False, True]),
    fates=st.lists(st.sampled_from(["done", "retry", "dead", "mark", "keep"]), min_size=1, max_size=4),
)

HISTORIES = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), STEPS),
        st.tuples(st.just("commit"), STEPS),
        st.tuples(st.just("claim"), LIMIT, LIMIT, STEPS),
        st.tuples(st.just("renew"), SOON, st.booleans()),
        st.tuples(st.just("erase"), st.sampled_from(INSTANCES)),
        st.tuples(st.just("sweep"), st.sampled_from([-1, 0, 1, ALL])),
        st.tuples(st.just("wait"), st.sampled_from([1, 20, 60])),
    ),
    min_size=15,
    max_size=40,
)


class Player:
    """Plays a history on one store.  It looks nowhere but at the answers of that store."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.now = 0
        self.serial = 0
        for instance in INSTANCES[:2]:
            append = tuple(NewItem(id, b"first", "L") for id in IDS[:3])
            create = Create(status="new", linger_ms=30)
            store.commit([Transition(instance=instance, at=0, create=create, append=append)], None)

    def play(self, history: Iterable[tuple[Any, ...]]) -> list[object]:
        """Every answer, and all that can be seen after each step."""
        return [(name, getattr(self, name)(*arguments), self.picture()) for name, *arguments in history]

    def wait(self, ms: int) -> None:
        self.now += ms

    def commit(self, step: Step) -> object:
        return self.store.commit([self.transition(step)], None)

    def claim(self, take: int, limit: int, step: Step) -> object:
        """One round trip with a commit."""
        request = ClaimRequest(owner="w", at=self.now, lease_ms=50, limit=limit, take=take)
        return self.store.commit((self.transition(step),), request)

    def renew(self, ms: int, stale: bool) -> object:
        leases = [LeaseRef(name, self.record(name).token - stale) for name in INSTANCES if self.record(name)]
        return self.store.renew([*leases, LeaseRef("queue:unknown:0", 1)], self.now + ms)

    def erase(self, instance: str) -> object:
        return self.store.commit([Transition(instance=instance, at=self.now, erase=True, put=None)], None)

    def sweep(self, budget: int) -> list[int]:
        """To the end: which of the rows that are over goes first is nobody's business."""
        return list(iter(lambda: self.store.sweep(self.now, budget), 0))

    def record(self, instance: str) -> Any:
        return self.store.load(instance, (), ()).record

    def items(self, instance: str) -> list[Item]:
        record = self.record(instance)
        segments = range(0 if record is None else record.segment + 1)
        return [item for segment in segments for item in self.store.items(instance, segment, 0, ALL)]

    def transition(self, step: Step) -> Transition:
        record, name = self.record(step.instance), step.guard
        parts = step.common | dict([step.rare])
        parts["append"] = tuple(self.new(item) for item in parts.get("append", ()))
        if name in ("exists", "room"):
            parts["guard"] = Guard(exists=not step.stale) if name == "exists" else Guard(room=3)
        elif name is not None and record is not None:
            parts["guard"] = Guard(**{name: getattr(record, name) - step.stale})
        return Transition(instance=step.instance, at=self.now, **self.owner_words(step, record), **parts)

    def new(self, item: NewItem) -> NewItem:
        """A fresh id is one that no store has seen: that is what its sender says."""
        self.serial += 1
        return structs.replace(item, id=f"id-{self.serial}") if item.fresh else item

    def owner_words(self, step: Step, record: Any) -> dict[str, Any]:
        taken = () if record is None else record.taken
        hand = [item for item in self.items(step.instance) if item.seq in taken]
        fates = list(zip(hand, step.fates, strict=False))
        soon = self.now + 20
        return {
            "remove": tuple(Removal(item, "done", soon) for item, fate in fates if fate == "done"),
            "reschedule": tuple(Reschedule(item, soon, 1, 0, "no", True) for item, fate in fates if fate == "retry"),
            "bury": tuple(
                Burial(item.id or "x", item, b"", 3, "no", 1, soon) for item, fate in fates if fate == "dead"
            ),
            "mark": tuple(structs.replace(item, delivery=7) for item, fate in fates if fate == "mark"),
        }

    def picture(self) -> object:
        store, now = self.store, self.now
        return (
            store.next_due(),
            store.scan("", "", ALL),
            store.scan("queue:", "queue:q:0", 1),
            [(store.load(name, IDS, IDS), self.items(name), store.tally(name, now)) for name in INSTANCES],
            [(store.letters(name, "b", 2), store.items(name, 0, 2, 2)) for name in INSTANCES],
        )


@settings(max_examples=100)
@given(history=HISTORIES)
def test_native_and_reference_give_identical_answers(native: Any, reference: Any, history: Any):
    assert Player(native.MemoryStore()).play(history) == Player(reference.MemoryStore()).play(history)
