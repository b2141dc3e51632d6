"""`Effects`: what handlers did to the world outside."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from durable_primitives.testing.simulation.tenants import EXECUTION


class Effect(Struct, frozen=True):
    """One thing that was done."""

    key: str
    what: str
    execution: object
    """By which execution of a handler; None outside of one."""


class Effects:
    """The world outside, as a fake that remembers: a handler under `check` records what it does there.

    The pair of `key` and `what` stands for one effect that must happen once: the key is what the handler hands to
    whatever it calls, such as ``ctx.idempotency_key``.  `check` empties it before each history that it tries.

    Example:
        >>> effects = Effects()
        >>> effects.record("order-1", "charge")
        >>> ("order-1", "charge") in effects, ("order-2", "charge") in effects
        (True, False)
    """

    def __init__(self) -> None:
        self.entries: list[Effect] = []
        """Oldest first."""

    def record(self, key: str, what: str) -> None:
        """Note that something was done outside."""
        self.entries.append(Effect(key, what, EXECUTION.get()))

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()

    def __contains__(self, pair: object) -> bool:
        return any((entry.key, entry.what) == pair for entry in self.entries)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter([(entry.key, entry.what) for entry in self.entries])

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"Effects({list(self)})"
