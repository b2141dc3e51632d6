"""What a store says that cannot be opened, or not like this."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack

import pytest

from durable_primitives.errors import BackendUnavailableError, DefinitionError, StorageError
from durable_primitives_cloudflare.remote import RemoteBackend

from .conftest import open_backend
from .host import Host, free_port

KEY = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("prefix=a/b", "prefix must be"),
        ("partitions=0", "partitions must be between 1 and 1024"),
        ("partitions=many", "partitions is a whole number"),
        ("timeout=0", "timeout must be above 0"),
        ("listen=nowhere", "listen is address:port"),
        ("partition=3", "unknown options partition"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: str, said: str):
    with pytest.raises(DefinitionError, match=said):
        RemoteBackend(f"cloudflare+https://example.com?{options}", engine_keys=KEY, host_keys=KEY)


@pytest.mark.parametrize("keys", ["", "short", [KEY, "short"], [KEY] * 3])
def test_keys_that_are_no_secrets_are_refused(keys: str | list[str]):
    with pytest.raises(DefinitionError, match="one or two keys"):
        RemoteBackend("cloudflare+https://example.com", engine_keys=keys)


async def test_the_number_of_partitions_stays(host: Host, prefix: str, opened: AsyncExitStack):
    await open_backend(host.backend(prefix, partitions=2), opened)

    with pytest.raises(DefinitionError, match="has partitions=2, not 3"):
        await host.backend(prefix, partitions=3).open("tests")


async def test_a_host_that_is_not_there_is_said_in_time():
    backend = RemoteBackend(f"cloudflare+http://127.0.0.1:{free_port()}?timeout=0.2", engine_keys=KEY)

    with pytest.raises(BackendUnavailableError, match="cannot be reached") as caught:
        await backend.open("tests")

    assert caught.value.outcome == "not_applied"


async def test_a_port_that_somebody_has_is_said(host: Host, prefix: str, opened: AsyncExitStack):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        backend = await open_backend(host.backend(prefix, listen=f"127.0.0.1:{port}"), opened)

        with pytest.raises(StorageError, match=f"cannot listen on 127.0.0.1:{port}"):
            await backend.wait(1.0)
