"""Where the server is, and how a connection to it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib import import_module
from operator import attrgetter
from typing import Any, Protocol
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from redis.asyncio.connection import ConnectionPool

from durable_primitives.errors import DefinitionError
from durable_primitives_redis.sentinel import primary_of

CONNECT_SECONDS = 5.0

_writer_of = attrgetter("_writer")
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}


class Connection(Protocol):
    """What we use of a client library's connection."""

    @property
    def is_connected(self) -> bool: ...
    async def connect(self) -> None: ...
    async def disconnect(self, nowait: bool = False) -> None: ...
    def pack_command(self, *args: Any) -> list[bytes]: ...
    async def send_packed_command(self, command: Any, check_health: bool = True) -> None: ...
    async def read_response(self) -> Any: ...


class Address:
    """One server, or whichever is the primary of a sentinel's service, or some `nodes` of a cluster.

    `url` is fit for an error message: it holds no password.  `server_error` is what an error in reply is, `lost` what a
    connection that breaks is.
    """

    def __init__(
        self, kind: type[Any], settings: Mapping[str, Any], url: str, nodes: Sequence[tuple[str, int]] = ()
    ) -> None:
        base = next(base for base in kind.__mro__ if base.__name__ == "AbstractConnection")
        library = base.__module__.partition(".")[0]
        retry, backoff, exceptions = (
            import_module(f"{library}.{name}") for name in ("asyncio.retry", "backoff", "exceptions")
        )
        self.url = url
        self.server_error: type[Exception] = exceptions.ResponseError
        self.refused: tuple[type[Exception], ...] = (
            exceptions.AuthenticationError,
            exceptions.AuthorizationError,
            exceptions.NoPermissionError,
        )
        self.lost: tuple[type[Exception], ...] = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
        self.is_cluster = bool(nodes)
        self._kind, self._nodes = kind, nodes
        self._settings: dict[str, Any] = {
            **settings,
            # Ours alone: a client that sends a command again by itself would not know when to stop.
            "retry": retry.Retry(backoff.NoBackoff(), 0),
            "retry_on_error": [],
            "retry_on_timeout": False,
            "socket_timeout": None,
            "socket_connect_timeout": settings.get("socket_connect_timeout") or CONNECT_SECONDS,
            "health_check_interval": 0,
            "protocol": 2,
            "decode_responses": False,
        }

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        return self._settings.get("host", "localhost"), int(self._settings.get("port", 6379))

    def connection(self) -> Connection:
        """A connection that is not made yet."""
        connection: Connection = self._kind(**self._settings)
        return connection

    def at(self, host: str, port: int) -> Address:
        """One node of the cluster."""
        return Address(self._kind, {**self._settings, "host": host, "port": port}, f"{self.url} (node {host}:{port})")

    def nodes(self) -> Sequence[Address]:
        """The nodes of the cluster that are known by name."""
        return [self.at(host, port) for host, port in self._nodes]

    async def connected(self) -> Connection:
        """A connection that is made.  Raises what is `refused`, `lost` or a `server_error`.

        A server that accepts a connection and then says nothing is as far away as one that accepts none.
        """
        connection = self.connection()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection


def transport_of(connection: Connection) -> asyncio.Transport:
    """What carries a connection that is made: the client libraries have no public name for it."""
    transport: asyncio.Transport = _writer_of(connection).transport
    return transport


def address_of_url(url: str) -> Address:
    """The address that a URL names.  Raises `DefinitionError`."""
    parts = urlsplit(url)
    scheme, _, made_of = parts.scheme.partition("+")
    plain = parts._replace(scheme=_SCHEMES.get(scheme, scheme))
    try:
        if made_of == "sentinel":
            return _sentinel_address(plain, masked(url))
        if made_of == "cluster":
            return _cluster_address(plain, masked(url))
        kind, settings = _settings_of(plain)
    except (ValueError, TypeError) as error:
        raise DefinitionError(f"{masked(url)} is not the URL of a Redis server ({error})") from None
    return Address(kind, settings, masked(url))


