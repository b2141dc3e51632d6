"""Random histories on the backend and on the executable definition of the contract, step by step: the same answers."""

from __future__ import annotations

import asyncio
from unittest import SkipTest

from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import Store


async def agree(store: Store, kind: str) -> None:
    """Search for a history with different answers.  Hypothesis is imported here and nowhere else."""
    try:
        from durable_primitives.testing.conformance import _histories
    except ModuleNotFoundError as missing:
        raise SkipTest(f"{missing.name} is not installed; the extra durable-primitives[testing] brings it") from missing

    # Hypothesis is synchronous: it works in a thread and plays each history on the loop on which the backend lives.
    await asyncio.to_thread(_histories.search, kind, store, asyncio.get_running_loop())


@case
async def a_queue_has_the_history_of_the_reference(store: Store) -> None:
    """Invariant 16: every outcome, claim, record, receipt, item, dead letter, count and alarm, after every step."""
    await agree(store, "queue")


@case
async def a_buffer_has_the_history_of_the_reference(store: Store) -> None:
    """Invariant 16: so with segments, their windows, and batches that leave together."""
    await agree(store, "buffer")
