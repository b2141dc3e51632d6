"""Continuous: a durable repeating job per id, with its own state, cadence, retries and life."""

from durable_primitives.primitives.continuous.client import ContinuousClient
from durable_primitives.primitives.continuous.context import ContinuousContext
from durable_primitives.primitives.continuous.definition import Continuous, ContinuousDefinition
from durable_primitives.primitives.continuous.descriptor import CONTINUOUS
from durable_primitives.primitives.continuous.results import (
    ContinuousStatus,
    ContinuousSummary,
    PauseResult,
    StartResult,
    StopResult,
    TerminateResult,
    TriggerResult,
)

__all__ = [
    "CONTINUOUS",
    "Continuous",
    "ContinuousClient",
    "ContinuousContext",
    "ContinuousDefinition",
    "ContinuousStatus",
    "ContinuousSummary",
    "PauseResult",
    "StartResult",
    "StopResult",
    "TerminateResult",
    "TriggerResult",
]
