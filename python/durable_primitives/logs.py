"""Logging that follows the application: structlog where the application configured it, stdlib logging everywhere else.

A library must not choose where its lines go. Left unconfigured, structlog prints to stdout, so it is used only when
the application has set it up; otherwise lines go through `logging`, their fields as attributes of the record. The
choice is made line by line, so it does not matter which is imported or configured first, and an application that does
not use structlog never pays for importing it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import ModuleType
from typing import Any, Protocol, cast

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_LOGGING_ARGUMENTS = frozenset({"exc_info", "stack_info", "stacklevel"})
"""Keywords that `logging` takes itself; all others are fields."""

_TAKEN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""Attributes of a record that `logging` refuses to let a field overwrite."""

_NOTHING: AbstractContextManager[None] = nullcontext()


class LogMethod(Protocol):
    """Writes one line."""

    def __call__(self, event: str, /, *args: Any, **fields: Any) -> None:
        """Write `event`, with `args` formatted into it as ``%`` does, and `fields` beside it."""
        ...


class Logger:
    """Writes structured lines and carries the fields bound to it.

    A field whose name `logging` keeps for itself (``name``, ``module`` …) gets a trailing underscore in its records.

    Example:
        >>> log = get_logger("app.tokens").bind(instance_id="continuous:token_refresher:user-42")
        >>> log.debug("token refreshed", expires_in_s=3600)
    """

    __slots__ = ("_fields", "_name", "_stdlib")

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        self._name = name
        self._fields = fields
        self._stdlib = logging.getLogger(name)

    def bind(self, **fields: Any) -> Logger:
        """A logger that adds `fields` to every line; this one stays as it is."""
        return Logger(self._name, {**self._fields, **fields})

    def is_enabled_for(self, level: int) -> bool:
        """False if a line of `level` would surely go nowhere: worth asking before its fields are costly to gather."""
        return _configured_structlog() is not None or self._stdlib.isEnabledFor(level)

    # Properties, so that the frame that logs is the caller's own: it is where structlog and logging look for the file
    # and the line.

    @property
    def debug(self) -> LogMethod:
        """What helps to follow the work step by step."""
        return self._method("debug")

    @property
    def info(self) -> LogMethod:
        """What happened, for whoever reads it later."""
        return self._method("info")

    @property
    def warning(self) -> LogMethod:
        """What went wrong and will be tried again."""
        return self._method("warning")

    @property
    def error(self) -> LogMethod:
        """What went wrong and needs somebody."""
        return self._method("error")

    @property
    def critical(self) -> LogMethod:
        """What keeps the process from doing its work."""
        return self._method("critical")

    @property
    def exception(self) -> LogMethod:
        """An error, with the traceback of the exception being handled."""
        return self._method("exception")

    def _method(self, name: str) -> LogMethod:
        structlog = _configured_structlog()
        if structlog is not None:
            return cast("LogMethod", getattr(structlog.get_logger(self._name).bind(**self._fields), name))
        if name == "exception":
            return partial(self._write, logging.ERROR, exc_info=True)
        return partial(self._write, _LEVELS[name])

    def _write(self, level: int, event: str, /, *args: Any, **fields: Any) -> None:
        if not self._stdlib.isEnabledFor(level):
            return
        options: dict[str, Any] = {key: fields.pop(key) for key in _LOGGING_ARGUMENTS & fields.keys()}
        options.setdefault("stacklevel", 2)
        everything = {**_context(), **self._fields, **fields}
        extra = {f"{key}_" if key in _TAKEN else key: value for key, value in everything.items()}
        self._stdlib.log(level, event, *args, extra=extra, **options)


def get_logger(name: str) -> Logger:
    """The logger called `name`.  Getting it imports nothing and settles nothing, so it may be done at module level.

    Example:
        >>> get_logger("durable_primitives.worker").debug("claimed", instance_id="queue:deliveries:3")
    """
    return Logger(name, {})


def bind_context(**fields: Any) -> AbstractContextManager[None]:
    """Add `fields` to every structlog line written in this block, by user code too.

    They travel in context variables, so they follow the task and the threads it starts. Where structlog was never
    imported nobody would read them, and this does nothing.

    Example:
        >>> with bind_context(instance_id="queue:deliveries:3", event_id="evt-1", attempt=1):
        ...     pass  # the handler runs here
    """
    if "structlog" not in sys.modules:
        return _NOTHING
    from structlog.contextvars import bound_contextvars

    return bound_contextvars(**fields)


def _context() -> Mapping[str, Any]:
    if "structlog" not in sys.modules:
        return {}
    from structlog.contextvars import get_contextvars

    return get_contextvars()


def _configured_structlog() -> ModuleType | None:
    if "structlog" not in sys.modules:
        return None
    import structlog

    return structlog if structlog.is_configured() else None
