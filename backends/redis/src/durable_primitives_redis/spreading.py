"""One batch in parts that are short for the server."""

from __future__ import annotations

from collections.abc import Sequence

from durable_primitives.kernel.transition import Transition

MOST_ITEMS = 5_000
"""Items that come or go in one script call, unless it is one transition."""


def in_parts(transitions: Sequence[Transition]) -> list[Sequence[Transition]]:
    """Transitions in their order, in parts that are short for the server: it serves nobody else meanwhile."""
    parts: list[Sequence[Transition]] = []
    start = items = 0
    for index, transition in enumerate(transitions):
        more = len(transition.append) + len(transition.remove)
        if items and items + more > MOST_ITEMS:
            parts.append(transitions[start:index])
            start, items = index, 0
        items += more
    parts.append(transitions[start:])
    return parts
