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
    """Back from `encode_failure`.  A damaged text is no reason to refuse the work that it stands beside."""
    if text is None:
        return None
    try:
        return _decoder.decode(text)
    except MemoryError:
        raise
    except Exception:
        return ErrorInfo("unknown", "what was stored about this failure cannot be read")
