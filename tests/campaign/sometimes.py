"""What a campaign must have exercised to be worth anything: each of these has to happen sometimes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import get_args

from durable_primitives.events import EVENT_TYPES
from durable_primitives.kernel.transition import Verdict
from durable_primitives.primitives import BUILTIN
from durable_primitives.testing.simulation import FAULTS

_ENDINGS = {
    "queue": ("execute", "on_dead_letter"),
    "buffer": ("execute", "on_dead_letter"),
    "continuous": ("execute", "on_error"),
}
_ERRORS = ("ValueError", "KeyError", "Retry", "Snooze", "Cancel", "DeadLetter", "CancelledError", "InjectedError")

EXPECTED: Mapping[str, frozenset[str]] = {
    "fault": frozenset(f"{fault} {site}" for site, faults in FAULTS.items() for fault in faults),
    # A store answers `duplicate` when events came in without a reducer and go on with one: only a deploy does that.
    "verdict": frozenset(get_args(Verdict)) - {"duplicate"},
    # Nobody tells of a purge: the sweep is the store's own.
    "event": frozenset(EVENT_TYPES) - {"instance.purged"},
    "call": frozenset(f"{one.kind} {operation}" for one in BUILTIN for operation in one.operations)
    - {"buffer list", "continuous list"},
    "handler": frozenset(f"{kind} {role} returned" for kind, roles in _ENDINGS.items() for role in roles)
    | {f"{kind} {roles[1]} ValueError" for kind, roles in _ENDINGS.items()}
    | {f"{kind} execute {error}" for kind in _ENDINGS for error in _ERRORS}
    | {"continuous execute EndOfRun"},
}
"""By what it is about."""


class Sometimes:
    """How often each thing happened."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {about: Counter() for about in EXPECTED}

    def happened(self, about: str, what: Iterable[str]) -> None:
        """Note it."""
        self.counts[about].update(what)

    def add(self, other: Sometimes) -> None:
        """Take in what another part of the campaign has seen."""
        for about, counts in other.counts.items():
            self.counts[about].update(counts)

    @property
    def never(self) -> list[str]:
        """What has not happened, and should have."""
        return [
            f"{about}: {one}"
            for about, expected in EXPECTED.items()
            for one in sorted(expected - set(self.counts[about]))
        ]

    def report(self) -> str:
        """Everything with its count, the rarest first."""
        lines: list[str] = []
        for about, counts in self.counts.items():
            lines.append(f"{about}: {len(counts)} kinds, {counts.total()} times")
            lines += [f"    {count:>9}  {one}" for one, count in reversed(counts.most_common())]
        return "\n".join(lines)
