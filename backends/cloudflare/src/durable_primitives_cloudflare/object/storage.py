"""What the engine needs of the object that it runs in: its database, its one alarm, and nothing else.

In a Worker this is `ctx.storage` (`platform.py`); the tests run the same code on the sqlite3 of Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

MAX_VALUE = 2_000_000
"""Bytes of a value and of a row.  The platform refuses more (2 MB); the local runtime does not, so we do."""

MAX_PAYLOAD = MAX_VALUE - 32_768
"""Bytes of one encoded event, input or state: what else stands in its row has room beside it."""


class ObjectStorage(Protocol):
    """The storage of one Durable Object.  Every method is synchronous, as it is on the platform."""

    def execute(self, statement: str, *parameters: object) -> Sequence[Sequence[Any]]:
        """Run one statement; its rows.  Blobs come as `bytes`, numbers as `int`."""
        ...

    def transaction(self, body: Callable[[], T]) -> T:
        """All that `body` writes, the alarm included, or nothing of it if it raises."""
        ...

    def set_alarm(self, at: int) -> None:
        """Replace the object's one alarm.  Milliseconds since the epoch."""
        ...

    def delete_alarm(self) -> None:
        """There is none any more."""
        ...

    async def get_alarm(self) -> int | None:
        """When it fires; None while it does, and if there is none."""
        ...
