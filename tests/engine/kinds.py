"""Each primitive with one piece of work, for what holds of all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from durable_primitives.primitives.buffer import Buffer
from durable_primitives.primitives.continuous import Continuous
from durable_primitives.primitives.queue import Queue
from durable_primitives.retry import Backoff, RetryPolicy

Handler = Callable[[Any], Awaitable[None]]
POLICIES = {n: RetryPolicy(max_attempts=n, backoff=Backoff.constant("1 hour", jitter="none")) for n in (1, 2)}


class Kind(NamedTuple):
    """A primitive with a handler, and one piece of work for it."""

    make: Callable[[Handler, RetryPolicy], Any]
    begin: Callable[[Any], Awaitable[Any]]


KINDS = {
    "queue": Kind(
        lambda execute, retry: Queue.make("w", event_schema=str, execute=execute, retry=retry),
        lambda client: client.enqueue("e", id="e"),
    ),
    "buffer": Kind(
        lambda execute, retry: Buffer.make("w", event_schema=str, max_events=1, execute=execute, retry=retry),
        lambda client: client.add("a", "e"),
    ),
    "continuous": Kind(
        lambda execute, retry: Continuous.make(
            "w", state_schema=str, schedule=Continuous.every("1 hour"), execute=execute, retry=retry
        ),
        lambda client: client.start("a", "new"),
    ),
}
