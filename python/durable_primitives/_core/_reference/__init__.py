"""The core in pure Python: the documentation and the types of the Rust core, its oracle, and its stand-in.

Arguments are what the annotations say: text is valid Unicode, integers fit in 64 bits with a sign. Time enters as
milliseconds since the Unix epoch, randomness as a drawn number; nothing here reads a clock. A structure has one owner:
threads that share one take turns.
"""

from durable_primitives._core._reference.alarm_heap import AlarmHeap
from durable_primitives._core._reference.backoff import delay_ms
from durable_primitives._core._reference.hash_ring import jump_hash, place, xxh3_64
from durable_primitives._core._reference.memory_store import MemoryStore
from durable_primitives._core._reference.ready_queue import ReadyQueue
from durable_primitives._core._reference.seen_set import SeenSet

__all__ = ["AlarmHeap", "MemoryStore", "ReadyQueue", "SeenSet", "delay_ms", "jump_hash", "place", "xxh3_64"]
