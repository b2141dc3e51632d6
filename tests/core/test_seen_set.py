"""`SeenSet`: an id is new once, until its window has ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

IDS = st.one_of(st.sampled_from("abcdef"), st.text(max_size=2))
TIMES = st.one_of(st.integers(0, 5), st.integers(-(2**63), 2**63 - 1))
CAPS = st.one_of(st.none(), st.integers(0, 4))
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["insert", "contains", "expires_at", "forget"]), IDS),
        st.tuples(st.just("settle"), IDS, TIMES),
        st.tuples(st.just("expire"), TIMES, st.integers(-1, 4)),
    ),
    max_size=80,
)


class Model:
    """The same promise with two plain containers; the settled ids are in order of the last `settle`."""

    def __init__(self, cap: int | None) -> None:
        self.cap = cap
        self.live: set[str] = set()
        self.settled: list[tuple[int, str]] = []

    def insert(self, id: str) -> bool:
        if self.contains(id):
            return False
        self.live.add(id)
        self.evict()
        return True

    def contains(self, id: str) -> bool:
        return id in self.live or self.expires_at(id) is not None

    def settle(self, id: str, expires_at_ms: int) -> bool:
        if not self.forget(id):
            return False
        self.settled.append((expires_at_ms, id))
        self.evict()
        return True

    def expires_at(self, id: str) -> int | None:
        return next((end for end, known in self.settled if known == id), None)

    def forget(self, id: str) -> bool:
        before = len(self)
        self.live.discard(id)
        self.settled = [entry for entry in self.settled if entry[1] != id]
        return len(self) < before

    def expire(self, now_ms: int, budget: int) -> int:
        ended = sorted((entry for entry in self.settled if entry[0] <= now_ms), key=lambda entry: entry[0])
        dropped = ended[: max(budget, 0)]
        self.settled = [entry for entry in self.settled if entry not in dropped]
        return len(dropped)

    def evict(self) -> None:
        while self.cap is not None and len(self) > self.cap and self.settled:
            self.settled.remove(min(self.settled, key=lambda entry: entry[0]))

    def __len__(self) -> int:
        return len(self.live) + len(self.settled)


def test_golden_vectors(core, follow_script):
    follow_script("seen_set", core.SeenSet)


@given(cap=CAPS, operations=OPERATIONS)
def test_it_answers_like_plain_containers(core, replay, cap, operations):
    assert replay(core.SeenSet(cap), operations) == replay(Model(cap), operations)


@given(cap=CAPS, operations=OPERATIONS)
def test_native_and_reference_give_identical_answers(native, reference, replay, cap, operations):
    assert replay(native.SeenSet(cap), operations) == replay(reference.SeenSet(cap), operations)


def test_a_negative_cap_is_refused(core):
    with pytest.raises(ValueError, match="cap must be None, or 0 or more, got -1"):
        core.SeenSet(-1)
