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
    Escape,
    EscapedSimulationError,
    InjectedError,
    Point,
    ProcessCrashedError,
    Simulation,
    SimulationError,
    Swarm,
    Trace,
    TraceEntry,
    every_deviation,
)

__all__ = [
    "ANY",
    "Deviation",
    "Escape",
    "EscapedSimulationError",
    "InjectedError",
    "PendingAlarm",
    "Point",
    "ProcessCrashedError",
    "Simulation",
    "SimulationError",
    "SimulationWarning",
    "Swarm",
    "TestPrimitives",
    "Trace",
    "TraceEntry",
    "create_test_primitives",
    "every_deviation",
]
