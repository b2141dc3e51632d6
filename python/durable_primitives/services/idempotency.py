"""Event ids: which are made, which are derived, and how long they are remembered (law 9)."""

from __future__ import annotations

from durable_primitives.durations import Duration, parse_ms

DEFAULT_WINDOW: Duration = "24 hours"


def derived_id(idempotency_key: str, call: int) -> str:
    """The id of the `call`-th send of one execution: a handler that runs again sends the same ids again."""
    return f"{idempotency_key}/{call}"


def window_ms(window: Duration) -> int:
    """A dedupe window in milliseconds; zero forgets an id with the end of its event."""
    return parse_ms(window, what="dedupe_window", allow_zero=True)
