"""Durable background primitives per entity: repeating jobs, buffers and queues that survive a crash.

Define with `Continuous.make`, `Buffer.make` and `Queue.make`, put an application together with
`create_durable_primitives`, and open it on a backend by URL.
"""

from typing import TYPE_CHECKING, Any

from durable_primitives.app import DurablePrimitives, Running, create_durable_primitives
from durable_primitives.client import PrimitivesClient
from durable_primitives.durations import Duration
from durable_primitives.engine.engine import DurablePrimitivesEngine
from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.errors import (
    BackendUnavailableError,
    CrashLoopError,
    DefinitionError,
    DurablePrimitivesError,
    ExecutionError,
    InstanceNotFoundError,
    InvalidStateError,
    LeaseLostError,
    PayloadTooLargeError,
    PrimitiveNotFoundError,
    QueueFullError,
    ReducerError,
    RetryExhaustedError,
    SchedulerError,
    SerializationError,
    StorageBusyError,
    StorageCorruptedError,
    StorageError,
    StorageFullError,
    StorageNotRecognizedError,
    StorageReadOnlyError,
    StorageSchemaTooNewError,
    ValidationError,
)
from durable_primitives.events import (
    EventTracker,
    HttpBatchTracker,
    InMemoryTracker,
    MultiTracker,
    NoopTracker,
    PrimitiveEvent,
    StructlogTracker,
)
from durable_primitives.kernel.page import Page
from durable_primitives.primitives.buffer import (
    AddResult,
    Buffer,
    BufferClient,
    BufferDeadLetter,
    BufferDeadLetterContext,
    BufferDefinition,
    BufferEventContext,
    BufferExecuteContext,
    BufferStatus,
    BufferSummary,
    ClearResult,
    FlushReceipt,
    Reduce,
)
from durable_primitives.primitives.continuous import (
    Continuous,
    ContinuousClient,
    ContinuousContext,
    ContinuousDefinition,
    ContinuousStatus,
    ContinuousSummary,
    PauseResult,
    StartResult,
    StopResult,
    TerminateResult,
    TriggerResult,
)
from durable_primitives.primitives.queue import (
    CancelResult,
    DeadLetterRecord,
    DrainResult,
    Enqueue,
    EnqueueResult,
    Queue,
    QueueClient,
    QueueDeadLetterContext,
    QueueDefinition,
    QueueExecuteContext,
    QueueStatus,
)
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Cancel, DeadLetter, Retry, Snooze

if TYPE_CHECKING:
    from durable_primitives.backends.memory import MemoryBackend
    from durable_primitives.backends.sqlite import SQLiteBackend

__version__ = "0.1.0"

__all__ = [
    "AddResult",
    "BackendUnavailableError",
    "Backoff",
    "Buffer",
    "BufferClient",
    "BufferDeadLetter",
    "BufferDeadLetterContext",
    "BufferDefinition",
    "BufferEventContext",
    "BufferExecuteContext",
    "BufferStatus",
    "BufferSummary",
    "Cancel",
    "CancelResult",
    "ClearResult",
    "Continuous",
    "ContinuousClient",
    "ContinuousContext",
    "ContinuousDefinition",
    "ContinuousStatus",
    "ContinuousSummary",
    "CrashLoopError",
    "DeadLetter",
    "DeadLetterRecord",
    "DefinitionError",
    "DrainResult",
    "DurablePrimitives",
    "DurablePrimitivesEngine",
    "DurablePrimitivesError",
    "Duration",
    "Enqueue",
    "EnqueueResult",
    "EventTracker",
    "ExecutionError",
    "FlushReceipt",
    "HttpBatchTracker",
    "InMemoryTracker",
    "InstanceNotFoundError",
    "InvalidStateError",
    "LeaseLostError",
    "MemoryBackend",
    "MultiTracker",
    "NoopTracker",
    "Page",
    "PauseResult",
    "PayloadTooLargeError",
    "PrimitiveEvent",
    "PrimitiveNotFoundError",
    "PrimitivesClient",
    "Queue",
    "QueueClient",
    "QueueDeadLetterContext",
    "QueueDefinition",
    "QueueExecuteContext",
    "QueueFullError",
    "QueueStatus",
    "Reduce",
    "ReducerError",
    "Retry",
    "RetryExhaustedError",
    "RetryPolicy",
    "Running",
    "SQLiteBackend",
    "SchedulerError",
    "SerializationError",
    "Snooze",
    "StartResult",
    "StopResult",
    "StorageBusyError",
    "StorageCorruptedError",
    "StorageError",
    "StorageFullError",
    "StorageNotRecognizedError",
    "StorageReadOnlyError",
    "StorageSchemaTooNewError",
    "StructlogTracker",
    "TerminateResult",
    "TriggerResult",
    "ValidationError",
    "WorkerOptions",
    "create_durable_primitives",
]


def __getattr__(name: str) -> Any:
    """Backends are imported when they are asked for: an application names them by URL, and uses one."""
    if name == "MemoryBackend":
        from durable_primitives.backends.memory import MemoryBackend

        return MemoryBackend
    if name == "SQLiteBackend":
        from durable_primitives.backends.sqlite import SQLiteBackend

        return SQLiteBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
