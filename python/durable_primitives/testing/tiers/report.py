"""`CheckReport`: what a check tried."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from durable_primitives.testing.simulation import FAULTS


class CheckReport(Struct, frozen=True):
    """What a check tried that found nothing.  Printed, it is a table by site."""

    histories: int
    """How many histories were played."""
    seconds: float
    tiers: Counter[str]
    """How many cases each tier tried."""
    sites: Counter[str]
    """How often workers came to each site, such as ``"commit"``: see `durable_primitives.testing.simulation.FAULTS`."""
    faults: Counter[str]
    """How often each fault came to pass at each site, as ``"crash after commit"``."""
    outcomes: Counter[str]
    """How executions of user code ended: ``"returned"``, ``"raised"``."""

    def __str__(self) -> str:
        tiers = ", ".join(f"{tier} {count}" for tier, count in self.tiers.items())
        lines = [f"{self.histories} histories in {self.seconds:.1f} s: {tiers}"]
        for site, known in FAULTS.items():
            there = ", ".join(f"{fault} {self.faults[f'{fault} {site}']}" for fault in known)
            lines.append(f"{site} {self.sites[site]}: {there}")
        return "\n".join(lines)
