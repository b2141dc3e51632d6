"""Making any tracker harmless."""

from __future__ import annotations

import sys

from durable_primitives.events.tracker import EventTracker
from durable_primitives.events.trackers.background import BackgroundTracker
from durable_primitives.events.trackers.inline import InlineTracker
from durable_primitives.events.trackers.noop import NoopTracker

_THIS_PACKAGE = __name__.rpartition(".")[0]
_WITHOUT_THREADS = ("emscripten", "wasi")


def guard(tracker: EventTracker | None) -> EventTracker:
    """`tracker` as the engine may use it: one that neither raises nor blocks, whatever its author did.

    None becomes a tracker that wants nothing. Those of this package keep the contract by themselves. Any other is
    called from the background (`BackgroundTracker`), or in place where there are no threads (`InlineTracker`).

    Example:
        >>> guard(None).enabled
        False
    """
    if tracker is None:
        return NoopTracker()
    # The exact class: a subclass of ours may do anything.
    if type(tracker).__module__.startswith(f"{_THIS_PACKAGE}."):
        return tracker
    return InlineTracker(tracker) if sys.platform in _WITHOUT_THREADS else BackgroundTracker(tracker)
