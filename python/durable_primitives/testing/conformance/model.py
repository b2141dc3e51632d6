"""Random histories on the backend and on the executable definition of the contract, step by step: the same answers."""

from __future__ import annotations

import asyncio
from unittest import SkipTest

from durable_primitives.testing.conformance._case import case
from durable_primitives.testing.conformance._store import Store


@case
async def any_history_gives_the_answers_of_the_reference(store: Store) -> None:
    """Invariant 16: every outcome, claim, record, receipt, item, dead letter, count and alarm, after every step."""
    try:
        from durable_primitives.testing.conformance._machine import search
    except ModuleNotFoundError as missing:
        raise SkipTest(f"{missing.name} is not installed; the extra durable-primitives[testing] brings it") from missing

    # Hypothesis is synchronous: it works in a thread and hands each step to the loop on which the backend lives.
    await asyncio.to_thread(search, store, asyncio.get_running_loop())
