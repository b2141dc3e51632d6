"""Who may ask the host, whom the host calls, and what neither of them can be talked into."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from durable_primitives.errors import BackendUnavailableError, DefinitionError
from durable_primitives.kernel.transition import Create, Due, NewItem, Transition
from durable_primitives.spi import SystemRuntime
from durable_primitives_cloudflare.remote import RemoteBackend
from durable_primitives_cloudflare.remote.receiver import CALLBACK_PATH
from durable_primitives_cloudflare.remote.signing import Verifier, parse_keys, sign

from .conftest import open_backend
from .engine import Engine, accept
from .host import Host, free_port

PATH = "/v1/security%3Atests/0/next_due"
BODY = b"[]"
OTHER_KEY = secrets.token_hex(32)


def now() -> int:
    return SystemRuntime().now()


def signed(key: str, path: str = PATH, body: bytes = BODY, at: int = 0) -> dict[str, str]:
    return sign(parse_keys(key, "key"), "POST", path, body, at or now())


async def send(url: str, path: str, headers: dict[str, str], body: Any = BODY, method: str = "POST") -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, URL(url + path, encoded=True), data=body, headers=headers) as reply,
    ):
        await reply.read()
        return reply.status


async def ask(host: Host, path: str = PATH, body: bytes = BODY) -> int:
    """A good request; one that the object asks to have signed again, is."""
    status = 425
    while status == 425:
        status = await send(host.url, path, signed(host.engine_keys, path, body), body)
    return status


# What the host accepts.


async def test_a_signed_request_is_answered(host: Host):
    assert await ask(host) == 200


@pytest.mark.parametrize("part", ["path", "body", "method", "time", "nonce", "key", "nothing"])
async def test_every_part_is_signed(host: Host, part: str):
    headers = signed(OTHER_KEY if part == "key" else host.engine_keys)
    if part == "time":
        headers["x-dp-time"] = str(int(headers["x-dp-time"]) + 1)
    elif part == "nonce":
        headers["x-dp-nonce"] = "0" * 32
    path = PATH.replace("next_due", "usage") if part == "path" else PATH

    status = await send(
        host.url,
        path,
        {} if part == "nothing" else headers,
        b"[ ]" if part == "body" else BODY,
        "PUT" if part == "method" else "POST",
    )

    assert status == 401


async def test_the_query_is_signed(host: Host):
    path = "/v1/security%3Atests/0/commit"
    body = b"[[],null]"

    assert await send(host.url, f"{path}?client=a&number=1", signed(host.engine_keys, path, body), body) == 401


@pytest.mark.parametrize("seconds", [-61, 61])
async def test_a_signature_is_good_for_a_minute(host: Host, seconds: int):
    headers = signed(host.engine_keys, at=now() + 1000 * seconds)

    assert await send(host.url, PATH, headers) == 401


async def test_a_request_is_heard_once(host: Host):
    await ask(host)
    headers = signed(host.engine_keys)

    assert [await send(host.url, PATH, headers) for _ in range(3)] == [200, 401, 401]


async def test_a_commit_is_heard_once(host: Host, prefix: str):
    append = Transition(instance="queue:a:1", at=1, create=Create(status="live"), append=(NewItem(None, b"x"),))
    path = f"/v1/{prefix}%3Atests/0/commit?client=aa&number=1"
    body = b"[[" + _encode(append) + b"],null]"
    await ask(host, f"/v1/{prefix}%3Atests/0/next_due")
    headers = signed(host.engine_keys, path, body)

    assert await send(host.url, path, headers, body) == 200
    assert await send(host.url, path, headers, body) == 401
    # Nor under another name of the sender: that is signed too.
    assert await send(host.url, path.replace("aa", "bb"), headers, body) == 401


async def test_a_request_from_before_a_restart_is_not_heard_again(make_host: Callable[..., Host]):
    host = make_host()
    await ask(host)
    headers = signed(host.engine_keys)
    assert await send(host.url, PATH, headers) == 200

    host.restart()

    # The object has forgotten the nonce: it asks for a signature by its own clock instead.
    assert await send(host.url, PATH, headers) == 425


async def test_keys_change_one_side_after_the_other(make_host: Callable[..., Host]):
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    host = make_host(env={"ENGINE_KEYS": f"{new},{old}"})

    for key, status in ((old, 200), (new, 200), (OTHER_KEY, 401)):
        host.engine_keys = key
        assert await ask(host) == status


@pytest.mark.parametrize("keys", ["", "short", f"{OTHER_KEY},short", ",".join([OTHER_KEY] * 3)])
async def test_a_host_without_good_keys_does_nothing(make_host: Callable[..., Host], keys: str):
    host = make_host(env={"ENGINE_KEYS": keys})

    assert await send(host.url, PATH, signed(OTHER_KEY)) == 500
    assert host.objects() == set()


@pytest.mark.parametrize("says", ["content-length: 16777217", "transfer-encoding: chunked"])
async def test_size_is_limited_before_anything_else_is_looked_at(host: Host, says: str):
    """By what the request says of its length, or by what has come of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", host.workerd.port)
    writer.write(f"POST {PATH} HTTP/1.1\r\nhost: host\r\n{says}\r\n\r\n".encode())
    if "chunked" in says:
        for size in (*[1 << 20] * 16, 1):
            writer.write(b"%x\r\n%b\r\n" % (size, bytes(size)))
            await writer.drain()
    # The rest never comes.
    status = await asyncio.wait_for(reader.readline(), 30)
    writer.close()

    assert status.split()[1] == b"413"


