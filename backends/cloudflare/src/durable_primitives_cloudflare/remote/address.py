"""What the URL of a store says."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from durable_primitives.errors import DefinitionError

_PREFIX = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_OPTIONS = {"prefix", "partitions", "timeout", "listen", "recheck"}
_SCHEMES = {"cloudflare+https": "https", "cloudflare+http": "http"}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Settings(Struct, frozen=True, kw_only=True):
    """Where a store is and how it is used.  Raises `DefinitionError` for what cannot be meant."""

    prefix: str = "dp"
    partitions: int = 1
    timeout_s: float = 10.0
    listen: tuple[str, int] | None = None
    recheck_s: float | None = None

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise DefinitionError(f"prefix must be 1 to 64 letters, digits, '_', '-' or '.', got {self.prefix!r}")
        if not 1 <= self.partitions <= 1024:
            raise DefinitionError(f"partitions must be between 1 and 1024, got {self.partitions!r}")
        for name, seconds in (("timeout", self.timeout_s), ("recheck", self.recheck_s)):
            if seconds is not None and not seconds > 0:
                raise DefinitionError(f"{name} must be above 0 seconds, got {seconds!r}")

    @property
    def look_seconds(self) -> float:
        """How often a sleeping worker looks by itself."""
        if self.recheck_s is not None:
            return self.recheck_s
        return 1.0 if self.listen is None else 10.0


def host_of(url: str) -> str:
    """The host's own URL, ``https://…``.

    Raises:
        DefinitionError: It is not one of a host, holds a password, or leaves the machine unencrypted.

    Example:
        >>> host_of("cloudflare+https://primitives.example.com/")
        'https://primitives.example.com'
    """
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise DefinitionError(f"{parts.scheme}://{parts.hostname or ''} is no URL of a host: cloudflare+https://name")
    if parts.username or parts.password:
        raise DefinitionError("keys do not belong into a URL", help="give them as engine_keys and host_keys")
    if scheme == "http" and parts.hostname not in _LOOPBACK:
        raise DefinitionError(f"cloudflare+http:// is for a host on this machine, not for {parts.hostname}")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def settings_of(url: str) -> Settings:
    """The options of a URL.

    Example:
        >>> settings_of("cloudflare+https://name?prefix=shop&listen=0.0.0.0:8787").listen
        ('0.0.0.0', 8787)
    """
    options = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise DefinitionError(f"unknown options {', '.join(unknown)}: there are {', '.join(sorted(_OPTIONS))}")
    try:
        return Settings(
            prefix=options.get("prefix", "dp"),
            partitions=int(options.get("partitions", 1)),
            timeout_s=float(options.get("timeout", 10.0)),
            listen=_listen(options["listen"]) if "listen" in options else None,
            recheck_s=float(options["recheck"]) if "recheck" in options else None,
        )
    except ValueError:
        raise DefinitionError(
            "partitions is a whole number, timeout and recheck are seconds, listen is address:port"
        ) from None


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)
