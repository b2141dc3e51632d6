"""`delay_ms`: a pure function of the policy, the attempt and a draw."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

LONGEST_MS = 2**53
KINDS = ["constant", "linear", "exponential", "decorrelated"]

MS = st.one_of(st.integers(0, 10_000), st.integers(0, LONGEST_MS))
POLICIES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "base_ms": MS,
        "factor": st.one_of(st.floats(1.0, 4.0), st.floats(1.0, allow_infinity=False)),
        "increment_ms": MS,
        "max_ms": MS,
        "jitter": st.one_of(st.sampled_from(["full", "equal", "none"]), st.floats(0.0, 1.0, exclude_min=True)),
        "attempt": st.one_of(st.integers(1, 20), st.integers(1, 2**63 - 1)),
        "draw": st.floats(0.0, 1.0, exclude_max=True),
    }
)
GOOD = {
    "kind": "exponential",
    "base_ms": 1_000,
    "factor": 2.0,
    "increment_ms": 0,
    "max_ms": 300_000,
    "jitter": "full",
    "attempt": 1,
    "draw": 0.5,
}
TIME = "0 to 9007199254740992"
FACTOR = "a finite number, 1.0 or more"
JITTER = "full, equal, none or a fraction above 0.0 and up to 1.0"
DRAW = "0.0 or more and below 1.0"


def test_golden_vectors(core, vectors):
    for row in vectors("backoff"):
        kind, base, factor, increment, longest, jitter, attempt, draw, delay = row
        spread = jitter if jitter.isalpha() else float(jitter)
        actual = core.delay_ms(
            kind, int(base), float(factor), int(increment), int(longest), spread, int(attempt), float(draw)
        )
        assert actual == int(delay), row


@given(policy=POLICIES)
def test_native_and_reference_give_identical_answers(native, reference, policy):
    assert native.delay_ms(**policy) == reference.delay_ms(**policy)


@given(policy=POLICIES)
def test_a_delay_is_whole_and_within_its_cap(core, policy):
    delay = core.delay_ms(**policy)

    assert isinstance(delay, int)
    assert 0 <= delay <= policy["max_ms"]


@given(policy=POLICIES)
def test_a_delay_never_shrinks_with_the_attempt(core, policy):
    later = {**policy, "attempt": min(policy["attempt"] + 1, 2**63 - 1)}

    assert core.delay_ms(**policy) <= core.delay_ms(**later)


@given(policy=POLICIES)
def test_equal_jitter_waits_at_least_half(core, policy):
    whole = core.delay_ms(**{**policy, "jitter": "none"})
    delay = core.delay_ms(**{**policy, "jitter": "equal"})

    assert whole // 2 <= delay <= whole


@given(policy=POLICIES)
def test_decorrelated_spreads_by_itself(core, policy):
    policy = {**policy, "kind": "decorrelated"}

    assert core.delay_ms(**policy) == core.delay_ms(**{**policy, "jitter": "none"})
    assert core.delay_ms(**policy) >= min(policy["base_ms"], policy["max_ms"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "cubic"}, 'kind must be constant, linear, exponential or decorrelated, got "cubic"'),
        ({"base_ms": -1}, f"base_ms must be {TIME}, got -1"),
        ({"base_ms": LONGEST_MS + 1}, f"base_ms must be {TIME}, got 9007199254740993"),
        ({"factor": 0.5}, f"factor must be {FACTOR}, got 0.5"),
        ({"factor": float("inf")}, f"factor must be {FACTOR}, got inf"),
        ({"kind": "linear", "increment_ms": -1}, f"increment_ms must be {TIME}, got -1"),
        ({"max_ms": -1}, f"max_ms must be {TIME}, got -1"),
        ({"jitter": "some"}, f'jitter must be {JITTER}, got "some"'),
        ({"jitter": 0.0}, f"jitter must be {JITTER}, got 0.0"),
        ({"jitter": 1.5}, f"jitter must be {JITTER}, got 1.5"),
        ({"attempt": 0}, "attempt must be 1 or more, got 0"),
        ({"draw": 1.0}, f"draw must be {DRAW}, got 1.0"),
        ({"draw": -0.25}, f"draw must be {DRAW}, got -0.25"),
    ],
)
def test_an_argument_out_of_range_is_refused(core, change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        core.delay_ms(**GOOD | change)


@pytest.mark.parametrize("name", ["factor", "jitter", "draw"])
def test_nan_is_refused(core, name):
    with pytest.raises(ValueError, match=f"{name} must be"):
        core.delay_ms(**GOOD | {name: float("nan")})


def test_arguments_that_the_kind_does_not_read_are_not_checked(core):
    assert core.delay_ms(**GOOD | {"kind": "constant", "factor": 0.0, "increment_ms": -1}) == 500
