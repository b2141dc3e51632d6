"""TLS: with a certificate that is trusted, and not with one that is not."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from durable_primitives.errors import BackendUnavailableError
from durable_primitives.kernel.transition import Create, Transition
from durable_primitives_redis import RedisBackend

from .conftest import need, open_backend
from .proxy import pump


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of ``localhost``, signed by itself; its key is beside it."""
    need("openssl", shutil.which("openssl"))
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost"], cwd=folder, check=True, stderr=subprocess.DEVNULL
    )
    return folder / "cert.pem"


@pytest.fixture
async def tls_port(url: str, certificate: Path) -> AsyncIterator[int]:
    """A port that speaks TLS, in front of the server: not every build of one can."""
    server = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(server.hostname, server.port)
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, to_server))
            group.create_task(pump(from_server, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


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
