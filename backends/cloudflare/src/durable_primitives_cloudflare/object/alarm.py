"""The object's one alarm, kept at the earliest due time of everything that is stored.

Every rule here was paid for with a lost alarm in the real runtime: see `docs/how-to/cloudflare.md`.
"""

from __future__ import annotations

from durable_primitives_cloudflare.object.storage import ObjectStorage

SLACK_MS = 1_000
"""An alarm that is early by less than this is left alone: to move it is one row, to look once more is less."""

GRACE_MS = 10_000
"""An alarm that should have fired so long ago will never fire: it is set again."""


class Alarm:
    """What the platform has been told, and what it must be told now.

    `arm` belongs inside the transaction that changed the due times; after a transaction that failed call `forget`.
    """

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage
        self._armed: int | None = None
        self._fired = 0
        self.writes = 0
        """How often the platform was told: each is billed as a row."""

    async def look(self) -> None:
        """Learn what is set.  Once, before anything else is done."""
        self._armed = await self._storage.get_alarm()

    def fired(self, scheduled: int) -> None:
        """The platform calls `alarm()` for this time, and forgets it."""
        self._armed = None
        self._fired = max(self._fired, scheduled)

    def forget(self) -> None:
        """What was told inside a transaction was undone with it: tell it again."""
        self._armed = None

    def arm(self, wanted: int | None, now: int) -> None:
        """Set the alarm for `wanted`, or for as soon as the platform keeps its promise."""
        if wanted is None:
            if self._armed is not None:
                self._storage.delete_alarm()
                self._armed = None
                self.writes += 1
            return
        # An alarm for the very time that is firing is lost for good: always strictly later.
        at = max(wanted, now, self._fired) + 1
        if not self._serves(at, now):
            self._storage.set_alarm(at)
            self._armed = at
            self.writes += 1

    def _serves(self, at: int, now: int) -> bool:
        """Whether what is armed wakes the object for `at`, and will fire at all."""
        armed = self._armed
        if armed is None or armed > at:
            return False
        return armed >= at - SLACK_MS if armed > now else armed > now - GRACE_MS
