"""`AlarmHeap`: the earliest alarm first, moved and cancelled at will."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

KEYS = st.one_of(st.sampled_from("abcdef"), st.text(max_size=3))
TIMES = st.one_of(st.integers(0, 5), st.integers(-(2**63), 2**63 - 1))
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, TIMES),
        st.tuples(st.just("cancel"), KEYS),
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("peek")),
        st.tuples(st.just("pop_due"), TIMES, st.integers(-1, 4)),
    ),
    max_size=80,
)


class Model:
    """The same promise with a plain list, in order of the last `set`."""

    def __init__(self) -> None:
        self.alarms: list[tuple[int, str]] = []

    def set(self, key: str, due_ms: int) -> None:
        self.cancel(key)
        self.alarms.append((due_ms, key))

    def cancel(self, key: str) -> bool:
        known = self.get(key) is not None
        self.alarms = [alarm for alarm in self.alarms if alarm[1] != key]
        return known

    def get(self, key: str) -> int | None:
        return next((due_ms for due_ms, known in self.alarms if known == key), None)

    def peek(self) -> tuple[int, str] | None:
        return min(self.alarms, key=lambda alarm: alarm[0], default=None)

    def pop_due(self, now_ms: int, limit: int) -> list[str]:
        due = sorted((alarm for alarm in self.alarms if alarm[0] <= now_ms), key=lambda alarm: alarm[0])
        popped = [key for _, key in due[: max(limit, 0)]]
        for key in popped:
            self.cancel(key)
        return popped

    def __len__(self) -> int:
        return len(self.alarms)


def test_golden_vectors(core, follow_script):
    follow_script("alarm_heap", core.AlarmHeap)


@given(operations=OPERATIONS)
def test_it_answers_like_a_plain_list(core, replay, operations):
    assert replay(core.AlarmHeap(), operations) == replay(Model(), operations)


@given(operations=OPERATIONS)
def test_native_and_reference_give_identical_answers(native, reference, replay, operations):
    assert replay(native.AlarmHeap(), operations) == replay(reference.AlarmHeap(), operations)


def test_a_thousand_alarms_pop_in_order_after_many_moves(core):
    alarms = core.AlarmHeap()
    for due_ms in range(5_000):
        alarms.set(f"key-{due_ms % 1_000}", due_ms * 7_919 % 10_007)
    for cancelled in range(0, 1_000, 3):
        assert alarms.cancel(f"key-{cancelled}")

    expected = sorted(
        (due_ms * 7_919 % 10_007, f"key-{due_ms % 1_000}") for due_ms in range(4_000, 5_000) if due_ms % 1_000 % 3
    )
    popped = alarms.pop_due(5_000, 10_000) + alarms.pop_due(10_007, 10_000)

    assert popped == [key for _, key in expected]
    assert len(alarms) == 0


def test_moving_alarms_for_ever_takes_no_memory(reference):
    alarms = reference.AlarmHeap()
    for key in "abc":
        alarms.set(key, 0)

    tracemalloc.start()
    for due_ms in range(10_000):
        alarms.set("c", due_ms)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert grown < 10_000
