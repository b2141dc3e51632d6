"""What must hold in every history, whatever goes wrong: the promises of the library as observers of a simulation.

A law has a name, which is stable, and a sentence.  It knows no backend and no single definition: it sees what was asked
of the store, what the store answered, which handlers ran, and what callers were told.
"""

from durable_primitives.testing.laws.observing import Observer, Violation
from durable_primitives.testing.laws.watch import LAWS, Watch

__all__ = ["LAWS", "Observer", "Violation", "Watch"]
