"""What is refused at open, and how it is said: one line, with what to do, and never a password."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
import redis.asyncio
import valkey.asyncio

from durable_primitives.errors import BackendUnavailableError, DefinitionError, StorageError, StorageNotRecognizedError
from durable_primitives.kernel.transition import Create, Transition
from durable_primitives.spi import Backend, open_backend
from durable_primitives_redis import RedisBackend

from .conftest import open_backend as open_until_end
from .servers import Server


async def refused(backend: RedisBackend) -> StorageError:
    """What opening it raises."""
    with pytest.raises(StorageError) as caught:
        await backend.open("tests")
    await backend.close()
    assert "\n" not in str(caught.value)
    assert caught.value.outcome == "not_applied"
    return caught.value


async def test_partitions_are_noted_in_the_store(url: str, prefix: str, opened: AsyncExitStack):
    await open_until_end(RedisBackend(url, prefix=prefix, partitions=4), opened)

    error = await refused(RedisBackend(url, prefix=prefix, partitions=8))

    assert isinstance(error, StorageNotRecognizedError)
    assert "4 partitions, and it was opened with 8; open it with partitions=4" in str(error)


async def test_policy_that_evicts_is_refused(make_server: Callable[..., Server]):
    error = await refused(RedisBackend(make_server(maxmemory_policy="allkeys-lru").url))

    assert "maxmemory-policy allkeys-lru" in str(error)
    assert "set maxmemory-policy noeviction" in str(error)


async def test_server_without_a_log_is_warned_about(
    make_server: Callable[..., Server], opened: AsyncExitStack, caplog: pytest.LogCaptureFixture
):
    for appendonly, lines in (("no", 1), ("yes", 0)):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "durable_primitives.redis"):
            await open_until_end(RedisBackend(make_server(appendonly=appendonly).url), opened)
        assert sum("append-only file" in record.message for record in caplog.records) == lines


async def test_wrong_password_is_said_without_the_password(make_server: Callable[..., Server], opened: AsyncExitStack):
    server = make_server(requirepass="right-secret")

    wrong = await refused(RedisBackend(f"redis://:wrong-secret@127.0.0.1:{server.port}"))
    missing = await refused(RedisBackend(f"redis://127.0.0.1:{server.port}"))

    assert str(wrong) == (
        f"redis://:***@127.0.0.1:{server.port} refuses the user name or the password; correct the URL"
    )
    assert str(missing).startswith(f"redis://127.0.0.1:{server.port} wants a password")
    await open_until_end(RedisBackend(server.url), opened)


async def test_server_that_is_not_there(make_server: Callable[..., Server]):
    server = make_server()
    server.stop()

    error = await refused(RedisBackend(f"redis://user:secret@127.0.0.1:{server.port}/0"))

    assert isinstance(error, BackendUnavailableError)
    assert str(error).startswith(f"redis://user:***@127.0.0.1:{server.port}/0 cannot be reached (")
    assert "secret" not in str(error)


@pytest.mark.parametrize("library", [redis.asyncio.Redis, valkey.asyncio.Valkey], ids=["redis-py", "valkey-py"])
async def test_client_of_the_application(library: type, url: str, prefix: str, opened: AsyncExitStack):
    client = library.from_url(url, decode_responses=True)
    opened.push_async_callback(client.aclose)
    backend = await open_until_end(RedisBackend(client=client, prefix=prefix), opened)

    (outcome,), _ = await backend.commit([Transition(instance="queue:q:1", at=0, create=Create(status="live"))])

    assert outcome.verdict == "applied"
    assert [key async for key in client.scan_iter(f"{{{prefix}:*names")]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("rediss://user:secret@db:6380/1?ssl_cert_reqs=none", "rediss://user:***@db:6380/1?ssl_cert_reqs=none"),
        ("valkey://:secret@db", "valkey://:***@db"),
        ("valkeys://db", "valkeys://db"),
        ("unix:///run/valkey.sock?db=2&password=secret", "unix:///run/valkey.sock?db=2&password=***"),
        ("redis+sentinel://:secret@a:26379,b/main/0", "redis+sentinel://:***@a:26379,b/main/0"),
        ("redis://db?prefix=shop&partitions=4&timeout=3", "redis://db"),
    ],
)
def test_url_finds_the_backend_and_hides_the_password(url: str, shown: str):
    backend: Backend = open_backend(url)

    assert isinstance(backend, RedisBackend)
    assert backend.url == shown


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "a url or a client"),
        ({"url": "redis://db", "prefix": "{a}"}, "prefix must be"),
        ({"url": "redis://db", "partitions": 0}, "partitions must be"),
        ({"url": "redis://db", "timeout_s": 0}, "timeout_s must be"),
        ({"url": "http://:secret@db"}, "http://:[*]{3}@db is not the URL of a Redis server"),
        ({"url": "redis+sentinel://a:26379"}, "it names no service"),
        ({"client": object()}, "got object"),
    ],
)
def test_setting_that_cannot_be_meant(settings: dict[str, object], message: str):
    with pytest.raises(DefinitionError, match=message):
        RedisBackend(**settings)


async def test_use_before_open_and_second_open(url: str, prefix: str, opened: AsyncExitStack):
    backend = RedisBackend(url, prefix=prefix)
    with pytest.raises(BackendUnavailableError, match="is not open"):
        await backend.next_due()
    await open_until_end(backend, opened)
    with pytest.raises(StorageError, match="is open already"):
        await backend.open("tests")
