"""The four bytes in front of every stored payload: what is needed to read it, or to say why it cannot be read.

byte 0      0xC1, the one byte that neither MessagePack nor JSON text can begin with, so a bare payload of either
            is never taken for an envelope
byte 1      the format of the body: ``m`` for MessagePack, ``j`` for JSON
bytes 2, 3  the schema version, 1 to 65535, big-endian
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from durable_primitives.errors import SerializationError

Format = Literal["msgpack", "json"]

SIZE: Final = 4
MAX_VERSION: Final = 0xFFFF
_MARK: Final = 0xC1
_FORMATS: Final[dict[int, Format]] = {ord("m"): "msgpack", ord("j"): "json"}
_BYTES: Final = {name: byte for byte, name in _FORMATS.items()}


class Envelope(NamedTuple):
    """What the header says."""

    format: Format
    version: int


def write(format: Format, version: int) -> bytes:
    """The header of a body in `format` that was encoded with schema `version`."""
    return bytes((_MARK, _BYTES[format])) + version.to_bytes(2, "big")


def read(data: bytes, schema_name: str) -> Envelope:
    """The header of stored `data`, or a `SerializationError` with code ``not_an_envelope``."""
    format = _FORMATS.get(data[1]) if len(data) >= SIZE and data[0] == _MARK else None
    version = int.from_bytes(data[2:SIZE], "big")
    if format is None or version == 0:
        raise SerializationError(
            schema_name,
            expected="a payload with a header",
            found=f"{len(data)} bytes without one",
            code="not_an_envelope",
            help="these bytes were not written by this SDK, or were damaged; they are left untouched",
        )
    return Envelope(format, version)
