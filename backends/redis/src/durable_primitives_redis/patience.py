"""Calls of which some are held up: a slot is on its way, or a node is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from durable_primitives.spi import raise_failure

T = TypeVar("T")

PATIENCE_SECONDS = 0.1
"""How long a call that is held up may hold up those that have been answered."""

LONGEST_SECONDS = 1.0
"""How long one may that only says nothing: its node hangs, or is too slow to wait for."""


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
    """Wait for all of them, or until there is an answer and all others are held up, or silent for too long."""
    clock = asyncio.get_running_loop().time
    until = clock() + LONGEST_SECONDS
    while waiting := {key: task for key, task in tasks.items() if not task.done()}:
        await asyncio.wait(waiting.values(), timeout=PATIENCE_SECONDS)
        late = [key for key, task in waiting.items() if not task.done()]
        if len(late) < len(tasks) and (all(map(is_held_up, late)) or clock() >= until):
            return


def has_result(task: asyncio.Future[Any]) -> bool:
    """Whether it is done, and well."""
    return task.done() and not task.cancelled() and task.exception() is None
