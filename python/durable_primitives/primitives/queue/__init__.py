"""Queue: FIFO processing with concurrency, per-key order, retries, dead letters and idempotency."""

from durable_primitives.primitives.queue.client import QueueClient
from durable_primitives.primitives.queue.context import QueueDeadLetterContext, QueueExecuteContext
from durable_primitives.primitives.queue.definition import Queue, QueueDefinition
from durable_primitives.primitives.queue.descriptor import QUEUE
from durable_primitives.primitives.queue.results import (
    CancelResult,
    DeadLetterRecord,
    DrainResult,
    Enqueue,
    EnqueueResult,
    QueueStatus,
)

__all__ = [
    "QUEUE",
    "CancelResult",
    "DeadLetterRecord",
    "DrainResult",
    "Enqueue",
    "EnqueueResult",
    "Queue",
    "QueueClient",
    "QueueDeadLetterContext",
    "QueueDefinition",
    "QueueExecuteContext",
    "QueueStatus",
]