def address_of_client(client: Any) -> Address:
    """The address of a client of the application, of redis-py or valkey-py.  It is needed no longer."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        raise DefinitionError(
            f"RedisBackend needs a redis.asyncio.Redis or valkey.asyncio.Valkey, got {type(client).__name__}"
        )
    settings = _plain(pool.connection_kwargs)
    if hasattr(pool, "sentinel_manager"):
        return _address_of_sentinels(pool, settings)
    where = settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"
    return Address(pool.connection_class, settings, f"redis://{where}/{settings.get('db', 0)}")


def _address_of_sentinels(pool: Any, settings: dict[str, Any]) -> Address:
    """As the sentinels of the application find the primary, without their connections: an event loop owns those."""
    if not pool.is_master:
        raise DefinitionError("RedisBackend needs a client of the primary: master_for, not slave_for")
    manager = pool.sentinel_manager
    asked = [one.connection_pool.connection_kwargs for one in manager.sentinels]
    sentinels = [(one["host"], int(one["port"])) for one in asked]
    where = ",".join(f"{host}:{port}" for host, port in sentinels)
    url = f"redis+sentinel://{where}/{pool.service_name}/{settings.get('db', 0)}"
    finding = {
        "sentinels": sentinels,
        "service": pool.service_name,
        "asking": manager.sentinel_kwargs,
        "fewest": manager.min_other_sentinels,
    }
    return Address(primary_of(pool.connection_class), {**settings, **finding}, url)


def _settings_of(parts: SplitResult) -> tuple[type[Any], dict[str, Any]]:
    """The kind of connection that a URL means to the client library, and its settings."""
    pools: Any = ConnectionPool
    pool = pools.from_url(_joined(parts))
    return pool.connection_class, _plain(pool.connection_kwargs)


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without what belongs to the pool that they were made for."""
    others = ("maint_", "himport_", "event_", "connection_pool")
    return {name: value for name, value in settings.items() if not name.startswith(others)}


def _cluster_address(parts: SplitResult, shown: str) -> Address:
    """``redis+cluster://:password@host:6379,host:6379``"""
    if parts.path.strip("/") not in ("", "0"):
        raise ValueError("a cluster has no database but 0")
    user, at, hosts = parts.netloc.rpartition("@")
    nodes = _places(hosts, 6379)
    kind, settings = _settings_of(parts._replace(netloc=f"{user}{at}{nodes[0][0]}", path=""))
    return Address(kind, settings, shown, nodes)


def _sentinel_address(parts: SplitResult, shown: str) -> Address:
    """``redis+sentinel://:password@host:26379,host:26379/service/0``"""
    user, at, hosts = parts.netloc.rpartition("@")
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("it names no service: redis+sentinel://host:26379/service")
    sentinels = _places(hosts, 26379)
    kind, settings = _settings_of(parts._replace(netloc=f"{user}{at}{sentinels[0][0]}", path=f"/{db}"))
    return Address(primary_of(kind), {**settings, "sentinels": sentinels, "service": service}, shown)


def _places(hosts: str, usual: int) -> list[tuple[str, int]]:
    return [(host, int(port or usual)) for host, _, port in (one.partition(":") for one in hosts.split(","))]


def split_options(url: str, names: set[str]) -> tuple[str, dict[str, str]]:
    """The URL without those of its options that are ours, and these."""
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    theirs = urlencode([(name, value) for name, value in options if name not in names])
    return _joined(parts._replace(query=theirs)), {name: value for name, value in options if name in names}


def masked(url: str) -> str:
    """The URL without passwords.

    Example:
        >>> masked("redis://app:secret@db:6379/0?password=secret&db=1")
        'redis://app:***@db:6379/0?password=***&db=1'
    """
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    query = "&".join(
        "password=***" if option.startswith("password=") else option for option in parts.query.split("&") if option
    )
    return _joined(parts._replace(netloc=f"{name}{colon and ':***'}{at}{host}", query=query))


def _joined(parts: SplitResult) -> str:
    """With its slashes, which `urlunsplit` leaves out where there is no host."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}{parts.query and '?'}{parts.query}"
