"""One call made of several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from durable_primitives.errors import StorageError
from durable_primitives.kernel.transition import Transition
from durable_primitives_redis.failures import BACKEND

T = TypeVar("T")

MOST_ITEMS = 5_000
"""Items that come or go in one script call, unless it is one transition."""

MOST_BYTES = 32 << 20
"""Of the payloads of one script call, unless it is one transition."""

LARGEST_BYTES = 256 << 20
"""Of the payloads of one transition: half of what a server takes as one argument."""

PATIENCE_SECONDS = 0.1
"""How long a partition that is held up may hold up those that have answered."""


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


def in_parts(indexes: Sequence[int], transitions: Sequence[Transition]) -> list[Sequence[int]]:
    """Some of the transitions, in their order, in parts that are short for the server: it serves nobody else meanwhile.

    Raises:
        StorageError: One of them is more than a server takes; none may be sent.
    """
    parts: list[Sequence[int]] = []
    start = items = size = 0
    for place, index in enumerate(indexes):
        transition = transitions[index]
        more_items, more = len(transition.append) + len(transition.remove), _size(transition)
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


def _size(transition: Transition) -> int:
    """About how many bytes it is long: its payloads."""
    size = 0
    for new in transition.append:
        size += len(new.payload)
    for removal in transition.remove:
        size += len(removal.item.payload)
    for change in transition.reschedule:
        size += len(change.item.payload)
    for burial in transition.bury:
        size += len(burial.payload) + (0 if burial.item is None else len(burial.item.payload))
    if transition.put is not None:
        size += len(transition.put.data)
    if transition.create is not None:
        size += len(transition.create.data)
    return size


async def gathered(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results.  They begin in their order.  If some of several failed, what became of the whole is unknown."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    raise_failure(results)
    return [result for result in results if not isinstance(result, BaseException)]


def raise_failure(results: Sequence[object]) -> None:
    """Raise the first of those that are exceptions, with what became of all of them together."""
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if isinstance(failure, StorageError) and (
            len(failures) < len(results) or any(getattr(other, "outcome", "unknown") == "unknown" for other in failures)
        ):
            failure.outcome = "unknown"
        raise failure


async def most_of(calls: Mapping[int, Coroutine[Any, Any, T]], is_held_up: Callable[[int], bool]) -> dict[int, T]:
    """The results of the calls, without those that are held up, which are cancelled, and those that fail.

    For calls that may be left out, and made again.  Raises a failure if there is no result at all.
    """
    tasks = {key: asyncio.ensure_future(call) for key, call in calls.items()}
    try:
        await until_the_rest_is_held_up(tasks, is_held_up)
    finally:
        for task in tasks.values():
            task.cancel()
    results = {key: task.result() for key, task in tasks.items() if has_result(task)}
    if not results:
        raise_failure([task.exception() for task in tasks.values() if task.done() and not task.cancelled()])
    return results


async def until_the_rest_is_held_up(tasks: Mapping[int, asyncio.Future[T]], is_held_up: Callable[[int], bool]) -> None:
    """Wait for all of them, or until there is an answer and all others are held up."""
    while waiting := {key: task for key, task in tasks.items() if not task.done()}:
        await asyncio.wait(waiting.values(), timeout=PATIENCE_SECONDS)
        late = [key for key, task in waiting.items() if not task.done()]
        if len(late) < len(tasks) and all(map(is_held_up, late)):
            return


def has_result(task: asyncio.Future[Any]) -> bool:
    """Whether it is done, and well."""
    return task.done() and not task.cancelled() and task.exception() is None
