"""Runs user code: claim, commit, run, commit."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec import structs

from durable_primitives.durations import format_ms
from durable_primitives.errors import DefinitionError, DurablePrimitivesError, SerializationError
from durable_primitives.events import ErrorInfo
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.record import Record
from durable_primitives.logs import bind_context, get_logger
from durable_primitives.primitives.continuous.attempt import Attempt
from durable_primitives.primitives.continuous.context import ContinuousContext
from durable_primitives.primitives.continuous.endings import Abandoned, Ended, Ending, Postponed, Raised, Returned, RunRef
from durable_primitives.primitives.continuous.runs import Runs
from durable_primitives.primitives.continuous.stored import Stored
from durable_primitives.services.environment import Environment
from durable_primitives.services.invocation import AsyncHandler
from durable_primitives.services.metadata import park_failed
from durable_primitives.services.ownership import Ownership
from durable_primitives.services.state import StateManager
from durable_primitives.signals import Cancel, Signal, Snooze

if TYPE_CHECKING:
    from durable_primitives.primitives.continuous.definition import ContinuousDefinition

MAX_DELIVERIES = 5
"""Claims of one run without an outcome; one more is a crash loop."""
