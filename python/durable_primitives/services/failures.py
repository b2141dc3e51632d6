"""Failures as they are stored: `ErrorInfo`, never the exception itself."""

from __future__ import annotations

import msgspec

from durable_primitives.events import ErrorInfo

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ErrorInfo)


def encode_failure(error: ErrorInfo) -> str:
    """The text that is stored beside the work."""
    return _encoder.encode(error).decode()


def decode_failure(text: str | None) -> ErrorInfo | None:
    """Back from `encode_failure`."""
    return None if text is None else _decoder.decode(text)
