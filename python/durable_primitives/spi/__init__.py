"""The seam: what a backend gives and what the engine asks of it.

A backend needs this, the kernel's types and the errors, and nothing else.

A `Backend` is a `Storage` and a `Scheduler` in one object; `Runtime` is the only door for time, randomness and ids.
Backends of one process wake its worker by a `Bell`; those of several share `Watch`, which looks for itself as well, and
those that talk to a service `StoreClock` (its time), `TimedBell` (what comes nearer), `Lifeline` (their leases, from a
thread), `split`, `gathered` and `raise_failure`.
"""

from durable_primitives._core import xxh3_64
from durable_primitives.spi.backend import AuthorityClock, Backend, Capabilities, Reply, Scheduler, Storage
from durable_primitives.spi.clock import StoreClock
from durable_primitives.spi.damage import DamageLog, damaged_instance
from durable_primitives.spi.lifeline import Lifeline
from durable_primitives.spi.loading import open_backend
from durable_primitives.spi.opening import check_closed, check_open
from durable_primitives.spi.runtime import Runtime, SystemRuntime
from durable_primitives.spi.spreading import gathered, raise_failure, split
from durable_primitives.spi.waking import Bell, TimedBell, Watch

__all__ = [
    "AuthorityClock",
    "Backend",
    "Bell",
    "Capabilities",
    "DamageLog",
    "Lifeline",
    "Reply",
    "Runtime",
    "Scheduler",
    "Storage",
    "StoreClock",
    "SystemRuntime",
    "TimedBell",
    "Watch",
    "check_closed",
    "check_open",
    "damaged_instance",
    "gathered",
    "open_backend",
    "raise_failure",
    "split",
    "xxh3_64",
]
