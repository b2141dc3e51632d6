"""`xxh3_64`, `jump_hash` and `place`: the same bucket for a key in every language and release."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

LARGEST_KEY = 2**64 - 1
MAX_BUCKETS = 2**31 - 1


def bytes_of_length(length: int) -> bytes:
    return bytes(index % 251 for index in range(length))


@pytest.fixture(scope="module")
def published_xxh3() -> Callable[[bytes], int]:
    """The C library by the author of the hash."""
    return pytest.importorskip("xxhash").xxh3_64_intdigest


def test_golden_vectors(core, vectors):
    for function, *arguments, answer in vectors("hash_ring"):
        match function, arguments:
            case "xxh3_64", [length]:
                assert f"{core.xxh3_64(bytes_of_length(int(length))):016x}" == answer, length
            case "jump_hash", [key, buckets]:
                assert core.jump_hash(int(key), int(buckets)) == int(answer), (key, buckets)
            case "place", [key, buckets]:
                assert core.place(key, int(buckets)) == int(answer), (key, buckets)
            case _:
                pytest.fail(f"a vector for no function: {function}")


def test_xxh3_is_the_published_hash_at_every_length(core, published_xxh3):
    data = bytes_of_length(2_200)
    for length in [*range(700), *range(1_000, 1_100), *range(2_000, 2_200)]:
        assert core.xxh3_64(data[:length]) == published_xxh3(data[:length]), length


@given(data=st.binary(max_size=300))
def test_xxh3_is_the_published_hash_of_any_bytes(core, published_xxh3, data):
    assert core.xxh3_64(data) == published_xxh3(data)


@pytest.mark.parametrize(
    ("key", "buckets", "bucket"), [(1, 1, 0), (42, 57, 43), (0xDEAD10CC, 666, 361), (256, 1_024, 520)]
)
def test_jump_hash_agrees_with_published_placements(core, key, buckets, bucket):
    assert core.jump_hash(key, buckets) == bucket


@given(key=st.integers(0, LARGEST_KEY), buckets=st.integers(1, MAX_BUCKETS - 1))
def test_a_new_bucket_takes_keys_and_moves_no_other(core, key, buckets):
    before, after = core.jump_hash(key, buckets), core.jump_hash(key, buckets + 1)

    assert 0 <= before < buckets
    assert after in {before, buckets}


@pytest.mark.parametrize("buckets", [1, 4, 9])
def test_a_new_bucket_takes_its_fair_share(core, buckets):
    keys = [f"user-{number}" for number in range(20_000)]
    moved = [key for key in keys if core.place(key, buckets) != core.place(key, buckets + 1)]

    assert all(core.place(key, buckets + 1) == buckets for key in moved)
    assert len(moved) == pytest.approx(len(keys) / (buckets + 1), rel=0.1)


def test_keys_spread_evenly(core):
    counts = [0] * 8
    for number in range(16_000):
        counts[core.place(f"user-{number}", 8)] += 1

    assert min(counts) > 1_850
    assert max(counts) < 2_150


@given(key=st.text(max_size=300), buckets=st.integers(1, MAX_BUCKETS))
def test_native_and_reference_give_identical_answers(native, reference, key, buckets):
    assert native.place(key, buckets) == reference.place(key, buckets)


@pytest.mark.parametrize("buckets", [-1, 0, MAX_BUCKETS + 1])
def test_a_count_of_buckets_out_of_range_is_refused(core, buckets):
    for function, key in [(core.jump_hash, 1), (core.place, "a")]:
        with pytest.raises(ValueError, match=f"buckets must be 1 to 2147483647, got {buckets}"):
            function(key, buckets)


@pytest.mark.parametrize("key", [-1, LARGEST_KEY + 1])
def test_a_key_out_of_range_is_refused(core, key):
    with pytest.raises(OverflowError):
        core.jump_hash(key, 10)


def test_text_that_has_no_utf8_form_is_refused(core):
    with pytest.raises(UnicodeEncodeError):
        core.place("\ud800", 10)
