"""What users define.  One folder per primitive; they never import each other.  A new one adds one line here."""

from __future__ import annotations

from durable_primitives.kernel.primitive import Primitive
from durable_primitives.primitives.buffer.descriptor import BUFFER
from durable_primitives.primitives.continuous.descriptor import CONTINUOUS
from durable_primitives.primitives.queue.descriptor import QUEUE

BUILTIN: tuple[Primitive, ...] = (CONTINUOUS, BUFFER, QUEUE)
