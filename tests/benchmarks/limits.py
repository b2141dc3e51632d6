"""What our figures stand beside: a write of the same kind and size, with nothing around it."""

from __future__ import annotations

from dataclasses import dataclass

SECONDS = 1.0
PAYLOAD = b"x" * 200
REST_SECONDS = 0.005
COMMITS = 300


@dataclass(frozen=True)
class Limits:
    """Of one kind of store, measured once per run."""

    name: str
    writes: dict[int, float]
    """Rows a second, by rows of one commit."""
    rested_ms: float
    """A commit of one row after a rest, p50: what nobody has used for some milliseconds answers late."""

    def write(self, batch: int) -> tuple[float, str]:
        """The rate, and what it is."""
        return self.writes[batch], f"{self.name}, {batch} a commit"
