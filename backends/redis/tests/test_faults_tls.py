"""TLS: with a certificate that is trusted, and not with one that is not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from durable_primitives.errors import BackendUnavailableError
from durable_primitives.kernel.transition import Create, Transition
from durable_primitives_redis import RedisBackend

from .clusters import TestCluster
from .conftest import open_backend
from .proxy import pump
from .servers import Server


@asynccontextmanager
async def speaking_tls(certificate: Path, port_of_server: Callable[[], int]) -> AsyncGenerator[int]:
    """A port that speaks TLS, in front of a server: not every build of one can."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port_of_server())
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, to_server))
            group.create_task(pump(from_server, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


@pytest.fixture
async def tls_port(make_server: Callable[..., Server], certificate: Path) -> AsyncIterator[int]:
    server = make_server()
    async with speaking_tls(certificate, lambda: server.port) as port:
        yield port


async def test_certificate_that_is_trusted(tls_port: int, certificate: Path, prefix: str, opened: AsyncExitStack):
    url = f"rediss://localhost:{tls_port}?ssl_ca_certs={certificate}"
    backend = await open_backend(RedisBackend(url, prefix=prefix), opened)

    (outcome,), _ = await backend.commit([Transition(instance="queue:q:1", at=0, create=Create(status="live"))])

    assert outcome.verdict == "applied"


async def test_certificate_that_nobody_vouches_for(tls_port: int, prefix: str):
    backend = RedisBackend(f"rediss://:secret@localhost:{tls_port}", prefix=prefix)

    with pytest.raises(BackendUnavailableError, match="certificate verify failed") as caught:
        await backend.open("tests")

    assert caught.value.outcome == "not_applied"
    assert str(caught.value).startswith(f"rediss://:***@localhost:{tls_port} cannot be reached (")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_plain_connection_to_a_port_that_speaks_tls(tls_port: int, prefix: str):
    with pytest.raises(BackendUnavailableError) as caught:
        await RedisBackend(f"redis://localhost:{tls_port}", prefix=prefix).open("tests")

    assert caught.value.outcome == "not_applied"
    assert "\n" not in str(caught.value)


async def test_cluster_whose_nodes_speak_tls(certificate: Path, tmp_path: Path, opened: AsyncExitStack):
    ports = [
        await opened.enter_async_context(speaking_tls(certificate, lambda number=number: cluster.nodes[number].port))
        for number in range(3)
    ]
    cluster = TestCluster(tmp_path, [{"cluster_announce_port": str(port)} for port in ports])
    opened.callback(cluster.stop)
    await asyncio.to_thread(cluster.start)
    backend = RedisBackend(f"rediss+cluster://127.0.0.1:{ports[0]}?ssl_ca_certs={certificate}")
    await open_backend(backend, opened)

    batch = [Transition(instance=f"queue:q:{n}", at=0, create=Create(status="live")) for n in range(20)]
    outcomes, _ = await backend.commit(batch)
    await backend.wait(0.0)

    assert {outcome.verdict for outcome in outcomes} == {"applied"}
    assert len(await backend.scan("queue:", "", 100)) == 20
