"""A batch for many instances gives what its transitions give one by one: SQLite beside the executable definition.

The conformance suite compares long histories of one instance; here many transitions share one transaction, so that what
one of them has changed and not yet written must be seen by the others.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives.backends.sqlite import SQLiteBackend
from durable_primitives.kernel.record import NEVER, Item, Record, Settlement
from durable_primitives.kernel.transition import (
    Batching,
    Burial,
    ClaimRequest,
    Clear,
    Create,
    Due,
    Guard,
    NewItem,
    Put,
    Removal,
    Reschedule,
    Retire,
    Transition,
)

pytestmark = pytest.mark.usefixtures("sqlite_writer")

QUEUES = ("queue:q:0", "queue:q:1")
BUFFER = "buffer:b:0"
INSTANCES = (*QUEUES, BUFFER)
IDS = [f"id-{n}" for n in range(8)]
ALL = 1_000
WINDOW_MS = 40
LINGER_MS = 90

event_ids = st.sampled_from(IDS)
settlements: st.SearchStrategy[Settlement] = st.sampled_from(["done", "cancelled"])


class Twins:
    """The reference, the backend, and the clock that they share."""

    def __init__(self, draw: Any, backend: SQLiteBackend, runner: asyncio.Runner) -> None:
        self.draw, self.backend, self.run = draw, backend, runner.run
        self.reference = MemoryStore()
        self.now = 0
        self.serial = 0

    def batch(self) -> None:
        self.now += self.draw(st.sampled_from([0, 5, 50]))
        transitions = [*self.owners(), *(self.anything() for _ in range(self.draw(st.integers(0, 8))))]
        request = None
        if self.draw(st.booleans()):
            # Without a limit: which of two equal alarms goes first is the backend's own affair.
            take = self.draw(st.integers(0, 3))
            request = ClaimRequest(owner="worker", at=self.now, lease_ms=60, limit=ALL, take=take)
        expected, expected_claims = self.reference.commit(transitions, request)
        outcomes, claims = self.run(self.backend.commit(transitions, request))
        assert list(zip(transitions, outcomes, strict=True)) == list(zip(transitions, expected, strict=True))
        assert sorted(claims, key=repr) == sorted(expected_claims, key=repr)
        if self.draw(st.integers(0, 5)) == 0:
            self.sweep()
        self.compare()

    def compare(self) -> None:
        reference, backend, run = self.reference, self.backend, self.run
        assert run(backend.next_due()) == reference.next_due()
        assert list(run(backend.scan("", "", ALL))) == reference.scan("", "", ALL)
        for instance in INSTANCES:
            assert run(backend.load(instance, IDS, IDS)) == reference.load(instance, IDS, IDS)
            assert run(backend.tally(instance, self.now)) == reference.tally(instance, self.now)
            for segment in range(4):
                assert list(run(backend.items(instance, segment, 0, ALL))) == reference.items(instance, segment, 0, ALL)

    def sweep(self) -> None:
        """How many rows go at a time is the backend's own affair; what is left is not."""
        while self.reference.sweep(self.now, ALL):
            pass
        while self.run(self.backend.sweep(self.now, ALL)):
            pass

    # Transitions.

    def owners(self) -> list[Transition]:
        """What each owner says about the items in its hands; first, so that nothing has happened to them yet."""
        return [self.owner(record) for record in self.reference.scan("", "", ALL) if record.owner is not None]

    def owner(self, record: Record) -> Transition:
        held = set(record.taken)
        words: dict[str, list[Any]] = {"remove": [], "reschedule": [], "bury": [], "mark": [], "give_back": []}
        for item in self.reference.items(record.instance, 0, 0, ALL):
            if item.seq in held:
                word = self.draw(st.sampled_from([*words, "keep"]))
                if word != "keep":
                    words[word].append(self.said(word, item))
        return Transition(
            instance=record.instance,
            at=self.now,
            guard=Guard(token=record.token),
            take=self.draw(st.integers(0, 3)),
            release=self.draw(st.sampled_from(["no", "idle", "yes"])),
            progress=self.draw(st.booleans()),
            **{word: tuple(said) for word, said in words.items()},
        )

    def said(self, word: str, item: Item) -> Any:
        expires_at = self.now + LINGER_MS
        if word == "remove":
            return Removal(item, self.draw(settlements), expires_at)
        if word == "reschedule":
            due = self.draw(st.sampled_from([0, self.now + 5, self.now + 50]))
            return Reschedule(item, due, item.attempt + 1, item.delivery, "boom", self.draw(st.booleans()))
        if word == "bury":
            return Burial(item.id or "no id", item, item.payload, 1, "boom", 1, expires_at)
        return item if word == "mark" else item.seq

    def anything(self) -> Transition:
        instance = self.draw(st.sampled_from(INSTANCES))
        word = self.draw(st.sampled_from([self.append, self.append, self.append, self.change]))
        return Transition(instance=instance, at=self.now, **word(instance))

    def append(self, instance: str) -> dict[str, Any]:
        items = tuple(self.new_item(instance) for _ in range(self.draw(st.integers(1, 4))))
        parts: dict[str, Any] = {"append": items, "create": Create(status="open", linger_ms=LINGER_MS)}
        if instance == BUFFER:
            parts["create"] = Create(status="open", segment=1, linger_ms=LINGER_MS)
            parts["batching"] = Batching(max_items=3, window_ms=WINDOW_MS)
        elif self.draw(st.booleans()):
            parts["guard"] = Guard(room=4)
            parts["on_full"] = self.draw(st.sampled_from(["reject", "drop_oldest"]))
        return parts

    def new_item(self, instance: str) -> NewItem:
        self.serial += 1
        payload = b"%d" % self.serial
        id = self.draw(st.one_of(st.none(), event_ids))
        if instance == BUFFER:
            return NewItem(id, payload, due=NEVER)
        return NewItem(
            id,
            payload,
            lane=self.draw(st.sampled_from([None, None, "L", "M"])),
            due=self.draw(st.sampled_from([0, 0, 0, self.now + 5, self.now + 50])),
            rank=self.draw(st.sampled_from([0, 0, 0, -1, 2])),
            blocks=self.draw(st.sampled_from([True, True, False])),
        )

    def change(self, instance: str) -> dict[str, Any]:
        draw, expires_at = self.draw, self.now + LINGER_MS
        words: dict[str, dict[str, Any]] = {
            "cancel": {"cancel": tuple(draw(st.lists(event_ids, max_size=3)))},
            "remember": {"remember": (draw(event_ids),), "create": Create(status="open", linger_ms=LINGER_MS)},
            "put": {"put": Put(status="put", data=b"x", held=draw(st.booleans()), linger_ms=LINGER_MS)},
            "dues": {"dues": (Due("run", draw(st.sampled_from(["set", "earlier", "clear"])), self.now + 7),)},
            "redrive": {"redrive": tuple(draw(st.lists(event_ids, max_size=3)))},
            "discard": {"discard": (draw(event_ids),)},
            "clear": {"clear": Clear(draw(st.integers(0, 2)), expires_at)},
            "erase": {"erase": True},
        }
        if instance == BUFFER:
            words["retire"] = {"retire": Retire(draw(st.integers(0, 3)), "done", expires_at)}
            words["seal"] = {"seal": True}
        return words[draw(st.sampled_from(list(words)))]


@settings(max_examples=40)
@given(data=st.data())
def test_batches_give_what_their_transitions_give_one_by_one(data: st.DataObject):
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        backend = SQLiteBackend(Path(folder, "app.db"), durability="normal")
        runner.run(backend.open("tests"))
        try:
            twins = Twins(data.draw, backend, runner)
            for _ in range(data.draw(st.integers(1, 12))):
                twins.batch()
        finally:
            runner.run(backend.close())
