"""Buffer: gathers events per id and hands them over as one batch, after a while or when there are enough of them."""

from durable_primitives.primitives.buffer.client import BufferClient
from durable_primitives.primitives.buffer.context import (
    BufferDeadLetterContext,
    BufferEventContext,
    BufferExecuteContext,
)
from durable_primitives.primitives.buffer.dead_letters import BufferDeadLetters
from durable_primitives.primitives.buffer.definition import Buffer, BufferDefinition
from durable_primitives.primitives.buffer.descriptor import BUFFER
from durable_primitives.primitives.buffer.gathering import Reduce
from durable_primitives.primitives.buffer.results import (
    AddResult,
    BufferDeadLetter,
    BufferStatus,
    BufferSummary,
    ClearResult,
    FlushReceipt,
)
from durable_primitives.primitives.buffer.stored import FlushReason

__all__ = [
    "BUFFER",
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
