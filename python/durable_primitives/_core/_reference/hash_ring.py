"""Which of N buckets a key belongs to.

Placements are persisted behaviour, pinned by golden vectors: they are the same in every language and release.
"""

from __future__ import annotations

from durable_primitives._core._reference.invalid_argument import invalid_argument
from durable_primitives._core._reference.xxh3 import xxh3_64

__all__ = ["jump_hash", "place", "xxh3_64"]

_LCG_MULTIPLIER = 2862933555777941757
_LARGEST_KEY = 2**64 - 1
_MAX_BUCKETS = 2**31 - 1


def jump_hash(key: int, buckets: int) -> int:
    """Return the bucket of a 64-bit key, 0 to `buckets` - 1, evenly spread.

    With one more bucket about 1 / (`buckets` + 1) of the keys move, all of them to the new one. This is jump consistent
    hash: John Lamping and Eric Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm" (2014).

    Raises:
        OverflowError: `key` is not an unsigned 64-bit integer.
        ValueError: `buckets` is not 1 to 2^31 - 1.

    Example:
        >>> jump_hash(256, 1024)
        520
    """
    if not 0 <= key <= _LARGEST_KEY:
        raise OverflowError(f"key must be an unsigned 64-bit integer, got {key}")
    if not 1 <= buckets <= _MAX_BUCKETS:
        raise invalid_argument("buckets", f"1 to {_MAX_BUCKETS}", buckets)
    state, bucket, following = key, 0, 0
    while following < buckets:
        bucket = following
        state = (state * _LCG_MULTIPLIER + 1) & _LARGEST_KEY
        random_bits = state >> 33
        following = int((bucket + 1) * (2.0**31 / (random_bits + 1)))
    return bucket


def place(key: str, buckets: int) -> int:
    """Return the bucket of a text key, 0 to `buckets` - 1: `jump_hash` over `xxh3_64` of its UTF-8 bytes.

    Raises:
        ValueError: `buckets` is not 1 to 2^31 - 1.

    Example:
        >>> place("user-42", 5)
        4
    """
    return jump_hash(xxh3_64(key.encode()), buckets)
