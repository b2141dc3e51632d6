"""From a URL to a backend, through the entry-point group ``durable_primitives.backends``."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from durable_primitives.errors import DefinitionError
from durable_primitives.spi.backend import Backend

GROUP = "durable_primitives.backends"


class BackendFactory(Protocol):
    """What an entry point of the group names: a class or function that makes a closed backend from its URL."""

    def from_url(self, url: str) -> Backend: ...


def open_backend(where: str | Backend) -> Backend:
    """The backend that a URL names (or the given one), not yet opened.

    Raises `DefinitionError` for what is no URL, or one with a scheme that no installed distribution provides.
    """
    if not isinstance(where, str):
        return where
    # Costly to import, and needed once per process.
    from importlib.metadata import entry_points

    try:
        where.encode()  # a lone surrogate
        scheme = urlsplit(where).scheme
    except ValueError as error:
        raise DefinitionError(
            f"the backend is given as something that is no URL ({error})", help="write for example sqlite:///app.db"
        ) from None
    for point in entry_points(group=GROUP, name=scheme):
        factory: BackendFactory = point.load()
        return factory.from_url(where)
    known = sorted({point.name for point in entry_points(group=GROUP)})
    raise DefinitionError(
        f"no backend for the URL scheme {scheme!r}",
        help=f"use one of {', '.join(f'{name}://' for name in known)}, "
        "or install the distribution that brings it, for example durable-primitives[redis]",
    )
