"""Signed requests to one host, sent again while their answer is missing."""

from __future__ import annotations

import asyncio
from io import BytesIO
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from durable_primitives.errors import Outcome, PayloadTooLargeError
from durable_primitives.spi import StoreClock, SystemRuntime
from durable_primitives_cloudflare.remote.failures import refusal, said, too_large, unreachable
from durable_primitives_cloudflare.remote.signing import sign

MAX_BODY = 16 << 20
"""Bytes of a request: what the host reads before it looks at anything."""

PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
"""Between two sendings of the same request."""

_SIGN_AGAIN = 425
_TOO_LARGE = 413
_REFUSALS = {400, 401, 404, 500, 507}
"""With our own header: the host says itself that nothing was applied."""


class _Attempts:
    """What is known of a request that is sent until it is answered."""

    def __init__(self) -> None:
        self.sent = False
        """It may have reached the host."""
        self.since = 0
        """When it was first sent that way."""
        self.reason = "no answer in time"
        self._pause = 0.0

    def pause(self) -> float:
        """Seconds until the next one."""
        now, self._pause = self._pause, min(max(2 * self._pause, PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        return now


class Link:
    """A session with a host.  Use it on the event loop on which it was opened.

    Args:
        url: Where the host is, ``https://host``, with a path in front of ours or without.
        keys: Of the engine; the first one signs.
        seconds: How long a call may take, repetitions included.
    """

    def __init__(self, url: str, keys: tuple[bytes, ...], clock: StoreClock, seconds: float) -> None:
        self.url = url
        self._base, self._path = _split(url)
        self._keys, self._clock, self._seconds = keys, clock, seconds
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Ready for calls; connects with the first one."""
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=True)

    async def close(self) -> None:
        """Let go of the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, store: str, partition: int, verb: str, body: bytes, query: str = "") -> bytes:
        """The answer of one object.

        A request that is repeated may have its effect twice, unless `query` lets the host know it again (``number``):
        then a repetition says since when it is one.

        Raises:
            PayloadTooLargeError: It, or a row that it makes, is longer than the platform takes.  Nothing was written.
            StorageError: The host refused it, or could not be reached within the time.
        """
        if len(body) > MAX_BODY:
            raise PayloadTooLargeError(len(body), MAX_BODY, "request")
        path = f"{self._path}/v1/{quote(store, safe='')}/{partition}/{verb}"
        attempts = _Attempts()
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    answer = await self._send(path, query, body, attempts)
                    if answer is not None:
                        return answer
                    await asyncio.sleep(attempts.pause())
        except TimeoutError:
            outcome: Outcome = "unknown" if attempts.sent else "not_applied"
            raise unreachable(attempts.reason, self.url, outcome=outcome) from None

    async def _send(self, path: str, query: str, body: bytes, attempts: _Attempts) -> bytes | None:
        """The answer, or None if there was none and it is worth another attempt."""
        target = f"{path}?{query}{f'&since={attempts.since}' if attempts.since else ''}" if query else path
        by_host, now, sent = self._clock.known, self._now(), attempts.sent
        attempts.sent = True
        try:
            status, answer, ours = await self._post(target, body)
        except aiohttp.ClientConnectorError as failure:
            attempts.sent, attempts.reason = sent, str(failure)
            return None
        except (aiohttp.ClientError, OSError) as failure:
            attempts.since, attempts.reason = attempts.since or now, str(failure) or type(failure).__name__
            return None
        if status == 200:
            return answer
        attempts.reason = f"status {status}"
        if ours and (status == _SIGN_AGAIN or (status == 401 and not by_host)):
            # It was signed by a clock that is not the host's; now that one is known.
            attempts.sent = sent
            return None
        if ours and status == _TOO_LARGE:
            raise too_large(answer, len(body))
        if ours and status in _REFUSALS:
            error = refusal(status, said(answer).error, self.url)
            error.outcome = "unknown" if sent else "not_applied"
            raise error
        # The platform answered, and does not say what became of the request.
        attempts.since = attempts.since or now
        return None

    def _now(self) -> int:
        """The host's time in milliseconds, as far as it is known."""
        return round(self._clock.time() * 1000) if self._clock.known else SystemRuntime().now()

    async def _post(self, target: str, body: bytes) -> tuple[int, bytes, bool]:
        """The status, the answer, and whether it is the host's own and not the platform's."""
        assert self._session is not None
        headers = sign(self._keys, "POST", target, body, self._now())
        headers["content-type"] = "application/json"
        where = URL(self._base + target, encoded=True)
        async with self._session.post(where, data=BytesIO(body), headers=headers, allow_redirects=False) as reply:
            answer = await reply.read()
            now = reply.headers.get("x-dp-now", "")
            ours = now.isascii() and now.isdigit()
            if ours:
                self._clock.note(int(now) * 1000)
            return reply.status, answer, ours


def _split(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
