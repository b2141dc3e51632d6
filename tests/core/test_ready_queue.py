"""`ReadyQueue`: lanes in order, ranks between lanes, one item of a lane at a time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

SEQS = st.integers(0, 12)
LANES = st.sampled_from(["a", "b", "ø", None])
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), SEQS, LANES, st.integers(-1, 2)),
        st.tuples(st.just("pop")),
        st.tuples(st.just("done"), SEQS),
        st.tuples(st.just("evict"), st.sampled_from(["a", "b", "ø", "unknown"])),
        st.tuples(st.just("remove"), SEQS),
        st.tuples(st.sampled_from(["waiting", "busy"])),
    ),
    max_size=80,
)


@dataclass
class Entry:
    seq: int
    lane: str | None
    rank: int
    busy: bool = False


class Model:
    """The same promise with a plain list that is searched from end to end."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def push(self, seq: int, lane: str | None, rank: int) -> None:
        if any(entry.seq == seq for entry in self.entries):
            raise ValueError
        self.entries.append(Entry(seq, lane, rank))

    def pop(self) -> int | None:
        ready = [entry for entry in self.entries if not entry.busy and not self.is_blocked(entry)]
        best = min(ready, key=lambda entry: (entry.rank, entry.seq), default=None)
        if best is None:
            return None
        best.busy = True
        return best.seq

    def is_blocked(self, entry: Entry) -> bool:
        lane = [other for other in self.entries if other.lane == entry.lane and entry.lane is not None]
        return any(other.busy or other.seq < entry.seq for other in lane)

    def done(self, seq: int) -> None:
        if not self.drop(entry for entry in self.entries if entry.busy and entry.seq == seq):
            raise KeyError

    def evict(self, lane: str) -> list[int]:
        return self.drop(entry for entry in self.entries if not entry.busy and entry.lane == lane)

    def remove(self, seq: int) -> bool:
        return bool(self.drop(entry for entry in self.entries if not entry.busy and entry.seq == seq))

    def drop(self, chosen) -> list[int]:
        seqs = sorted(entry.seq for entry in chosen)
        self.entries = [entry for entry in self.entries if entry.seq not in seqs]
        return seqs

    @property
    def waiting(self) -> int:
        return sum(not entry.busy for entry in self.entries)

    @property
    def busy(self) -> int:
        return sum(entry.busy for entry in self.entries)

    def __len__(self) -> int:
        return self.waiting


def test_golden_vectors(core, follow_script):
    follow_script("ready_queue", core.ReadyQueue)


@given(operations=OPERATIONS)
def test_it_answers_like_a_plain_list(core, replay, operations):
    assert replay(core.ReadyQueue(), operations) == replay(Model(), operations)


@given(operations=OPERATIONS)
def test_native_and_reference_give_identical_answers(native, reference, replay, operations):
    assert replay(native.ReadyQueue(), operations) == replay(reference.ReadyQueue(), operations)


@given(items=st.lists(st.tuples(LANES, st.integers(-3, 3)), max_size=40), width=st.integers(1, 4), data=st.data())
def test_lanes_start_in_order_and_never_overlap(core, items, width, data):
    """The law of queues, for any owner that runs `width` items at once and finishes them in any order."""
    queue = core.ReadyQueue()
    for seq, (lane, rank) in enumerate(items):
        queue.push(seq, lane, rank)
    running: set[int] = set()
    started: list[int] = []

    while len(started) < len(items) or running:
        seq = queue.pop() if len(running) < width else None
        if seq is None:
            finished = data.draw(st.sampled_from(sorted(running)))
            queue.done(finished)
            running.remove(finished)
            continue
        lane = items[seq][0]
        assert lane is None or all(items[other][0] != lane for other in running)
        running.add(seq)
        started.append(seq)

    for lane in {lane for lane, _ in items} - {None}:
        of_lane = [seq for seq in started if items[seq][0] == lane]
        assert of_lane == sorted(of_lane)
    assert sorted(started) == list(range(len(items)))
    assert (queue.waiting, queue.busy) == (0, 0)


def test_errors_name_the_seq(core):
    queue = core.ReadyQueue()
    queue.push(7, "a", 0)

    with pytest.raises(ValueError, match="seq 7 is already waiting or busy"):
        queue.push(7, None, 0)
    with pytest.raises(KeyError, match="seq 7 is not busy: only a popped item can be done"):
        queue.done(7)
