"""What a queue stores in its record: which of its events may have killed a process and were not begun again since.

A MessagePack array that begins with the version of its format; new fields are added at the end, with defaults.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from durable_primitives.kernel.record import Record
from durable_primitives.services.versioned import Count, decode_versioned

FORMAT: Final = 1

MAX_SUSPECTS: Final = 1000
"""So many are remembered, the youngest; an owner has fewer events in hand."""


class Stored(Struct, frozen=True, array_like=True, gc=False):
    """The record's own part."""

    format: int = FORMAT
    suspects: tuple[Count, ...] = ()
    """Sequence numbers, in order."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Stored)


def suspects_of(record: Record) -> frozenset[int]:
    """Those that are remembered.

    Raises:
        SerializationError: They were written by a newer release, or are damaged.
    """
    if not record.data:
        return frozenset()
    return frozenset(decode_versioned(_decoder, record.data, "queue record", newest=FORMAT).suspects)


def encode(suspects: Iterable[int]) -> bytes:
    """The bytes to store; none for none."""
    kept = tuple(sorted(suspects)[-MAX_SUSPECTS:])
    return _encoder.encode(Stored(suspects=kept)) if kept else b""
