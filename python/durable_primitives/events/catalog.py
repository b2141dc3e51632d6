"""Every event there is, by its name.  A new primitive adds one file of events and one line here."""

from __future__ import annotations

from durable_primitives.events import buffer, continuous, instance, queue
from durable_primitives.events.model import PrimitiveEvent, event_type

_FAMILIES = (
    continuous.EVENTS,
    buffer.EVENTS,
    queue.EVENTS,
    instance.EVENTS,
)

EVENT_TYPES: dict[str, type[PrimitiveEvent]] = {event_type(event): event for family in _FAMILIES for event in family}
"""The class of every event, keyed by its `type`.

Example:
    >>> EVENT_TYPES["queue.completed"].__name__
    'QueueCompleted'
"""
