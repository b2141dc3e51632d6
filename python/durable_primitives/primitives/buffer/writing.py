"""The parts that every change of a buffer's record is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from durable_primitives.kernel.record import NEVER, Record
from durable_primitives.kernel.transition import NewItem, Put
from durable_primitives.primitives.buffer.definition import BufferDefinition
from durable_primitives.primitives.buffer.stored import OPEN, FlushReason, Stored, encode


def put(definition: BufferDefinition[Any, Any], record: Record | None, stored: Stored) -> Put:
    """Write the record's own part, and leave it parked if it is."""
    # A folded batch lives in the record itself, which therefore must not be purged while it waits for more events.
    return Put(
        status=OPEN if record is None else record.status,
        data=encode(stored),
        held=record is not None and record.held,
        linger_ms=definition.dedupe_ms if stored.folded is None else None,
    )


def sealing(stored: Stored, reasons: Mapping[int, FlushReason]) -> tuple[Stored, tuple[NewItem, ...]]:
    """What goes with `Transition.seal`: why, unless the batch is full, and the folded state as one of its items."""
    items = () if stored.folded is None else (NewItem(None, encode(stored.folded), due=NEVER),)
    return structs.replace(stored, reasons={**stored.reasons, **reasons}, folded=None), items
