"""For tests: applications on virtual time, simulations with faults, and the conformance suite of backends.

What needs Hypothesis is imported when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from durable_primitives.testing.checking import Effects, PropertyViolation
from durable_primitives.testing.driving import PendingAlarm, SimulationWarning, TestPrimitives
from durable_primitives.testing.expectations import ANY
from durable_primitives.testing.primitives import create_test_primitives
from durable_primitives.testing.simulation import (
    Deviation,
    EscapedSimulationError,
    InjectedError,
    ProcessCrashedError,
    SimulationError,
    Trace,
    TraceEntry,
)
from durable_primitives.testing.tiers import CheckReport, CoverageError, check

if TYPE_CHECKING:
    from durable_primitives.testing.machines import BufferMachine, ContinuousMachine, QueueMachine
    from durable_primitives.testing.strategies import from_schema, register_strategy

__all__ = [
    "ANY",
    "BufferMachine",
    "CheckReport",
    "ContinuousMachine",
    "CoverageError",
    "Deviation",
    "Effects",
    "EscapedSimulationError",
    "InjectedError",
    "PendingAlarm",
    "ProcessCrashedError",
    "PropertyViolation",
    "QueueMachine",
    "SimulationError",
    "SimulationWarning",
    "TestPrimitives",
    "Trace",
    "TraceEntry",
    "check",
    "create_test_primitives",
    "from_schema",
    "register_strategy",
]

_NEEDS_HYPOTHESIS = {
    "BufferMachine": "durable_primitives.testing.machines",
    "ContinuousMachine": "durable_primitives.testing.machines",
    "QueueMachine": "durable_primitives.testing.machines",
    "from_schema": "durable_primitives.testing.strategies",
    "register_strategy": "durable_primitives.testing.strategies",
}


def __getattr__(name: str) -> Any:
    if name not in _NEEDS_HYPOTHESIS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(_NEEDS_HYPOTHESIS[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "hypothesis":
            raise
        raise ImportError(f"{name} needs Hypothesis; install durable-primitives[testing]") from error
