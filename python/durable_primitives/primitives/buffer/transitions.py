"""The life of a batch as a table: every state that it can be in, everything that can happen to it there.

A batch is one generation of a buffer.  Each accepted event belongs to one batch for good, so it is always in exactly
one of these states.  What is not in the table changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from durable_primitives.kernel.record import Settlement

BatchState = Literal[
    "absent", "open", "sealed", "flushing", "retrying", "redriven", "flushed", "dead", "cleared", "discarded"
]
"""`retrying`: waits for its next attempt; `redriven`: a dead batch that waits for its turn to run again."""

Happening = Literal[
    "add", "fill", "expire", "flush", "clear",
    "begin", "crash", "shutdown",
    "returned", "raised", "snoozed", "gave_up", "crash_looped", "cancelled", "vanished",
    "redrive", "discard",
]  # fmt: skip
"""`fill`: an event reaches `max_events`; `expire`: `flush_after` is over; `vanished`: nothing of it is left."""

TRANSITIONS: Final[Mapping[tuple[BatchState, Happening], BatchState]] = MappingProxyType(
    {
        # Gathering: what a client, or time, does to the open batch.
        ("absent", "add"): "open",
        ("open", "add"): "open",
        ("open", "fill"): "sealed",
        ("open", "expire"): "sealed",
        ("open", "flush"): "sealed",
        ("open", "clear"): "cleared",
        # Handing over: what the owner does, the oldest batch first, one at a time.
        ("sealed", "begin"): "flushing",
        ("retrying", "begin"): "flushing",
        ("redriven", "begin"): "flushing",
        ("flushing", "crash"): "flushing",
        ("flushing", "shutdown"): "flushing",
        ("flushing", "returned"): "flushed",
        ("flushing", "raised"): "retrying",
        ("flushing", "snoozed"): "retrying",
        ("flushing", "gave_up"): "dead",
        ("flushing", "crash_looped"): "dead",
        ("flushing", "cancelled"): "cleared",
        ("flushing", "vanished"): "cleared",
        # Afterwards: what an operator does to a dead letter.
        ("dead", "redrive"): "redriven",
        ("dead", "discard"): "discarded",
        ("redriven", "discard"): "discarded",
    }
)

SETTLEMENTS: Final[Mapping[BatchState, Settlement]] = MappingProxyType(
    {"flushed": "done", "dead": "dead", "cleared": "cleared"}
)
"""How the receipts of a batch's events are settled in the states in which its items leave the store."""
