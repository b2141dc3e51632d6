"""What a primitive encodes itself, beside the user's payloads: a MessagePack array that begins with its format."""

from __future__ import annotations

from typing import Annotated, Protocol, TypeVar

import msgspec
from msgspec import Meta

from durable_primitives.errors import SerializationError

Instant = Annotated[int, Meta(ge=0, le=221_845_392_000_000)]
"""A stored time, in milliseconds since the epoch: of the years 1970 to 8999, so that a damaged one is found when it is
read, and not in the middle of a run that makes a `datetime` of it."""

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
"""A stored number of things."""


class Versioned(Protocol):
    """A struct whose first field says which format it has."""

    @property
    def format(self) -> int: ...


V = TypeVar("V", bound=Versioned)


def decode_versioned(decoder: msgspec.msgpack.Decoder[V], data: bytes, what: str, *, newest: int) -> V:
    """Read what a store gave back.

    Raises:
        SerializationError: A newer release wrote it (``newer_schema``), or it is damaged (``corrupted``).
    """
    try:
        value = decoder.decode(data)
    except MemoryError:
        raise
    except Exception as error:
        # Damaged bytes make msgspec raise more than its own errors: for text that is no UTF-8, for deep nesting.
        raise SerializationError(
            what, expected=f"format {newest}", found="bytes that do not decode", code="corrupted"
        ) from error
    if value.format > newest:
        raise SerializationError(
            what, expected=f"format {newest} or older", found=f"format {value.format}", code="newer_schema"
        )
    return value
