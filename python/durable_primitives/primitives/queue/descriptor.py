"""The descriptor of the queue primitive: its operations and its parts."""

from __future__ import annotations

from durable_primitives.kernel.primitive import Operation, Primitive
from durable_primitives.kernel.record import DeadLetter
from durable_primitives.kernel.transition import Accepted, CancelAnswer
from durable_primitives.primitives.queue.client import QueueClient
from durable_primitives.primitives.queue.executor import QueueExecutor
from durable_primitives.primitives.queue.inspection import InstanceCount, LettersRequest
from durable_primitives.primitives.queue.orchestrator import EnqueueRequest, IdsRequest, NoRequest, QueueOrchestrator

_OPERATIONS = (
    Operation(
        name="enqueue",
        mode="blind",
        handler="enqueue",
        summary="Accept events.",
        request=EnqueueRequest,
        reply=tuple[Accepted, ...],
    ),
    Operation(
        name="cancel",
        mode="blind",
        handler="cancel",
        summary="Take an event out, or ask its worker to stop.",
        request=IdsRequest,
        reply=CancelAnswer,
    ),
    Operation(
        name="pause",
        mode="decide",
        handler="pause",
        summary="Accept events and start none.",
        request=NoRequest,
        reply=bool,
    ),
    Operation(
        name="resume", mode="decide", handler="resume", summary="Go on after a pause.", request=NoRequest, reply=bool
    ),
    Operation(
        name="clear",
        mode="blind",
        handler="clear",
        summary="Drop the events that nobody runs.",
        request=NoRequest,
        reply=int,
    ),
    Operation(
        name="status",
        mode="query",
        handler="status",
        summary="Count the events of one instance.",
        request=NoRequest,
        reply=InstanceCount,
    ),
    Operation(
        name="indexes",
        mode="query",
        handler="indexes",
        summary="List the instances that hold anything.",
        request=NoRequest,
        reply=tuple[int, ...],
    ),
    Operation(
        name="letters",
        mode="query",
        handler="letters",
        summary="List the dead letters of one instance.",
        request=LettersRequest,
        reply=tuple[DeadLetter, ...],
    ),
    Operation(
        name="letter",
        mode="query",
        handler="letter",
        summary="Look one dead letter up.",
        request=str,
        reply=DeadLetter | None,
    ),
    Operation(
        name="redrive",
        mode="blind",
        handler="redrive",
        summary="Run dead letters again.",
        request=IdsRequest,
        reply=int,
    ),
    Operation(
        name="discard", mode="blind", handler="discard", summary="Delete dead letters.", request=IdsRequest, reply=int
    ),
)

QUEUE = Primitive(
    kind="queue",
    operations={operation.name: operation for operation in _OPERATIONS},
    orchestrator=QueueOrchestrator,
    executor=QueueExecutor,
    client=QueueClient,
)
