"""Hypothesis state machines of definitions: programs of client calls, time and failures, under the laws of the library.

A definition makes a machine in two lines; rules and invariants of your own are methods of the class::

    class Orders(QueueMachine, of=orders): ...
    TestOrders = Orders.TestCase
"""

from __future__ import annotations

from durable_primitives.testing.machines.buffer import BufferMachine
from durable_primitives.testing.machines.continuous import ContinuousMachine
from durable_primitives.testing.machines.queue import QueueMachine

__all__ = ["BufferMachine", "ContinuousMachine", "QueueMachine"]
