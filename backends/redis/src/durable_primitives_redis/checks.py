"""What a server must be, looked at when it is opened."""

from __future__ import annotations

from durable_primitives.errors import BackendUnavailableError, StorageNotRecognizedError
from durable_primitives.logs import get_logger
from durable_primitives_redis.failures import BACKEND

OLDEST = (6, 2)
SCHEMA = 1

_log = get_logger("durable_primitives.redis")


def check_server(info: bytes, url: str, *, cluster: bool) -> None:
    """Refuse a server that cannot keep what it is given; warn of one that forgets it when it stops."""
    facts = _facts(info)
    if facts.get("cluster_enabled") == "1" and not cluster:
        raise BackendUnavailableError(
            f"{url} is a node of a cluster",
            backend=BACKEND,
            outcome="not_applied",
            help="begin the URL with redis+cluster://",
        )
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise BackendUnavailableError(
            f"{url} runs Redis {version} and the backend needs 6.2 or later",
            backend=BACKEND,
            outcome="not_applied",
            help="upgrade the server; any version of Valkey will do",
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise BackendUnavailableError(
            f"{url} may delete what it was given when its memory is full (maxmemory-policy {policy})",
            backend=BACKEND,
            outcome="not_applied",
            help="set maxmemory-policy noeviction: a full server then refuses new work and loses none",
        )
    if facts.get("aof_enabled") == "0":
        _log.warning(
            "the server keeps no append-only file: what it acknowledged since its last snapshot is lost when it stops; "
            "set appendonly yes",
            backend=url,
        )


def settings_for(partitions: int) -> list[str]:
    """What a new store notes of itself."""
    return ["schema", str(SCHEMA), "partitions", str(partitions)]


def check_settings(found: list[bytes], partitions: int, url: str) -> None:
    """Refuse a store that was made in another way."""
    settings = {name.decode(): value.decode() for name, value in zip(found[::2], found[1::2], strict=True)}
    if settings.get("schema") != str(SCHEMA):
        raise StorageNotRecognizedError(
            f"{url} holds a store of schema {settings.get('schema')}, and this release knows {SCHEMA}",
            backend=BACKEND,
            help="use the release that made it, or another prefix",
        )
    if settings.get("partitions") != str(partitions):
        raise StorageNotRecognizedError(
            f"{url} holds a store of {settings.get('partitions')} partitions, and it was opened with {partitions}",
            backend=BACKEND,
            help=f"open it with partitions={settings.get('partitions')}, or use another prefix",
        )


def _facts(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value for name, _, value in lines}
