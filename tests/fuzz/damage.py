"""How bytes go bad, and how to ask for an error without insisting on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

E = TypeVar("E", bound=Exception)


def refusal(of: type[E], work: Callable[[], object]) -> E | None:
    """The error that `work` raises, if it is one of these; any other goes on."""
    try:
        work()
    except of as error:
        return error
    return None


def damaged(data: bytes) -> SearchStrategy[bytes]:
    """`data` cut short, with bits flipped, with a part of it exchanged, or something else altogether."""
    positions = st.integers(0, max(len(data) - 1, 0))
    ways: list[SearchStrategy[bytes]] = [
        positions.map(lambda end: data[:end]),
        st.lists(st.tuples(positions, st.integers(0, 7)), min_size=1, max_size=3).map(
            lambda bits: _flipped(data, bits)
        ),
        st.tuples(positions, st.binary(min_size=1, max_size=9)).map(lambda it: _spliced(data, *it)),
        st.tuples(positions, st.sampled_from(_NASTY)).map(lambda it: _spliced(data, *it)),
        st.binary(max_size=64),
        st.binary(max_size=16).map(lambda tail: data + tail),
    ]
    return st.one_of(ways)


_NASTY = [
    b"\xcf" + b"\xff" * 8,  # the largest unsigned integer
    b"\xd3\x80" + b"\x00" * 7,  # the smallest signed one
    b"\xcb\x7f\xf8" + b"\x00" * 6,  # NaN
    b"\xdf\xff\xff\xff\xff",  # a map of four thousand million pairs
    b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\x91" * 2000,  # lists in lists
    b"\xa2\xff\xfe",  # text that is no UTF-8
    b"\xd7\xff" + b"\xff" * 8,  # a moment that does not exist
    b"[" * 2000,
    b"\x00",
]
"""What decoders have stumbled over, here and elsewhere."""


def _flipped(data: bytes, bits: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data or b"\x00")
    for position, bit in bits:
        changed[position] ^= 1 << bit
    return bytes(changed)


def _spliced(data: bytes, position: int, part: bytes) -> bytes:
    return data[:position] + part + data[position + len(part) :]
