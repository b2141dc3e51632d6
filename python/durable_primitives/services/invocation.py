"""User code from the outside: whatever a handler is, awaiting it runs it once."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from durable_primitives.errors import DefinitionError
from durable_primitives.spi.runtime import HAS_THREADS

AsyncHandler = Callable[..., Awaitable[Any]]


def as_handler(function: object, what: str) -> AsyncHandler:
    """An `async def` as it is; a plain `def` so that it runs in a thread, with the caller's context variables.

    Where there are no threads (Pyodide) a plain `def` runs on the event loop, and everything else waits for it.
    """
    if not callable(function):
        raise DefinitionError(f"{what} must be a function, got {type(function).__name__}")
    handler: Callable[..., Any] = function
    if is_async(handler):
        return handler

    @functools.wraps(handler)
    async def called(*args: Any) -> Any:
        result = await asyncio.to_thread(handler, *args) if HAS_THREADS else handler(*args)
        return await result if inspect.isawaitable(result) else result

    return called


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine: `async def`, a partial of one, or an object whose `__call__` is one."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method itself is looked at, not callability
    )
