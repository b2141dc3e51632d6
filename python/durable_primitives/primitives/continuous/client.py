"""The typed client of a Continuous."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from durable_primitives.errors import Issue, ValidationError
from durable_primitives.events import bounded
from durable_primitives.kernel.ids import check_id
from durable_primitives.kernel.page import Page
from durable_primitives.kernel.primitive import Call
from durable_primitives.primitives.continuous.definition import ContinuousDefinition
from durable_primitives.primitives.continuous.requests import EndRequest, ListRequest, PlainRequest, StartRequest
from durable_primitives.primitives.continuous.results import (
    ContinuousState,
    ContinuousStatus,
    ContinuousSummary,
    IfExists,
    PauseResult,
    StartResult,
    StopResult,
    TerminateResult,
    TriggerResult,
)
