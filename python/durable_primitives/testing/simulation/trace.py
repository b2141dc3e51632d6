"""What happened in a simulation, line by line, in terms of the API."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Literal, overload

from msgspec import Struct

from durable_primitives.durations import format_ms
from durable_primitives.kernel.transition import Outcome, Transition

What = Literal[
    "start",
    "crash",
    "pause",
    "resume",
    "clock",
    "stop",
    "call",
    "answer",
    "commit",
    "claim",
    "renewal",
    "handler",
    "returned",
    "raised",
    "fault",
]


class TraceEntry(Struct, frozen=True, gc=False):
    """One thing that happened."""

    at_us: int
    """Virtual microseconds since the beginning."""
    actor: str
    """Which process: ``"worker 1"``, ``"client"``."""
    what: What
    subject: str
    """The instance that it concerns, if one."""
    detail: str

    def __str__(self) -> str:
        ms, us = divmod(self.at_us, 1000)
        time = f"t={format_ms(ms)}" + (f"+{us}us" if us else "")
        return f"{time:<14} {self.actor:<9} {self.what:<9}{self.subject} {self.detail}".rstrip()


class Trace(Sequence[TraceEntry]):
    """Everything that happened, oldest first.  The same seed and schedule give the same text, byte for byte."""

    def __init__(self) -> None:
        self._entries: list[TraceEntry] = []

    def add(self, at_us: int, actor: str, what: What, subject: str = "", detail: str = "") -> None:
        """Note one thing."""
        self._entries.append(TraceEntry(at_us, actor, what, subject, detail))

    @overload
    def __getitem__(self, index: int) -> TraceEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[TraceEntry]: ...
    def __getitem__(self, index: int | slice) -> TraceEntry | list[TraceEntry]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[TraceEntry]:
        return iter(self._entries)

    def of(self, what: What) -> list[TraceEntry]:
        """The entries of one kind."""
        return [entry for entry in self._entries if entry.what == what]

    def __str__(self) -> str:
        return "\n".join(map(str, self._entries))

    @property
    def digest(self) -> str:
        """A hash of the text, in hexadecimal."""
        return hashlib.blake2b(str(self).encode(), digest_size=16).hexdigest()


def describe(transition: Transition, outcome: Outcome, lease: int | None) -> str:
    """What a transition did, in a few words, and under which of the leases of its instance."""
    parts: list[str] = [outcome.verdict]
    for name in ("remove", "reschedule", "bury", "append", "cancel", "redrive", "discard", "remember"):
        count = len(getattr(transition, name))
        if count:
            parts.append(f"{name} {count}")
    if transition.put is not None:
        parts.append(f"put {transition.put.status}")
    if transition.erase:
        parts.append("erase")
    if outcome.items:
        parts.append(f"take {len(outcome.items)}")
    if outcome.released:
        parts.append("release")
    if lease is not None:
        parts.append(f"lease {lease}")
    return ", ".join(parts)
