"""One codec over msgspec Structs, pydantic models, dataclasses, TypedDicts and builtin types.

`codec_for` reads a schema once and hands it to the library that enforces all of its rules (see `routing`); the
`Codec` it returns turns values into stored bytes and back.  What a codec encodes is known to decode.
"""

from __future__ import annotations

from durable_primitives.schema.codec import Codec, Migration, codec_for

__all__ = ["Codec", "Migration", "codec_for"]
