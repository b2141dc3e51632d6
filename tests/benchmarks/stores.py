"""The backends under measurement, each on a fresh store."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

BACKENDS = ("memory", "sqlite")

_serial = itertools.count()


def fresh(backend: str, folder: Path) -> str:
    """The URL of an empty store."""
    return "memory://" if backend == "memory" else f"sqlite:///{folder / f'bench-{os.getpid()}-{next(_serial)}.db'}"
