"""All specimens.  Each has one bug, or none; the docstring of its function says what it is and how it would show."""

from __future__ import annotations

from tests.testing.specimens import (
    buggy_buffer,
    buggy_buffer_reducers,
    buggy_continuous,
    buggy_continuous_state,
    buggy_queue,
    buggy_queue_effects,
    correct_buffer,
    correct_continuous,
    correct_queue,
)
from tests.testing.specimens.specimen import Specimen

BUGGY: tuple[Specimen, ...] = (
    *buggy_continuous.specimens,
    *buggy_continuous_state.specimens,
    *buggy_buffer.specimens,
    *buggy_buffer_reducers.specimens,
    *buggy_queue.specimens,
    *buggy_queue_effects.specimens,
)

CORRECT: tuple[Specimen, ...] = (
    *correct_continuous.specimens,
    *correct_buffer.specimens,
    *correct_queue.specimens,
)

__all__ = ["BUGGY", "CORRECT", "Specimen"]
