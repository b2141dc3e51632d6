"""The seam: what a backend gives and what the engine asks of it.

A backend needs this, the kernel's types and the errors, and nothing else.

A `Backend` is a `Storage` and a `Scheduler` in one object; `Runtime` is the only door for time, randomness and ids.
"""

from durable_primitives._core import xxh3_64
from durable_primitives.spi.backend import AuthorityClock, Backend, Capabilities, Reply, Scheduler, Storage
from durable_primitives.spi.loading import open_backend
from durable_primitives.spi.opening import check_closed, check_open
from durable_primitives.spi.runtime import Runtime, SystemRuntime

__all__ = [
    "AuthorityClock",
    "Backend",
    "Capabilities",
    "Reply",
    "Runtime",
    "Scheduler",
    "Storage",
    "SystemRuntime",
    "check_closed",
    "check_open",
    "open_backend",
    "xxh3_64",
]
