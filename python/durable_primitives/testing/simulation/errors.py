"""What goes wrong with a simulation itself, as opposed to what it finds."""

from __future__ import annotations

from durable_primitives.errors import DurablePrimitivesError


class SimulationError(DurablePrimitivesError):
    """The simulation cannot do what it was asked for, or cannot go on."""

    code = "simulation"
    help = "see docs/tutorial/testing.md"


class EscapedSimulationError(SimulationError):
    """Code that runs in a simulation reached for the real world: its clock, its randomness, a thread or the network.

    Attributes:
        function: What was called, for example ``"time.sleep"``.
        place: Where, for example ``"app.py:12 in deliver"``.
    """

    code = "escaped_simulation"

    def __init__(self, function: str, place: str, why: str, *, help: str) -> None:
        super().__init__(f"{function} was called at {place}: {why}", help=help)
        self.function = function
        self.place = place


class ProcessCrashedError(SimulationError):
    """The simulated process that made a call is gone: nobody knows whether the call took effect."""

    code = "process_crashed"
    help = "restart it, and repeat the call with the same id"

    def __init__(self, process: str) -> None:
        super().__init__(f"the process {process!r} has crashed")
        self.process = process


class InjectedError(Exception):
    """What a handler raises because a fault said so."""


class ProcessKilled(BaseException):
    """Ends the code that a simulated process is just executing, when that process crashes itself."""
