"""Buffer: gathers events per id and hands them over as one batch, after a while or when there are enough of them."""

from durable_primitives.primitives.buffer.client import BufferClient
from durable_primitives.primitives.buffer.context import (
    BufferDeadLetterContext,
    BufferEventContext,
    BufferExecuteContext,
)
from durable_primitives.primitives.buffer.dead_letters import BufferDeadLetters
from durable_primitives.primitives.buffer.definition import Buffer, BufferDefinition
from durable_primitives.primitives.buffer.gathering import Reduce
from durable_primitives.primitives.buffer.lifecycle import FlushReason
from durable_primitives.primitives.buffer.results import (
    AddResult,
    BufferDeadLetter,
    BufferStatus,
    BufferSummary,
    ClearResult,
    FlushReceipt,
)

__all__ = [
    "AddResult",
    "Buffer",
    "BufferClient",
    "BufferDeadLetter",
    "BufferDeadLetterContext",
    "BufferDeadLetters",
    "BufferDefinition",
    "BufferEventContext",
    "BufferExecuteContext",
    "BufferStatus",
    "BufferSummary",
    "ClearResult",
    "FlushReason",
    "FlushReceipt",
    "Reduce",
]
