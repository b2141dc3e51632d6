"""What a client asks of an instance."""

from __future__ import annotations

from msgspec import Struct

from durable_primitives.primitives.continuous.results import ContinuousState, IfExists


class StartRequest(Struct, frozen=True):
    """Begin a life with this (encoded) state."""

    state: bytes
    if_exists: IfExists = "return_existing"


class EndRequest(Struct, frozen=True):
    """Stop or terminate."""

    reason: str | None = None


class PlainRequest(Struct, frozen=True):
    """The operation says it all."""


class ListRequest(Struct, frozen=True):
    """One page of the instances of a definition."""

    prefix: str = ""
    status: ContinuousState | None = None
    limit: int = 100
    cursor: str = ""
