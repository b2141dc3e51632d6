"""What a queue keeps in its record: the events that may have killed a process."""

from __future__ import annotations

import pytest

from durable_primitives.errors import SerializationError
from durable_primitives.kernel.record import Record
from durable_primitives.primitives.queue.stored import MAX_SUSPECTS, encode, suspects_of


def record(data: bytes) -> Record:
    return Record(instance="queue:q:0", status="active", data=data)


@pytest.mark.parametrize("suspects", [set[int](), {7}, {3, 1, 2}])
def test_suspects_are_read_as_they_were_written(suspects: set[int]):
    assert suspects_of(record(encode(suspects))) == suspects


def test_nothing_is_stored_of_nobody():
    assert encode(()) == b""


def test_only_so_many_are_remembered():
    assert suspects_of(record(encode(range(MAX_SUSPECTS + 5)))) == set(range(5, MAX_SUSPECTS + 5))


def test_what_cannot_be_read_is_told():
    with pytest.raises(SerializationError):
        suspects_of(record(b"\xc1"))
