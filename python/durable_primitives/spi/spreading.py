"""One call made of several."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from durable_primitives.errors import StorageError

T = TypeVar("T")


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


async def gathered(calls: Iterable[Awaitable[T]]) -> list[T]:
    """All results.  They begin in their order.  If some of several failed, what became of the whole is unknown."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    raise_failure(results)
    return [result for result in results if not isinstance(result, BaseException)]


def raise_failure(results: Sequence[object]) -> None:
    """Raise the first of those results that are exceptions; its outcome is that of all of them together."""
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if isinstance(failure, StorageError) and (
            len(failures) < len(results) or any(getattr(other, "outcome", "unknown") == "unknown" for other in failures)
        ):
            failure.outcome = "unknown"
        raise failure
