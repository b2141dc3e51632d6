"""The descriptor of the Continuous primitive: its operations and its parts."""

from __future__ import annotations

from durable_primitives.kernel.primitive import Operation, Primitive
from durable_primitives.primitives.continuous.client import ContinuousClient
from durable_primitives.primitives.continuous.executor import ContinuousExecutor
from durable_primitives.primitives.continuous.orchestrator import ContinuousOrchestrator

_OPERATIONS = (
    Operation(name="start", mode="decide", handler="start", summary="Begin to repeat, with this state."),
    Operation(name="stop", mode="decide", handler="stop", summary="Repeat no more; the state is kept."),
    Operation(name="terminate", mode="decide", handler="terminate", summary="Delete the instance and its state."),
    Operation(name="trigger", mode="decide", handler="trigger", summary="Run once more, now."),
    Operation(name="pause", mode="decide", handler="pause", summary="Begin no run until it is resumed."),
    Operation(name="resume", mode="decide", handler="resume", summary="Go on after a pause."),
    Operation(name="status", mode="query", handler="status", summary="Look at one instance."),
    Operation(name="get_state", mode="query", handler="get_state", summary="Read the state of one instance."),
    Operation(name="list", mode="query", handler="list", summary="List the instances."),
)

CONTINUOUS = Primitive(
    kind="continuous",
    operations={operation.name: operation for operation in _OPERATIONS},
    orchestrator=ContinuousOrchestrator,
    executor=ContinuousExecutor,
    client=ContinuousClient,
)
