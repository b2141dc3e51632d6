"""What the tests of the trackers share."""

from __future__ import annotations

from durable_primitives.events import QueueCompleted

SAFETY_S = 20.0
"""Far more than anything here takes, so that a fault ends the test instead of hanging it."""


def completed(number: int = 0) -> QueueCompleted:
    return QueueCompleted(
        at_ms=1_893_456_000_000,
        namespace="default",
        kind="queue",
        name="deliveries",
        instance_id="queue:deliveries:3",
        event_id=f"evt-{number}",
        attempt=1,
        duration_ms=12,
    )
