"""Which of a queue's instances an event goes to."""

from __future__ import annotations

from durable_primitives._core import place


class Router:
    """Keys by jump consistent hash (stable across processes, languages and releases), the rest in turn.

    The turn begins at a random instance, so that many short-lived clients do not all meet at the first.
    """

    __slots__ = ("_count", "_turn")

    def __init__(self, count: int, draw: float) -> None:
        self._count = count
        self._turn = int(draw * count)

    def keyed(self, key: str) -> int:
        """The instance of a partition key, or of an event id."""
        return place(key, self._count) if self._count > 1 else 0

    def next(self) -> int:
        """The next instance in turn."""
        turn = self._turn
        self._turn = (turn + 1) % self._count
        return turn
