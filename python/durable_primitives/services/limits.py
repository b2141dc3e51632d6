"""What a store takes at most of one thing, said to whoever sends it and before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from durable_primitives.errors import PayloadTooLargeError

T = TypeVar("T")


def limited(encode: Callable[[T], bytes], limit: int | None, what: str) -> Callable[[T], bytes]:
    """`encode`, with an end to how long its answers may be; `encode` itself where there is no limit.

    Raises:
        PayloadTooLargeError: By what is returned, for a longer one.

    Example:
        >>> encode = limited(str.encode, 3, "event")
        >>> try:
        ...     encode("four")
        ... except PayloadTooLargeError as error:
        ...     error.message
        'the event is 4 bytes long and the limit is 3'
    """
    if limit is None:
        return encode

    def encode_within(value: T) -> bytes:
        payload = encode(value)
        if len(payload) > limit:
            raise PayloadTooLargeError(len(payload), limit, what)
        return payload

    return encode_within
