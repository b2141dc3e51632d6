"""One call made of several."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from durable_primitives.errors import StorageError
from durable_primitives.kernel.transition import Transition

T = TypeVar("T")

MOST_ITEMS = 5_000
"""Items that come or go in one script call, unless it is one transition."""


def split(groups: Iterable[int]) -> dict[int, list[int]]:
    """The indexes of each group's members.

    Example:
        >>> split([3, 1, 3])
        {3: [0, 2], 1: [1]}
    """
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    return members


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


async def gathered(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results.  They begin in their order.  If some of several failed, what became of the whole is unknown."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if isinstance(failure, StorageError) and (
            len(failures) < len(results) or any(getattr(other, "outcome", "unknown") == "unknown" for other in failures)
        ):
            failure.outcome = "unknown"
        raise failure
    return [result for result in results if not isinstance(result, BaseException)]
