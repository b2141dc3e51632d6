"""The state machine of a Continuous as a table: from which status, on what, to which statuses.

A parked instance (``failed``, ``orphaned``) is not in it: parking hides the status and leaves the stored bytes, which
still hold it, untouched.
"""

from __future__ import annotations

from collections.abc import Mapping

TRANSITIONS: Mapping[tuple[str, str], tuple[str, ...]] = {
    # A caller asks.  A start that finds nothing left to run (`until` has passed) is stopped at once.
    ("not_found", "start"): ("scheduled", "stopped"),
    ("stopped", "start"): ("scheduled", "stopped"),
    ("scheduled", "restart"): ("scheduled", "stopped"),
    ("running", "restart"): ("scheduled", "stopped"),
    ("retrying", "restart"): ("scheduled", "stopped"),
    ("paused", "restart"): ("scheduled", "stopped"),
    ("stopped", "restart"): ("scheduled", "stopped"),
    ("scheduled", "trigger"): ("scheduled",),
    ("running", "trigger"): ("running",),
    ("retrying", "trigger"): ("scheduled",),
    ("scheduled", "pause"): ("paused",),
    ("running", "pause"): ("paused",),
    ("retrying", "pause"): ("paused",),
    # What was paused in the middle of a run takes that up again; a gap may hold the last tick there was.
    ("paused", "resume"): ("scheduled", "running", "retrying", "stopped"),
    ("scheduled", "stop"): ("stopped",),
    ("running", "stop"): ("stopped",),
    ("retrying", "stop"): ("stopped",),
    ("paused", "stop"): ("stopped",),
    ("scheduled", "terminate"): ("not_found",),
    ("running", "terminate"): ("not_found",),
    ("retrying", "terminate"): ("not_found",),
    ("paused", "terminate"): ("not_found",),
    ("stopped", "terminate"): ("not_found",),
    # A worker claims.  A run that is open already was left by a worker that died.
    ("scheduled", "begin"): ("running",),
    ("retrying", "begin"): ("running",),
    ("running", "begin"): ("running",),
    ("scheduled", "skip"): ("scheduled", "stopped"),
    # A run ends.  It may have been paused meanwhile, and it may have been the last one.
    ("running", "succeed"): ("scheduled", "stopped"),
    ("paused", "succeed"): ("paused", "stopped"),
    ("running", "fail"): ("retrying",),
    ("paused", "fail"): ("paused",),
    ("running", "exhaust"): ("scheduled", "paused", "stopped"),
    ("paused", "exhaust"): ("paused", "stopped"),
    ("running", "abandon"): ("scheduled", "stopped"),
    ("paused", "abandon"): ("paused", "stopped"),
    ("running", "postpone"): ("retrying",),
    ("paused", "postpone"): ("paused",),
    # State alone: a checkpoint, or the outcome of a run that was stopped (and perhaps started again) meanwhile.
    ("scheduled", "save"): ("scheduled",),
    ("running", "save"): ("running",),
    ("paused", "save"): ("paused",),
    ("stopped", "save"): ("stopped",),
}


def allowed(before: str, on: str) -> bool:
    """Whether anything is listed for this."""
    return (before, on) in TRANSITIONS


def sources(on: str) -> tuple[str, ...]:
    """From which statuses it is possible."""
    return tuple(before for before, listed in TRANSITIONS if listed == on)


def check(before: str, on: str, after: str) -> None:
    """Refuse a move that the table does not list: a defect of this package, found before it is stored."""
    if after not in TRANSITIONS.get((before, on), ()):
        raise AssertionError(f"a continuous that is {before} must not become {after} on {on!r}")
