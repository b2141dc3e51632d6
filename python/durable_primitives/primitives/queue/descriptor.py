"""The descriptor of the queue primitive: its operations and its parts."""

from __future__ import annotations

from durable_primitives.kernel.primitive import Operation, Primitive
from durable_primitives.primitives.queue.client import QueueClient
from durable_primitives.primitives.queue.executor import QueueExecutor
from durable_primitives.primitives.queue.orchestrator import QueueOrchestrator

_OPERATIONS = (
    Operation(name="enqueue", mode="blind", handler="enqueue", summary="Accept events."),
    Operation(name="cancel", mode="blind", handler="cancel", summary="Take an event out, or ask its worker to stop."),
    Operation(name="pause", mode="decide", handler="pause", summary="Accept events and start none."),
    Operation(name="resume", mode="decide", handler="resume", summary="Go on after a pause."),
    Operation(name="clear", mode="blind", handler="clear", summary="Drop the events that nobody runs."),
    Operation(name="status", mode="query", handler="status", summary="Count the events of one instance."),
    Operation(name="indexes", mode="query", handler="indexes", summary="List the instances that hold anything."),
    Operation(name="letters", mode="query", handler="letters", summary="List the dead letters of one instance."),
    Operation(name="letter", mode="query", handler="letter", summary="Look one dead letter up."),
    Operation(name="redrive", mode="blind", handler="redrive", summary="Run dead letters again."),
    Operation(name="discard", mode="blind", handler="discard", summary="Delete dead letters."),
)

QUEUE = Primitive(
    kind="queue",
    operations={operation.name: operation for operation in _OPERATIONS},
    orchestrator=QueueOrchestrator,
    executor=QueueExecutor,
    client=QueueClient,
)
