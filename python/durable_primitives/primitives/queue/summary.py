"""The counts of several instances as one status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from durable_primitives.primitives.queue.inspection import InstanceCount
from durable_primitives.primitives.queue.results import QueueStatus


def summarise(counts: Sequence[InstanceCount], instances: int, now: int) -> QueueStatus:
    """Add them up."""
    oldest = min((c.tally.oldest_at for c in counts if c.tally.oldest_at is not None), default=None)
    return QueueStatus(
        pending=sum(c.tally.ready for c in counts),
        delayed=sum(c.tally.delayed for c in counts),
        running=sum(c.running for c in counts),
        retrying=sum(c.tally.retrying for c in counts),
        dead=sum(c.tally.dead for c in counts),
        processed=sum(c.finished for c in counts),
        paused=bool(counts) and all(c.held for c in counts),
        oldest_age=None if oldest is None else timedelta(milliseconds=max(now - oldest, 0)),
        instances=instances,
    )
