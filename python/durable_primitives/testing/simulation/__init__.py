"""Deterministic simulation: a loop without real time, processes that come and go, a store that fails on schedule."""

from durable_primitives.testing.simulation.choices import Choices, Deviation, Point, Swarm, every_deviation
from durable_primitives.testing.simulation.errors import (
    EscapedSimulationError,
    InjectedError,
    ProcessCrashedError,
    SimulationError,
)
from durable_primitives.testing.simulation.escapes import Escape
from durable_primitives.testing.simulation.faults import FAULTS, KINDS
from durable_primitives.testing.simulation.handlers import Execution
from durable_primitives.testing.simulation.loop import SimulationLoop
from durable_primitives.testing.simulation.process import CallInFlight, SimulatedProcess
from durable_primitives.testing.simulation.simulation import Simulation
from durable_primitives.testing.simulation.trace import Trace, TraceEntry

__all__ = [
    "FAULTS",
    "KINDS",
    "CallInFlight",
    "Choices",
    "Deviation",
    "Escape",
    "EscapedSimulationError",
    "Execution",
    "InjectedError",
    "Point",
    "ProcessCrashedError",
    "SimulatedProcess",
    "Simulation",
    "SimulationError",
    "SimulationLoop",
    "Swarm",
    "Trace",
    "TraceEntry",
    "every_deviation",
]
