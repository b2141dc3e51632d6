"""What a campaign must have exercised to be worth anything: each of these has to happen sometimes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from durable_primitives.events import EVENT_TYPES
from durable_primitives.kernel.transition import Verdict
from durable_primitives.primitives import BUILTIN
from durable_primitives.testing.simulation import FAULTS, Deviation

_ENDINGS = {
    "queue": ("execute", "on_dead_letter"),
    "buffer": ("execute", "on_dead_letter"),
    "continuous": ("execute", "on_error"),
}
_ERRORS = ("ValueError", "KeyError", "Retry", "Snooze", "Cancel", "DeadLetter", "CancelledError", "InjectedError")

_WHO: Mapping[str, tuple[str, ...]] = {
    "commit": ("client", "worker"),
    "claim": ("worker",),
    "read": ("client", "worker"),
    "renewal": ("worker",),
    "wait": ("worker",),
    "handler": ("worker",),
    "turn": ("loop",),
}
"""Who can be at a site."""

_WHERE = frozenset(f"{site} by {who}" for site in ("claim", "renewal", "wait") for who in _WHO[site]) | {
    *(f"{site} of {kind} by {who}" for site in ("commit", "handler") for who in _WHO[site] for kind in _ENDINGS),
    *(f"read of {kind} by client" for kind in _ENDINGS),
    "read of buffer by worker",
    *(f"read by {who}" for who in _WHO["read"]),
}
"""Places at which something must have gone wrong.  The owner of a queue reads nothing, that of a job hardly ever."""

_FAULTS = frozenset(f"{fault} {site} by {who}" for site in FAULTS for fault in FAULTS[site] for who in _WHO[site])

_ENDS_A_PROCESS = ("crash", "shut", "pause", "freeze")
"""What chance does to workers only: there is one client, and nobody starts another."""

_BY_CHANCE: Mapping[str, frozenset[str]] = {
    "fault by chance": frozenset(
        one for one in _FAULTS if not (one.endswith("client") and one.startswith(_ENDS_A_PROCESS))
    ),
    "place by chance": _WHERE | {"turn by loop"},
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

EXPECTED: Mapping[str, frozenset[str]] = {
    **_BY_CHANCE,
    "fault at a point": frozenset(one for one in _FAULTS if not one.endswith("loop")),
    # Renewals come up in one scenario only, and not in every sample of its faults.
    "place at a point": _WHERE - {"renewal by worker"},
}
"""By what it is about."""

WORLDS = frozenset(_BY_CHANCE)
"""What worlds by chance are to exercise."""

SAMPLED_POINTS = frozenset({"place at a point"})
"""What some of the faults at the points of the scenarios are to exercise."""

POINTS = SAMPLED_POINTS | {"fault at a point"}
"""What all of them are to exercise."""


class Sometimes:
    """How often each thing happened."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {about: Counter() for about in EXPECTED}

    def happened(self, about: str, what: Iterable[str]) -> None:
        """Note it."""
        self.counts[about].update(what)

    def went_wrong(self, how: Literal["by chance", "at a point"], deviations: Iterable[Deviation]) -> None:
        """Note what went wrong at which site, of which kind of primitive, in the hands of whom."""
        for deviation in deviations:
            point = deviation.point
            who, kind = point.actor.partition(" ")[0], point.subject.partition(":")[0]
            self.happened(f"fault {how}", (f"{deviation.fault} {point.site} by {who}",))
            self.happened(f"place {how}", (f"{point.site} of {kind} by {who}" if kind else f"{point.site} by {who}",))

    def add(self, other: Sometimes) -> None:
        """Take in what another part of the campaign has seen."""
        for about, counts in other.counts.items():
            self.counts[about].update(counts)

    def never(self, abouts: Iterable[str]) -> list[str]:
        """What has not happened, and should have."""
        return [
            f"{about}: {one}" for about in sorted(abouts) for one in sorted(EXPECTED[about] - set(self.counts[about]))
        ]

    def report(self) -> str:
        """Everything with its count, the rarest first."""
        lines: list[str] = []
        for about, counts in self.counts.items():
            if not counts:
                continue
            lines.append(f"{about}: {len(counts)} kinds, {counts.total()} times")
            lines += [f"    {count:>9}  {one}" for one, count in reversed(counts.most_common())]
        return "\n".join(lines)
