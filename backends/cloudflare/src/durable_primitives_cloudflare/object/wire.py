"""Calls between a Worker and an object: MessagePack by the types that the descriptors state.

An error is a reply like any other: over the platform's RPC only its text would arrive.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from msgspec import Struct, msgpack

from durable_primitives import errors
from durable_primitives.errors import BackendUnavailableError, DurablePrimitivesError, Issue, PayloadTooLargeError
from durable_primitives.kernel.primitive import Operation

MAX_MESSAGE = (32 << 20) - 65_536
"""Bytes of a request or a reply.  The platform carries 32 MiB, names and envelope included."""


class _Failure(Struct, frozen=True):
    """An error without its cause: type, text, and the facts that it carries."""

    kind: str
    args: tuple[str, ...]
    facts: dict[str, str | int | float | bool | list[str] | None]
    issues: tuple[Issue, ...] = ()


class _Answer(Struct, frozen=True):
    """A reply, encoded, or why there is none."""

    reply: bytes = b""
    failure: _Failure | None = None


@cache
def _decoder(kind: Any) -> msgpack.Decoder[Any]:
    return msgpack.Decoder(kind)


def encode_request(request: object) -> bytes:
    """What goes to the object.

    Raises:
        PayloadTooLargeError: The platform does not carry so much.
    """
    return _carried(msgpack.encode(request), "request")


def decode_request(operation: Operation, data: bytes) -> Any:
    """What came to the object."""
    return _decoder(operation.request).decode(data)


def encode_reply(reply: object) -> bytes:
    """What goes back.

    Raises:
        PayloadTooLargeError: The platform does not carry so much.
    """
    return _carried(msgpack.encode(_Answer(msgpack.encode(reply))), "reply")


def encode_error(error: DurablePrimitivesError) -> bytes:
    """What goes back instead."""
    facts = {name: value for name, value in vars(error).items() if _is_plain(value)}
    args = tuple(str(argument) for argument in error.args)
    return msgpack.encode(_Answer(failure=_Failure(type(error).__name__, args, facts, getattr(error, "issues", ()))))


def decode_reply(operation: Operation, data: bytes) -> Any:
    """What came back: returned, or raised."""
    answer = _decoder(_Answer).decode(data)
    if answer.failure is not None:
        raise _error_of(answer.failure)
    return _decoder(operation.reply).decode(answer.reply)


def _carried(message: bytes, what: str) -> bytes:
    if len(message) > MAX_MESSAGE:
        raise PayloadTooLargeError(len(message), MAX_MESSAGE, what)
    return message


def _error_of(failure: _Failure) -> DurablePrimitivesError:
    kind = getattr(errors, failure.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, DurablePrimitivesError)):
        # A Worker that is older than the object.
        kind = BackendUnavailableError
    error = kind.__new__(kind, *failure.args)
    error.args = failure.args
    vars(error).update({name: tuple(fact) if isinstance(fact, list) else fact for name, fact in failure.facts.items()})
    if failure.issues:
        vars(error)["issues"] = failure.issues
    return error


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(one, str) for one in cast("tuple[object, ...]", value))
    return isinstance(value, str | int | float | bool | None)
