"""What all tiers work with, and what a tier is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from durable_primitives.testing.checking.explorer import Explorer
from durable_primitives.testing.checking.playing import Finding
from durable_primitives.testing.checking.programs import Programs

Find = Finding | None


class Setting(Struct):
    """What all tiers work with."""

    explorer: Explorer
    programs: Programs
    kinds: tuple[str, ...]
    """The kinds of faults to try."""
    seed: int


Tier = Callable[[Setting], Iterator[Find]]
"""Plays one case after the other, and yields what each of them led to; whoever iterates may stop at any time."""
