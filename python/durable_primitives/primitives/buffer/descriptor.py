"""The descriptor of the buffer primitive: its operations and its parts."""

from __future__ import annotations

from collections.abc import Sequence

from durable_primitives.kernel.page import Page
from durable_primitives.kernel.primitive import Operation, Primitive
from durable_primitives.kernel.record import DeadLetter
from durable_primitives.primitives.buffer.adding import AddRequest
from durable_primitives.primitives.buffer.client import BufferClient
from durable_primitives.primitives.buffer.executor import BufferExecutor
from durable_primitives.primitives.buffer.orchestrator import BufferOrchestrator, NoRequest
from durable_primitives.primitives.buffer.queries import InstancesRequest, LettersRequest
from durable_primitives.primitives.buffer.results import (
    AddResult,
    BufferStatus,
    BufferSummary,
    ClearResult,
    FlushReceipt,
)
from durable_primitives.primitives.buffer.stored import Batch


def _event_ids(request: AddRequest) -> Sequence[str]:
    return [item.id for item in request if item.id is not None]


def _flush_id(request: str) -> Sequence[str]:
    return (request,)


_OPERATIONS = (
    Operation(
        name="add",
        mode="blind",
        handler="add",
        summary="Append events to the open batch.",
        request=AddRequest,
        reply=list[AddResult],
    ),
    Operation(
        name="fold",
        mode="decide",
        handler="fold",
        summary="Fold events into the open batch.",
        request=AddRequest,
        reply=list[AddResult],
        receipts=_event_ids,
    ),
    Operation(
        name="flush",
        mode="decide",
        handler="flush",
        summary="Seal the open batch now.",
        request=NoRequest,
        reply=FlushReceipt,
    ),
    Operation(
        name="clear",
        mode="decide",
        handler="clear",
        summary="Drop the open batch.",
        request=NoRequest,
        reply=ClearResult,
    ),
    Operation(
        name="status",
        mode="query",
        handler="status",
        summary="Where an instance stands.",
        request=NoRequest,
        reply=BufferStatus,
    ),
    Operation(
        name="get_state",
        mode="query",
        handler="state",
        summary="Read the open batch.",
        request=NoRequest,
        reply=Batch | None,
    ),
    Operation(
        name="list",
        mode="query",
        handler="instances",
        summary="List instances.",
        request=InstancesRequest,
        reply=Page[BufferSummary],
    ),
    Operation(
        name="dead_letters",
        mode="query",
        handler="letters",
        summary="List dead letters.",
        request=LettersRequest,
        reply=Page[DeadLetter],
    ),
    Operation(
        name="dead_letter",
        mode="query",
        handler="letter",
        summary="Look one dead letter up.",
        request=str,
        reply=DeadLetter | None,
    ),
    Operation(
        name="redrive",
        mode="decide",
        handler="redrive",
        summary="Flush a dead letter again.",
        request=str,
        reply=int,
        letters=_flush_id,
    ),
    Operation(
        name="discard",
        mode="decide",
        handler="discard",
        summary="Delete a dead letter.",
        request=str,
        reply=int,
        letters=_flush_id,
    ),
)

BUFFER = Primitive(
    kind="buffer",
    operations={operation.name: operation for operation in _OPERATIONS},
    orchestrator=BufferOrchestrator,
    executor=BufferExecutor,
    client=BufferClient,
)
