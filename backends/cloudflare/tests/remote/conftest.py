"""A host for the session, and stores of a test's own on it."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack

import pytest

from durable_primitives_cloudflare.remote import RemoteBackend

from .host import Host

_serial = itertools.count()


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A running host that all tests share, each with a prefix of its own."""
    host = Host(tmp_path_factory.mktemp("host"))
    host.start()
    yield host
    host.close()


@pytest.fixture
def make_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Host]]:
    """Running hosts of the test's own: ``make_host(changes={...}, env={...})``."""
    hosts: list[Host] = []

    def make(**options: Mapping[str, str]) -> Host:
        host = Host(tmp_path_factory.mktemp("host"), **options)
        hosts.append(host)
        host.start()
        return host

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def prefix() -> str:
    """A part of the host that no other test has."""
    return f"test-{os.getpid()}-{next(_serial)}"


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test opened."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def backend(host: Host, prefix: str, opened: AsyncExitStack) -> RemoteBackend:
    """An open backend on an empty store."""
    return await open_backend(host.backend(prefix), opened)


async def open_backend(backend: RemoteBackend, opened: AsyncExitStack) -> RemoteBackend:
    """Open it until the end of the test."""
    await backend.open("tests")
    opened.push_async_callback(backend.close)
    return backend
