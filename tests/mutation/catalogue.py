"""Faults of a line or two that somebody might make in the engine, as data: see ``mutants/``.

Each names its file, the exact text and what stands there instead, and which promise that breaks.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "mutants"


class Mutant(NamedTuple):
    """One fault."""

    name: str
    file: str
    """In the package."""
    old: str
    new: str
    why: str
    """What it breaks."""

    @property
    def core(self) -> str:
        """Which core runs the code at fault: the Rust one has its own twin of the transitions."""
        return "reference" if self.file.startswith(("kernel/", "_core/_reference/")) else "native"

    def applied(self, source: str) -> str:
        """The source of its file with the fault; an AssertionError if its text does not stand there exactly once."""
        count = source.count(self.old)
        if count != 1:
            raise AssertionError(f"{self.name!r}: its text stands {count} times in {self.file}; bring it up to date")
        return source.replace(self.old, self.new)


def _read() -> Iterator[Mutant]:
    for path in sorted(FOLDER.glob("*.toml")):
        for file, mutants in tomllib.loads(path.read_text()).items():
            for mutant in mutants:
                yield Mutant(file=file, **mutant)


MUTANTS: tuple[Mutant, ...] = tuple(_read())
