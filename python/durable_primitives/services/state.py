"""State as user code sees it: decoded afresh for every attempt, and known to be readable before it is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from durable_primitives.schema import Codec
from durable_primitives.services.limits import limited

S = TypeVar("S")


class StateManager(Generic[S]):
    """The state of one attempt at user code.

    The stored bytes are the truth: `value` is decoded from them, so nothing that an earlier attempt did to its copy can
    show.  Changes stay here, as `changed`, until somebody commits them; whoever does not has changed nothing.

    Raises:
        SerializationError: The stored bytes cannot be read.

    Example:
        >>> from durable_primitives.schema import codec_for
        >>> codec = codec_for(list[int])
        >>> state = StateManager(codec, codec.encode([1]))
        >>> state.update(lambda numbers: [*numbers, 2])
        >>> state.value, codec.decode(state.changed)
        ([1, 2], [1, 2])
    """

    __slots__ = ("_codec", "_encode", "_stored", "changed", "value")

    def __init__(self, codec: Codec[S], stored: bytes, max_payload: int | None = None) -> None:
        self._codec = codec
        self._encode = limited(codec.encode, max_payload, "state")
        self._stored = stored
        self.value: S = codec.decode(stored)
        self.changed: bytes | None = None
        """What is to be stored, if `value` was set since the last `mark_saved`."""

    def set(self, value: S) -> None:
        """Take a new value, as it is now: what happens to the object afterwards changes nothing.

        Raises:
            ValidationError: It does not fit the schema.  The state is as it was.
            PayloadTooLargeError: The store does not take so much.  The state is as it was.
        """
        changed = self._encode(value)
        self.value = self._codec.decode(changed)
        self.changed = changed

    def update(self, change: Callable[[S], S]) -> None:
        """`set` what `change` makes of the value."""
        self.set(change(self.value))

    def mark_saved(self, saved: bytes) -> None:
        """`saved` has been stored; a change that was made while that took is still to be."""
        self._stored = saved
        if self.changed is saved:
            self.changed = None

    def discard(self) -> None:
        """Forget what was not stored."""
        if self.changed is not None:
            self.changed = None
            self.value = self._codec.decode(self._stored)
