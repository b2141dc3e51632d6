"""Ways to listen to tracking events.  None of them can slow down or fail the work that it is told about."""

from __future__ import annotations

from durable_primitives.events.trackers.background import BackgroundTracker
from durable_primitives.events.trackers.guard import guard
from durable_primitives.events.trackers.http import HttpBatchTracker
from durable_primitives.events.trackers.inline import InlineTracker
from durable_primitives.events.trackers.memory import InMemoryTracker
from durable_primitives.events.trackers.multi import MultiTracker
from durable_primitives.events.trackers.noop import NoopTracker
from durable_primitives.events.trackers.structlog import StructlogTracker

__all__ = [
    "BackgroundTracker",
    "HttpBatchTracker",
    "InMemoryTracker",
    "InlineTracker",
    "MultiTracker",
    "NoopTracker",
    "StructlogTracker",
    "guard",
]
