"""What becomes of an instance that cannot be read: it is told of, put off, and left as it is for its repair."""

from __future__ import annotations

from collections.abc import Iterable

from durable_primitives.errors import StorageCorruptedError
from durable_primitives.kernel.record import DAMAGED_RECHECK_MS
from durable_primitives.logs import get_logger

_log = get_logger("durable_primitives.storage")


def damaged_instance(instance: str, reason: object, *, backend: str) -> StorageCorruptedError:
    """What to raise where the rows of one instance cannot be read, and nothing was changed."""
    return StorageCorruptedError(
        f"the instance {instance!r} is damaged: {reason}",
        backend=backend,
        outcome="not_applied",
        help="keep a copy of the store and repair its rows, or restore a backup; all other instances go on",
        instance_id=instance,
    )


class DamageLog:
    """Tells of each instance that claims had to leave out, once for each time that it is put off."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        """When, by instance."""

    def tell(self, damaged: Iterable[StorageCorruptedError], at: int) -> None:
        """Write a line for each of them that is news at this time, in milliseconds."""
        self._told = {name: told for name, told in self._told.items() if told <= at < told + DAMAGED_RECHECK_MS}
        for error in damaged:
            name = str(error.instance_id)
            if name not in self._told:
                self._told[name] = at
                _log.error("an instance is damaged and left out", instance_id=name, error=str(error), exc_info=error)
