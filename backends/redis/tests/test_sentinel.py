"""Through sentinels: whichever server is the primary now."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio.sentinel
import valkey.asyncio.sentinel

from durable_primitives.errors import DefinitionError
from durable_primitives.kernel.transition import ClaimRequest, Create, LeaseRef, NewItem, Transition
from durable_primitives_redis import RedisBackend

from .conftest import need, open_backend
from .servers import Server, find_binary, find_tls_binary, free_port

ONE = "queue:orders:1"
START_SECONDS = 20.0


@contextmanager
def watching(primary_port: int, folder: Path, binary: str | None = None, lines: Sequence[str] = ()) -> Generator[int]:
    """The port of a sentinel that knows the primary and its replica.  `lines` are further ones of its configuration."""
    port, settings = free_port(), folder / "sentinel.conf"
    binary = binary or find_binary()
    assert binary is not None
    usual = (
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {folder}",
        f"sentinel monitor main 127.0.0.1 {primary_port} 1",
        "sentinel down-after-milliseconds main 1000",
        "sentinel failover-timeout main 2000",
    )
    settings.write_text("".join(f"{line}\n" for line in (*lines, *usual)))
    with (
        (folder / "sentinel.log").open("wb") as log,
        subprocess.Popen([binary, str(settings), "--sentinel"], stdout=log, stderr=log) as process,
    ):
        try:
            _until(lambda: _replicas(port) == 1)
            yield port
        finally:
            process.terminate()


def pair(make_server: Callable[..., Server]) -> tuple[Server, Server]:
    """A primary and its replica."""
    primary, replica = make_server(repl_diskless_sync_delay="0"), make_server()
    follow(replica, primary, primary.port)
    return primary, replica


def follow(replica: Server, primary: Server, port: int) -> None:
    """Make it a replica, which asks at this port."""
    with replica.client() as client, primary.client() as looking:
        client.replicaof("127.0.0.1", str(port))
        _until(lambda: looking.info("replication").get("slave0", {}).get("state") == "online")


def _replicas(port: int) -> int:
    try:
        with redis.Redis(port=port) as client:
            return len(client.sentinel_slaves("main"))
    except redis.ConnectionError:
        return 0


def _until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + START_SECONDS
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


def replicate(primary: Server) -> None:
    """Returns when the replica has all that the primary has."""
    with primary.client() as client:
        client.set("mark", "x")
        assert client.wait(1, 4000) == 1


def append(id: str) -> Transition:
    return Transition(instance=ONE, at=0, create=Create(status="live"), append=(NewItem(id, b"x"),))


async def test_open_backend_follows_to_the_new_primary(
    make_server: Callable[..., Server], opened: AsyncExitStack, tmp_path: Path
):
    primary, replica = pair(make_server)
    with watching(primary.port, tmp_path) as port:
        backend = await open_backend(RedisBackend(f"redis+sentinel://127.0.0.1:{port}/main/0"), opened)
        await backend.commit([append("a")])
        replicate(primary)

        primary.stop(signal.SIGKILL)

        await backend.commit([append("b")])
        assert [item.id for item in await backend.items(ONE, 0, 0, 10)] == ["a", "b"]
        with replica.client() as client:
            assert client.info("replication")["role"] == "master"


@pytest.mark.parametrize("library", [redis.asyncio.sentinel, valkey.asyncio.sentinel], ids=["redis", "valkey"])
async def test_client_of_the_application_is_found_through_its_sentinels(
    library: Any, make_server: Callable[..., Server], opened: AsyncExitStack, tmp_path: Path
):
    primary, _ = pair(make_server)
    with watching(primary.port, tmp_path) as port:
        sentinel = library.Sentinel([("127.0.0.1", port)], socket_timeout=START_SECONDS)
        client = sentinel.master_for("main")
        assert await client.ping()
        backend = RedisBackend(client=client)
        # The backend has connections of its own: it does not need the client any longer.
        await client.aclose()
        for one in sentinel.sentinels:
            await one.aclose()
        del client, sentinel
        gc.collect()

        await open_backend(backend, opened)
        _, (claim,) = await backend.commit([append("a")], ClaimRequest(owner="me", at=0, lease_ms=1, limit=1, take=1))
        # From another thread, with another event loop.
        (renewal,) = await asyncio.to_thread(backend.renew, [LeaseRef(ONE, claim.record.token)], 2)
        assert renewal.held
        replicate(primary)

        primary.stop(signal.SIGKILL)

        await backend.commit([append("b")])
        assert [item.id for item in await backend.items(ONE, 0, 0, 10)] == ["a", "b"]
        (renewal,) = await asyncio.to_thread(backend.renew, [LeaseRef(ONE, claim.record.token)], 3)
        assert renewal.held
        assert backend.url == f"redis+sentinel://127.0.0.1:{port}/main/0"


@pytest.mark.parametrize("encrypted_sentinels", [False, True], ids=["plain sentinels", "sentinels with TLS"])
async def test_primary_and_replica_that_speak_tls(
    *,
    encrypted_sentinels: bool,
    make_server: Callable[..., Server],
    certificate: Path,
    opened: AsyncExitStack,
    tmp_path: Path,
):
    """A URL asks its sentinels without TLS; a client of the application asks them as it does itself."""
    binary = find_tls_binary()
    need("a server that was built with TLS (install valkey-server or redis-server)", binary)
    own = {"tls_cert_file": certificate, "tls_key_file": certificate.with_name("key.pem")}
    settings = {
        **{name: str(path) for name, path in own.items()},
        "tls_ca_cert_file": str(certificate),
        "tls_auth_clients": "no",
        "tls_replication": "yes",
    }
    ports = [free_port() for _ in range(3)]
    primary = make_server(binary, tls_port=str(ports[0]), repl_diskless_sync_delay="0", **settings)
    replica = make_server(binary, tls_port=str(ports[1]), **settings)
    follow(replica, primary, ports[0])
    lines = [f"{name.replace('_', '-')} {value}" for name, value in {"tls_port": ports[2], **settings}.items()]
    with watching(ports[0], tmp_path, binary, lines) as port:
        trusting: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(certificate)}
        if encrypted_sentinels:
            asked = redis.asyncio.sentinel.Sentinel([("127.0.0.1", ports[2])], sentinel_kwargs=trusting)
            backend = RedisBackend(client=asked.master_for("main", **trusting))
        else:
            url = f"rediss+sentinel://127.0.0.1:{port}/main/0?ssl_ca_certs={certificate}"
            backend = RedisBackend(url)
        await open_backend(backend, opened)
        await backend.commit([append("a")])
        with primary.client() as looking:
            assert {one["laddr"].rpartition(":")[2] for one in looking.client_list() if one["cmd"] == "evalsha"} == {
                str(ports[0])
            }
        replicate(primary)

        primary.stop(signal.SIGKILL)

        await backend.commit([append("b")])
        assert [item.id for item in await backend.items(ONE, 0, 0, 10)] == ["a", "b"]


def test_client_that_reads_from_replicas_is_refused():
    client = redis.asyncio.sentinel.Sentinel([("127.0.0.1", 1)]).slave_for("main")

    with pytest.raises(DefinitionError, match="of the primary: master_for, not slave_for"):
        RedisBackend(client=client)
