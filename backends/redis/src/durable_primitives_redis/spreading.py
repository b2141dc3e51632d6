"""One batch in parts that are short for the server."""

from __future__ import annotations

from collections.abc import Sequence

from durable_primitives.errors import StorageError
from durable_primitives.kernel.transition import Transition, payload_bytes
from durable_primitives_redis.failures import BACKEND

MOST_ITEMS = 5_000
"""Items that come or go in one script call, unless it is one transition."""

MOST_BYTES = 32 << 20
"""Of the payloads of one script call, unless it is one transition."""

LARGEST_BYTES = 256 << 20
"""Of the payloads of one transition: half of what a server takes as one argument."""


def in_parts(indexes: Sequence[int], transitions: Sequence[Transition]) -> list[Sequence[int]]:
    """Some of the transitions, in their order, in parts that are short for the server: it serves nobody else meanwhile.

    Raises:
        StorageError: One of them is more than a server takes; none may be sent.
    """
    parts: list[Sequence[int]] = []
    start = items = size = 0
    for place, index in enumerate(indexes):
        transition = transitions[index]
        more_items = len(transition.append) + len(transition.remove)
        more = payload_bytes(transition)
        if more > LARGEST_BYTES:
            raise StorageError(
                f"the change of {transition.instance} is {more} bytes long and the limit is {LARGEST_BYTES}",
                backend=BACKEND,
                outcome="not_applied",
                help="send fewer events in one call",
            )
        if place > start and (items + more_items > MOST_ITEMS or size + more > MOST_BYTES):
            parts.append(indexes[start:place])
            start, items, size = place, 0, 0
        items += more_items
        size += more
    parts.append(indexes[start:])
    return parts
