"""The backends under measurement, each on a fresh store."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.server import ask

_serial = itertools.count()


@dataclass(frozen=True)
class Store:
    """In the memory of the process; the others differ in what they answer."""

    backend: str

    def fresh(self) -> str:
        """The URL of an empty store."""
        return "memory://"

    def size(self) -> tuple[str, int] | None:
        """Where the rows are, and how many bytes they take; nothing where they are in the process."""
        return None

    def server_cpu_seconds(self) -> float | None:
        """What a process of the store's own has used so far."""
        return None


@dataclass(frozen=True)
class SQLiteStore(Store):
    """A new file of a folder each time."""

    folder: Path

    def fresh(self) -> str:
        return f"sqlite:///{self.folder / f'bench-{os.getpid()}-{next(_serial)}.db'}"

    def size(self) -> tuple[str, int] | None:
        """All files of this process: a case that asks has made one store."""
        return "file", sum(path.stat().st_size for path in self.folder.glob(f"bench-{os.getpid()}-*"))


@dataclass(frozen=True)
class RedisStore(Store):
    """The server of the run, emptied each time: what a former store left must not count for this one."""

    url: str

    def fresh(self) -> str:
        ask(self.url, "FLUSHALL", "SYNC")
        return f"{self.url}?prefix=bench-{os.getpid()}-{next(_serial)}"

    def size(self) -> tuple[str, int] | None:
        return "server memory", int(ask(self.url, "INFO", "memory")["used_memory"])

    def server_cpu_seconds(self) -> float | None:
        cpu = ask(self.url, "INFO", "cpu")
        return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])

    def version(self) -> str:
        """Name and version of the server."""
        facts = ask(self.url, "INFO", "server")
        return f"{facts.get('server_name', 'redis')} {facts.get('valkey_version', facts['redis_version'])}"
