"""Counting what was lost."""

from __future__ import annotations

import threading


class DropCounter:
    """Counts lost events from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = 0

    def add(self, count: int = 1) -> None:
        """Another `count` events are lost."""
        with self._lock:
            self.total += count
