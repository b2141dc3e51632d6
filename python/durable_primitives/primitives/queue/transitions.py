"""The life of an event as two tables: what an attempt leads to, and every state between acceptance and end.

An event is *live* from its acceptance to exactly one end.  What is not in the tables changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from durable_primitives.kernel.record import Settlement

Attempt = Literal["returned", "raised", "refused", "retry", "snooze", "cancel", "dead_letter"]
"""How an attempt went.

`refused`: it raised what the policy does not try again; the last four are the signals of the same name.
"""

Ended = Literal["completed", "retry", "snoozed", "cancelled", "expired", "dead"]
"""What its owner says about an event."""

ATTEMPTS: Final[Mapping[Attempt, tuple[Ended, Ended]]] = MappingProxyType(
    {
        # With attempts left, and at the last one.  `retry` counts the attempt, `snoozed` does not.
        "returned": ("completed", "completed"),
        "raised": ("retry", "dead"),
        "refused": ("dead", "dead"),
        "retry": ("retry", "dead"),
        "snooze": ("snoozed", "snoozed"),
        "cancel": ("cancelled", "cancelled"),
        "dead_letter": ("dead", "dead"),
    }
)

EventState = Literal[
    "absent", "ready", "waiting", "in_hand", "done", "dead", "cancelled", "cleared", "expired", "discarded"
]
"""`waiting`: for its due time, because of a delay, a retry or a snooze; `in_hand`: a worker has taken it."""

Happening = Literal[
    "enqueue", "delay", "cancel", "clear", "overflow", "redrive", "discard",
    "take", "give_back", "crash", Ended,
]  # fmt: skip
"""What a client asks for; then what the owner of the instance does.  `overflow`: dropped for a newer event."""

TRANSITIONS: Final[Mapping[tuple[EventState, Happening], EventState]] = MappingProxyType(
    {
        # Coming in.
        ("absent", "enqueue"): "ready",
        ("absent", "delay"): "waiting",
        # Going on: what the owner does.  Another owner takes what was left in hand by a crash.
        ("ready", "take"): "in_hand",
        ("waiting", "take"): "in_hand",
        ("in_hand", "give_back"): "ready",
        ("in_hand", "crash"): "ready",
        ("in_hand", "completed"): "done",
        ("in_hand", "retry"): "waiting",
        ("in_hand", "snoozed"): "waiting",
        ("in_hand", "cancelled"): "cancelled",
        ("in_hand", "expired"): "expired",
        ("in_hand", "dead"): "dead",
        # Being sent away: what nobody has in hand leaves at once, the rest when its handler has come to an end.
        ("ready", "cancel"): "cancelled",
        ("waiting", "cancel"): "cancelled",
        ("in_hand", "cancel"): "in_hand",
        ("ready", "clear"): "cleared",
        ("waiting", "clear"): "cleared",
        ("ready", "overflow"): "cleared",
        ("waiting", "overflow"): "cleared",
        # Afterwards: what an operator does to a dead letter.
        ("dead", "redrive"): "ready",
        ("dead", "discard"): "discarded",
    }
)

SETTLEMENTS: Final[Mapping[Ended, Settlement]] = MappingProxyType(
    {"completed": "done", "cancelled": "cancelled", "expired": "expired"}
)
"""How the receipt of an event is settled that leaves for good."""
