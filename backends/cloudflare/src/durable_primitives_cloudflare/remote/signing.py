"""HMAC-SHA-256 over method, path, time, nonce and the hash of the body; ``host/signing.js`` is the other side."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping

from durable_primitives.errors import DefinitionError

WINDOW_SECONDS = 60.0
"""A signature is good for so long, in both directions of the clock."""

SHORTEST_KEY = 32


def parse_keys(given: str | Iterable[str], name: str) -> tuple[bytes, ...]:
    """One or two keys; text has them separated by a comma.  The first one signs, each of them verifies.

    Raises:
        DefinitionError: There are more, or none, or one is too short to be a secret.

    Example:
        >>> len(parse_keys("0123456789abcdef0123456789abcdef", "engine_keys"))
        1
    """
    keys = [key.strip() for key in (given.split(",") if isinstance(given, str) else given)]
    keys = [key for key in keys if key]
    if not 1 <= len(keys) <= 2 or any(len(key) < SHORTEST_KEY for key in keys):
        raise DefinitionError(
            f"{name} must be one or two keys of {SHORTEST_KEY} characters or more, got {len(keys)}",
            help="make one with: python -c 'import secrets; print(secrets.token_hex(32))'",
        )
    return tuple(key.encode() for key in keys)


def sign(keys: tuple[bytes, ...], method: str, path: str, body: bytes, now: int) -> dict[str, str]:
    """The headers of a request that is signed now, in milliseconds since the epoch."""
    time, nonce = str(now), os.urandom(16).hex()
    return {
        "x-dp-time": time,
        "x-dp-nonce": nonce,
        "x-dp-signature": _signature(keys[0], method, path, time, nonce, body),
    }


class Verifier:
    """Says whether a request is one that the host has signed, recently, and that is heard for the first time."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._keys = keys
        self._nonces: dict[str, float] = {}

    def accepts(self, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
        """`now` is the time in seconds since the epoch."""
        time, nonce, given = (headers.get(f"x-dp-{name}", "") for name in ("time", "nonce", "signature"))
        # All keys are tried, each in constant time.
        good = [hmac.compare_digest(_signature(key, method, path, time, nonce, body), given) for key in self._keys]
        if not any(good) or not given.isascii() or not 16 <= len(nonce) <= 64:
            return False
        if not time.isascii() or not time.isdigit() or abs(now - int(time) / 1000) > WINDOW_SECONDS:
            return False
        for old in [old for old, until in self._nonces.items() if until < now]:
            del self._nonces[old]
        if nonce in self._nonces:
            return False
        self._nonces[nonce] = now + 2 * WINDOW_SECONDS
        return True


def _signature(key: bytes, method: str, path: str, time: str, nonce: str, body: bytes) -> str:
    message = "\n".join((method, path, time, nonce, hashlib.sha256(body).hexdigest()))
    return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()