async def test_no_object_is_made_for_a_stranger(make_host: Callable[..., Host]):
    host = make_host()
    for number in range(5):
        path = f"/v1/stranger-{number}/0/next_due"
        assert await send(host.url, path, signed(OTHER_KEY, path)) == 401
        assert await send(host.url, path, {}) == 401
    assert host.objects() == set()

    assert await ask(host) == 200
    assert len(host.objects()) == 1


@pytest.mark.parametrize(
    "path", ["/", "/v2/a/0/load", "/v1/a/0/constructor", "/v1/a/b/load", "/v1/" + "a" * 600 + "/0/load"]
)
async def test_there_are_no_other_paths(host: Host, path: str):
    assert await ask(host, path) == 404


# What the engine's side gives away.


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("cloudflare+https://key@name", "keys do not belong into a URL"),
        ("cloudflare+http://example.com", "for a host on this machine"),
    ],
)
def test_a_url_holds_no_secret_and_leaves_the_machine_encrypted(url: str, said: str):
    with pytest.raises(DefinitionError, match=said):
        RemoteBackend(url, engine_keys=OTHER_KEY)


async def test_wrong_keys_are_said_with_the_way_out(host: Host, prefix: str):
    backend = RemoteBackend(host.store_url(prefix, listen=None), engine_keys=OTHER_KEY)

    with pytest.raises(BackendUnavailableError, match="refuses the signature") as caught:
        await backend.open("tests")

    assert caught.value.outcome == "not_applied"
    assert OTHER_KEY not in str(caught.value)


# The host's calls.


@pytest.fixture
async def listening(host: Host, prefix: str, opened: AsyncExitStack) -> RemoteBackend:
    """A backend whose receiver listens."""
    backend = await open_backend(host.backend(prefix), opened)
    await backend.wait(0.0)
    return backend


def call_of(host: Host, prefix: str) -> tuple[str, bytes]:
    return f"http://127.0.0.1:{host.callback_port}", json.dumps({"contract": 1, "store": f"{prefix}:tests/0"}).encode()


async def test_a_call_ends_a_wait(host: Host, prefix: str, listening: RemoteBackend):
    url, body = call_of(host, prefix)
    waiting = asyncio.ensure_future(listening.wait(3600.0))

    assert await send(url, CALLBACK_PATH, signed(host.host_keys, CALLBACK_PATH, body), body) == 204
    await asyncio.wait_for(waiting, 30)


@pytest.mark.parametrize("part", ["body", "time", "nonce", "key", "nothing", "old", "early", "engine's key"])
async def test_a_call_that_the_host_did_not_sign_is_refused(
    host: Host, prefix: str, listening: RemoteBackend, part: str
):
    url, body = call_of(host, prefix)
    key = {"key": OTHER_KEY, "engine's key": host.engine_keys}.get(part, host.host_keys)
    headers = signed(key, CALLBACK_PATH, body, at=now() + {"old": -61_000, "early": 61_000}.get(part, 0))
    if part == "time":
        headers["x-dp-time"] = str(int(headers["x-dp-time"]) + 1)
    elif part == "nonce":
        headers["x-dp-nonce"] = "0" * 32

    status = await send(
        url, CALLBACK_PATH, {} if part == "nothing" else headers, body + b" " if part == "body" else body
    )

    assert status == 401


async def test_a_call_is_heard_once(host: Host, prefix: str, listening: RemoteBackend):
    url, body = call_of(host, prefix)
    headers = signed(host.host_keys, CALLBACK_PATH, body)

    assert [await send(url, CALLBACK_PATH, headers, body) for _ in range(2)] == [204, 401]


async def test_a_long_call_is_not_read(host: Host, prefix: str, listening: RemoteBackend):
    url, body = call_of(host, prefix)
    body = body.ljust(5000)

    assert await send(url, CALLBACK_PATH, signed(host.host_keys, CALLBACK_PATH, body), body) == 413


async def test_a_call_for_another_store_wakes_nobody(host: Host, listening: RemoteBackend):
    url, body = call_of(host, "another")

    assert await send(url, CALLBACK_PATH, signed(host.host_keys, CALLBACK_PATH, body), body) == 404


def test_the_engine_accepts_two_keys_too():
    keys = [secrets.token_hex(32) for _ in range(2)]
    verifier = Verifier(parse_keys(keys, "host_keys"))

    for key, good in ((keys[0], True), (keys[1], True), (OTHER_KEY, False)):
        headers = signed(key, CALLBACK_PATH, b"")
        assert verifier.accepts("POST", CALLBACK_PATH, headers, b"", now() / 1000) is good


async def test_the_host_calls_one_url_and_follows_nobody(make_host: Callable[..., Host], prefix: str):
    port = free_port()

    async def redirect(number: int) -> web.Response:
        return web.Response(status=307, headers={"location": f"http://127.0.0.1:{port}{CALLBACK_PATH}"})

    host = make_host(changes={"least: 5_000": "least: 50"})
    async with (
        Engine(host.callback_port, redirect) as engine,
        Engine(port, accept) as elsewhere,
        AsyncExitStack() as opened,
    ):
        backend = await open_backend(host.backend(prefix, listen=None), opened)
        due = Due("run", "set", now())
        await backend.commit(
            [Transition(instance="continuous:a:1", at=now(), create=Create(status="live"), dues=(due,))]
        )
        await engine.until_calls(3)

        assert elsewhere.calls == []
        assert json.loads(engine.bodies[0]) == {"contract": 1, "store": f"{prefix}:tests/0"}


def _encode(transition: Transition) -> bytes:
    from durable_primitives_cloudflare.remote.wire import packed

    return packed(transition)
