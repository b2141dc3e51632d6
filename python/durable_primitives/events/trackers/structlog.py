"""Writing events to the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from durable_primitives.events.model import ErrorInfo, PrimitiveEvent, Severity
from durable_primitives.events.trackers.drops import DropCounter
from durable_primitives.logs import get_logger

_LEVELS: dict[Severity, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class StructlogTracker:
    """Writes one line per event: its type as the message, everything else as fields.

    Lines go where `durable_primitives.logs` sends them: to structlog if the application configured it, else to
    `logging`. An event is as loud as its class says (`PrimitiveEvent.severity`), unless `levels` says otherwise.

    It costs the caller what one log line costs; if that may block, wrap it: ``BackgroundTracker(StructlogTracker())``.

    Example:
        >>> tracker = StructlogTracker(levels={"queue.completed": "info", "queue.duplicate": "warning"})
    """

    enabled = True

    def __init__(
        self, *, logger: str = "durable_primitives.events", levels: Mapping[str, Severity] | None = None
    ) -> None:
        self._log = get_logger(logger)
        self._levels: dict[str, Severity] = dict(levels or {})
        self._drops = DropCounter()

    @property
    def dropped(self) -> int:
        """Events whose line could not be written because the application's logging raised."""
        return self._drops.total

    def track(self, event: PrimitiveEvent) -> None:
        """Write the line of `event`."""
        level = self._levels.get(event.type, event.severity)
        try:
            if self._log.is_enabled_for(_LEVELS[level]):
                getattr(self._log, level)(event.type, **_fields(event))
        except Exception:
            self._drops.add()

    async def close(self) -> None:
        """Nothing is held."""


def _fields(event: PrimitiveEvent) -> dict[str, Any]:
    fields = {name: value for name, value in structs.asdict(event).items() if value is not None}
    error = fields.pop("error", None)
    if isinstance(error, ErrorInfo):
        fields |= {"error_type": error.type, "error_message": error.message}
    return fields
