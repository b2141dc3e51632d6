"""Runs the events of a queue: one stream per owned instance."""

from __future__ import annotations

from typing import Any

from durable_primitives.primitives.queue.definition import QueueDefinition
from durable_primitives.primitives.queue.orchestrator import QueueOrchestrator
from durable_primitives.primitives.queue.stream import Stream
from durable_primitives.services.environment import Environment
from durable_primitives.services.ownership import Ownership

MAX_WINDOW = 250
"""Events of one instance that its owner has in hand at most: what a kill delivers again."""

WINDOW_SECONDS = 0.02
"""How much work an owner takes in hand: fast handlers are fed in batches, slow ones keep what they run."""


class QueueExecutor:
    """Runs one definition.  What it learns about the speed of the handler outlives the single stream."""

    def __init__(
        self, definition: QueueDefinition[Any], orchestrator: QueueOrchestrator, environment: Environment
    ) -> None:
        self.definition = definition
        self.orchestrator = orchestrator
        self.environment = environment
        self.window = definition.per_instance
        """How many events of an instance to have in hand."""

    async def run(self, ownership: Ownership) -> None:
        """Work an instance off until nothing of it is ready."""
        await Stream(self, ownership).run()

    def learn(self, seconds: float, events: int) -> None:
        """Adapt the window to how long the last events took."""
        fits = MAX_WINDOW if seconds <= 0 else int(WINDOW_SECONDS * events / seconds)
        target = min(max(fits, self.definition.per_instance), max(MAX_WINDOW, self.definition.per_instance))
        # Grow fast, shrink at once: a handler that turned slow must not hoard.
        self.window = min(target, max(self.window * 8, 1))
