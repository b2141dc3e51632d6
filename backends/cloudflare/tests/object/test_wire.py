"""What crosses between a Worker and an object arrives as it was."""

from __future__ import annotations

import pytest
from msgspec import msgpack

from durable_primitives.errors import (
    BackendUnavailableError,
    DurablePrimitivesError,
    InvalidStateError,
    Issue,
    PayloadTooLargeError,
    PrimitiveNotFoundError,
    QueueFullError,
    ReducerError,
    StorageError,
    ValidationError,
)
from durable_primitives_cloudflare.object.client import OPERATIONS
from durable_primitives_cloudflare.object.wire import decode_reply, encode_error

ERRORS = [
    InvalidStateError(("scheduled", "running"), "stopped", "trigger"),
    PayloadTooLargeError(3, 2, "event"),
    PrimitiveNotFoundError("queue", "mial", ["mail"]),
    QueueFullError(1, 1),
    ReducerError("buffer:notes:a", "e1", cause=ValueError("not to be told")),
    StorageError("no", backend="cloudflare", outcome="not_applied", help="try again"),
    ValidationError("Order", (Issue("$.qty", "must be positive", "range"),)),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_arrives_with_its_facts(error: DurablePrimitivesError):
    _, operation = OPERATIONS["queue_enqueue"]
    with pytest.raises(type(error)) as caught:
        decode_reply(operation, encode_error(error))

    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert vars(caught.value) == vars(error)
    assert "not to be told" not in repr(encode_error(error))


def test_error_of_a_newer_object_is_still_ours():
    class LaterError(DurablePrimitivesError): ...

    with pytest.raises(BackendUnavailableError, match="in the future"):
        decode_reply(OPERATIONS["queue_enqueue"][1], encode_error(LaterError("in the future")))


@pytest.mark.parametrize("method", OPERATIONS)
def test_every_operation_says_what_it_takes_and_gives(method: str):
    _, operation = OPERATIONS[method]
    msgpack.Decoder(operation.request)
    msgpack.Decoder(operation.reply)
