"""The core: small exact data structures, in Rust where the extension is installed, in Python everywhere else.

Both implementations give identical answers; `implementation` says which one this process uses. The environment variable
``DURABLE_PRIMITIVES_CORE`` insists on one: with ``native`` a missing extension is an ImportError.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Literal

__all__ = [
    "AlarmHeap",
    "MemoryStore",
    "ReadyQueue",
    "SeenSet",
    "delay_ms",
    "implementation",
    "jump_hash",
    "place",
    "xxh3_64",
]

_NATIVE = "durable_primitives._core._native"
_REFERENCE = "durable_primitives._core._reference"
_CHOICE = "DURABLE_PRIMITIVES_CORE"


def _chosen() -> tuple[Literal["native", "reference"], ModuleType]:
    choice = os.environ.get(_CHOICE, "")
    if choice not in {"", "native", "reference"}:
        raise ImportError(f'{_CHOICE} must be "native", "reference" or unset, got "{choice}"')
    if choice != "reference":
        try:
            return "native", import_module(_NATIVE)
        except ModuleNotFoundError as error:
            if choice == "native":
                raise ImportError(f"{_CHOICE} is native, but there is no compiled core for this platform") from error
    return "reference", import_module(_REFERENCE)


implementation: Literal["native", "reference"]
implementation, _core = _chosen()

if TYPE_CHECKING:
    from durable_primitives._core._reference import (
        AlarmHeap,
        MemoryStore,
        ReadyQueue,
        SeenSet,
        delay_ms,
        jump_hash,
        place,
        xxh3_64,
    )
else:
    AlarmHeap = _core.AlarmHeap
    MemoryStore = _core.MemoryStore
    ReadyQueue = _core.ReadyQueue
    SeenSet = _core.SeenSet
    delay_ms = _core.delay_ms
    jump_hash = _core.jump_hash
    place = _core.place
    xxh3_64 = _core.xxh3_64
