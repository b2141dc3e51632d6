"""One instance in memory: its record, and what a reader of the stored rows would take it for.

An event that is appended changes nothing of its record but what the event itself says.  So the record is not written
then: `replay` brings a stored record up to date with the events that are newer than it.  One row less per event.
"""

from __future__ import annotations

from durable_primitives.kernel.apply import refresh_purge
from durable_primitives.kernel.record import ITEMS_DUE, NEVER, Record


class Life:
    """An instance between its creation and its end.  `record` is changed in place by `kernel.apply`."""

    __slots__ = ("durable", "ik", "record")

    def __init__(self, ik: int, record: Record, durable: Record | None) -> None:
        self.ik = ik
        self.record = record
        self.durable = durable
        """The record as the rows tell it; None: it has none yet."""

    @classmethod
    def stored(cls, ik: int, record: Record) -> Life:
        """One that was read."""
        return cls(ik, record, record.copy())

    def replay(self, seq: int, due: int, segment: int, at: int) -> None:
        """An event was stored: what its row says of the record."""
        if self.durable is not None:
            replay(self.durable, seq, due, segment, at)


def replay(record: Record, seq: int, due: int, segment: int, at: int) -> None:
    """What appending a single event does to a record, from the event's row."""
    record.sequence = seq
    record.count += 1
    if segment == record.segment:
        record.segment_count += 1
        record.segment_last_at = at
        if record.segment_count == 1:
            record.segment_first_at = at
    if due < NEVER:
        record.dues[ITEMS_DUE] = min(record.dues.get(ITEMS_DUE, NEVER), max(due, at))
    record.updated_at = at
    refresh_purge(record, at)
