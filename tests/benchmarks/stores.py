"""The backends under measurement, each on a fresh store."""

from __future__ import annotations

import itertools
from pathlib import Path

_serial = itertools.count()


def fresh(backend: str, folder: Path) -> str:
    """The URL of an empty store."""
    return "memory://" if backend == "memory" else f"sqlite:///{folder / f'bench-{next(_serial)}.db'}"
