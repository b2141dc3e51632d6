"""The state of one attempt, between its stored bytes and the handler."""

from __future__ import annotations

import pytest

from durable_primitives.errors import SerializationError, ValidationError
from durable_primitives.schema import codec_for
from durable_primitives.services.state import StateManager

CODEC = codec_for(list[int])


def manager() -> StateManager[list[int]]:
    return StateManager(CODEC, CODEC.encode([1]))


def test_change_in_place_is_no_change() -> None:
    state = manager()
    state.value.append(2)
    assert state.changed is None


def test_value_is_taken_as_it_is_when_it_is_set() -> None:
    state, mine = manager(), [5]
    state.set(mine)
    mine.append(6)
    assert state.value == [5]
    assert state.changed == CODEC.encode([5])


def test_refused_value_leaves_the_one_before() -> None:
    state = manager()
    state.set([2])
    with pytest.raises(ValidationError):
        state.update(lambda value: "many")  # type: ignore[arg-type, return-value]
    assert state.value == [2]
    assert state.changed == CODEC.encode([2])


def test_discard_goes_back_to_what_is_stored() -> None:
    state = manager()
    state.set([2])
    saved = state.changed
    assert saved is not None
    state.mark_saved(saved)
    assert state.changed is None
    state.set([3])
    state.discard()
    assert state.value == [2]


def test_change_made_while_another_was_being_saved_is_still_to_be_saved() -> None:
    state = manager()
    state.set([2])
    saving = state.changed
    state.set([3])
    assert saving is not None
    state.mark_saved(saving)
    assert state.changed == CODEC.encode([3])


def test_bytes_that_nobody_can_read_are_refused() -> None:
    with pytest.raises(SerializationError):
        StateManager(CODEC, codec_for(str).encode("x"))
