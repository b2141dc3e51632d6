"""What a backend that holds connections says to whoever opens it twice, or uses it closed or across a fork."""

from __future__ import annotations

import os
from typing import TypeVar

from durable_primitives.errors import BackendUnavailableError, StorageError
from durable_primitives.spi.backend import Backend

T = TypeVar("T")


def check_closed(opened: object | None, backend: Backend, *, name: str) -> None:
    """Raise a `StorageError` unless `opened`, what an open backend holds, is None."""
    if opened is not None:
        raise StorageError(
            f"{backend.url} is open already",
            backend=name,
            outcome="not_applied",
            help="make a backend for each namespace",
        )


def check_open(opened: T | None, backend: Backend, *, name: str, pid: int) -> T:
    """What an open backend holds; `pid` is the process that opened it.

    Raises:
        BackendUnavailableError: It is not open, or it was opened before a fork: two processes on one connection would
            drop each other's locks, or read each other's replies.
    """
    if opened is None:
        raise BackendUnavailableError(
            f"{backend.url} is not open", backend=name, outcome="not_applied", help="await open(namespace) first"
        )
    if os.getpid() != pid:
        raise BackendUnavailableError(
            f"{backend.url} was opened by process {pid} and is used by its child {os.getpid()}",
            backend=name,
            outcome="not_applied",
            help="open a backend in each process, after the fork",
        )
    return opened
