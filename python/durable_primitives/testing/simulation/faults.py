"""What can go wrong, where: the sites of a simulation and the faults that each of them has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Site = Literal["commit", "claim", "read", "renewal", "wait", "handler", "turn"]
"""`commit`: one transition on its way to the store · `claim`: a round trip that only asks for due instances ·
`read`: any other question to the store · `renewal`: of leases · `wait`: a worker's sleep until something is due ·
`handler`: one execution of user code · `turn`: one choice among several ready callbacks."""

Unit = Literal["", "ms", "commits", "places"]
"""What the amount of a deviation counts."""

_STORE: Mapping[str, Unit] = {
    "refuse": "",  # an error, and nothing was applied: `not_applied`
    "lose": "",  # an error, and nothing was applied: `unknown`
    "lose the reply of": "",  # an error, and it was applied: `unknown`
    "delay": "ms",  # it arrives later
    "delay the reply of": "ms",  # it is applied, and the answer comes later
    "crash before": "",
    "crash during": "",  # it was applied, and the process is gone before it hears of it
    "crash after": "",  # the process has heard of it, and one turn later it is gone
    "shut down at": "",  # the process begins to leave in good order; another one takes its place
    "pause before": "commits",  # until somebody has taken over, and committed so often
    "pause during": "commits",
    "freeze before": "ms",  # for so long
    "freeze during": "ms",
    "put the clock forward at": "ms",
    "put the clock back at": "ms",
}

FAULTS: Mapping[Site, Mapping[str, Unit]] = {
    "commit": _STORE,
    "claim": _STORE,
    "read": {"refuse": "", "delay": "ms", "crash before": "", "pause before": "commits"},
    "renewal": {"refuse": "", "lose the reply of": "", "crash before": ""},
    "wait": {"cut short": "", "delay": "ms", "repeat": ""},
    "handler": {
        "fail": "",  # it raises before its first line
        "fail during": "",  # the first thing that it waits for raises
        "fail the end of": "",  # it runs to its end, and then raises
        "delay": "ms",  # it takes so long before its first line: a timeout, if it has one
        "crash before": "",
        "crash after": "",
        "shut down at": "",  # its process begins to leave: it is cancelled when the grace is over
        "pause before": "commits",
        "pause after": "commits",
    },
    "turn": {"reorder": "places"},
}

_CRASH = frozenset({"crash before", "crash during", "crash after"})
_ZOMBIE = frozenset(
    {"pause before", "pause during", "pause after", "freeze before", "freeze during"},
)

KINDS: Mapping[str, Mapping[Site, frozenset[str]]] = {
    "crash": {site: _CRASH & faults.keys() for site, faults in FAULTS.items()},
    "zombie": {site: _ZOMBIE & faults.keys() for site, faults in FAULTS.items()},
    "store_error": {
        site: frozenset({"refuse", "lose", "lose the reply of"}) & FAULTS[site].keys()
        for site in ("commit", "claim", "read", "renewal")
    },
    "delay": {
        "commit": frozenset({"delay", "delay the reply of"}),
        "claim": frozenset({"delay", "delay the reply of"}),
        "read": frozenset({"delay"}),
    },
    "alarm": {"wait": frozenset(FAULTS["wait"])},
    "handler_error": {"handler": frozenset({"fail", "fail during", "fail the end of"})},
    "handler_timeout": {"handler": frozenset({"delay"})},
    "shutdown": {site: frozenset({"shut down at"}) for site in ("commit", "claim", "handler")},
    "clock": {site: frozenset({"put the clock forward at", "put the clock back at"}) for site in ("commit", "claim")},
    "order": {"turn": frozenset({"reorder"})},
}
"""Faults by kind, as `Swarm` and `check` name them."""

AMOUNTS: Mapping[Unit, tuple[int, ...]] = {
    "": (0,),
    "ms": (1, 700, 5_000, 40_000, 3_600_000),
    "commits": (0, 1, 2),
    "places": (1, 2, 3),
}
"""Those that `Swarm` draws from: below and above a retry, a heartbeat, a lease."""
