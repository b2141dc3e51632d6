"""For tests: applications on virtual time, simulations with faults, and the conformance suite of backends."""

from durable_primitives.testing.expectations import ANY
from durable_primitives.testing.primitives import (
    PendingAlarm,
    SimulationWarning,
    TestPrimitives,
    create_test_primitives,
)
from durable_primitives.testing.simulation import (
    Deviation,
    EscapedSimulationError,
    InjectedError,
    ProcessCrashedError,
    SimulationError,
    Trace,
    TraceEntry,
)

__all__ = [
    "ANY",
    "Deviation",
    "EscapedSimulationError",
    "InjectedError",
    "PendingAlarm",
    "ProcessCrashedError",
    "SimulationError",
    "SimulationWarning",
    "TestPrimitives",
    "Trace",
    "TraceEntry",
    "create_test_primitives",
]
