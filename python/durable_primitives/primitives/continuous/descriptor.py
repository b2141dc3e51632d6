"""The descriptor of the Continuous primitive: its operations and its parts."""

from __future__ import annotations

from durable_primitives.kernel.page import Page
from durable_primitives.kernel.primitive import Operation, Primitive
from durable_primitives.primitives.continuous.client import ContinuousClient
from durable_primitives.primitives.continuous.executor import ContinuousExecutor
from durable_primitives.primitives.continuous.orchestrator import ContinuousOrchestrator
from durable_primitives.primitives.continuous.requests import EndRequest, ListRequest, PlainRequest, StartRequest
from durable_primitives.primitives.continuous.results import (
    ContinuousStatus,
    ContinuousSummary,
    PauseResult,
    StartResult,
    StopResult,
    TerminateResult,
    TriggerResult,
)

_OPERATIONS = (
    Operation(
        name="start",
        mode="decide",
        handler="start",
        summary="Begin to repeat, with this state.",
        request=StartRequest,
        reply=StartResult,
    ),
    Operation(
        name="stop",
        mode="decide",
        handler="stop",
        summary="Repeat no more; the state is kept.",
        request=EndRequest,
        reply=StopResult,
    ),
    Operation(
        name="terminate",
        mode="decide",
        handler="terminate",
        summary="Delete the instance and its state.",
        request=EndRequest,
        reply=TerminateResult,
    ),
    Operation(
        name="trigger",
        mode="decide",
        handler="trigger",
        summary="Run once more, now.",
        request=PlainRequest,
        reply=TriggerResult,
    ),
    Operation(
        name="pause",
        mode="decide",
        handler="pause",
        summary="Begin no run until it is resumed.",
        request=PlainRequest,
        reply=PauseResult,
    ),
    Operation(
        name="resume",
        mode="decide",
        handler="resume",
        summary="Go on after a pause.",
        request=PlainRequest,
        reply=PauseResult,
    ),
    Operation(
        name="status",
        mode="query",
        handler="status",
        summary="Look at one instance.",
        request=PlainRequest,
        reply=ContinuousStatus,
    ),
    Operation(
        name="get_state",
        mode="query",
        handler="get_state",
        summary="Read the state of one instance.",
        request=PlainRequest,
        reply=bytes | None,
    ),
    Operation(
        name="list",
        mode="query",
        handler="list",
        summary="List the instances.",
        request=ListRequest,
        reply=Page[ContinuousSummary],
    ),
)

CONTINUOUS = Primitive(
    kind="continuous",
    operations={operation.name: operation for operation in _OPERATIONS},
    orchestrator=ContinuousOrchestrator,
    executor=ContinuousExecutor,
    client=ContinuousClient,
)
