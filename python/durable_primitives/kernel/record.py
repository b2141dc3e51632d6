"""What a store keeps: the record of an instance, its items, its receipts and its dead letters.

All times are integers: milliseconds since the epoch, UTC, by the store's clock.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field, structs

NEVER = 1 << 60
"""The due time of an item that only its instance's named dues bring to execution (the events of a buffer)."""

TERMINATED = "terminated"
"""The status of a tombstone: all that is left of an erased instance, so that late writers stay fenced."""

TOMBSTONE_MS = 24 * 60 * 60 * 1000
"""How long a tombstone is kept."""

MAX_LETTERS = 10_000
"""Dead letters that an instance keeps: the next sweep deletes the oldest of those beyond."""

DAMAGED_RECHECK_MS = 300_000
"""For how long a claim puts off an instance whose stored form it cannot read."""

ITEMS_DUE = "items"
"""The named due that the store keeps by itself: the moment at which an item of the instance can be taken."""

RECHECK_DUE = "recheck"
"""The one named due that a hold does not stop: a slow look whether a parked instance can run again."""

Settlement = Literal["done", "dead", "cancelled", "cleared", "expired"]


class Record(Struct, kw_only=True, array_like=True):
    """One instance as it is stored.  `version` rises with every `put`; appended items leave it alone."""

    instance: str
    status: str
    data: bytes = b""
    version: int = 0
    generation: int = 1
    held: bool = False
    """A held instance keeps its dues but is not claimed for them, only for `RECHECK_DUE`."""
    dues: dict[str, int] = field(default_factory=dict[str, int])
    linger_ms: int | None = None
    """How long the record outlives its last work; None keeps it until it is erased."""
    purge_at: int | None = None
    token: int = 0
    """The fencing token of the newest lease.  It only ever rises, over purges too: it is no less than the time of its
    claim."""
    owner: str | None = None
    lease_until: int = 0
    deliveries: int = 0
    """Claims since work was last finished here: more than a few means a crash loop."""
    taken: tuple[int, ...] = ()
    """Sequences of the items that the owner has in hand."""
    cancels: tuple[int, ...] = ()
    """Items whose cancellation was asked for while an owner had them in hand."""
    sequence: int = 0
    """The last sequence given to an item."""
    count: int = 0
    """Live items, taken ones included."""
    segment: int = 0
    """The open batch's number.  A buffer starts at 1; items of a queue all carry 0."""
    segment_count: int = 0
    segment_first_at: int = 0
    segment_last_at: int = 0
    finished: int = 0
    """Items that were removed as done, ever."""
    created_at: int = 0
    updated_at: int = 0

    @property
    def alarm(self) -> int | None:
        """When a worker must look at this instance: a pure function of what is stored.

        An abandoned lease is itself a due time, so a killed worker never strands its instance.
        """
        if self.owner is not None:
            return self.lease_until
        if self.held:
            return self.dues.get(RECHECK_DUE)
        return min(self.dues.values()) if self.dues else None

    def copy(self) -> Record:
        """A snapshot that later changes of the store do not reach."""
        return structs.replace(self, dues=dict(self.dues))


class Item(Struct, frozen=True, gc=False, array_like=True):
    """One stored event.  Items of an instance are served by (`due`, `rank`, `seq`)."""

    seq: int
    id: str | None
    payload: bytes
    at: int
    """When it was accepted."""
    lane: str | None = None
    due: int = 0
    """0: at once; otherwise not before this time; `NEVER`: when its instance says so."""
    rank: int = 0
    """Lower is served first.  In a lane it is never above 0, and never below that of an earlier item."""
    segment: int = 0
    attempt: int = 0
    """Finished tries of user code."""
    delivery: int = 0
    """Claims of this item that ended without an outcome."""
    error: str | None = None
    blocks: bool = True
    """Whether it holds back its successors in the lane while it waits for its due time."""


class Receipt(Struct, frozen=True, gc=False, array_like=True):
    """Proof that an event id was accepted.  It outlives the item by the dedupe window."""

    id: str
    seq: int
    position: int
    due: int = 0
    rank: int = 0
    segment: int = 0
    settlement: Settlement | None = None
    expires_at: int | None = None
    """None while the event is live."""


class DeadLetter(Struct, frozen=True, gc=False, array_like=True):
    """Work that was given up on, kept whole so that it can be redriven."""

    id: str
    payload: bytes
    lane: str | None
    rank: int
    at: int
    failed_at: int
    attempts: int
    error: str
    """Encoded `ErrorInfo` of the last failure."""
    count: int
    """Events inside: 1 for an event of a queue, the batch's size for a buffer."""
    expires_at: int


class Snapshot(Struct, frozen=True):
    """One instance as a decision sees it, with the receipts and dead letters that were asked for."""

    record: Record | None
    receipts: dict[str, Receipt] = field(default_factory=dict[str, Receipt])
    letters: dict[str, DeadLetter] = field(default_factory=dict[str, DeadLetter])


class Tally(Struct, frozen=True, array_like=True):
    """Counts over the items of one instance."""

    ready: int
    delayed: int
    retrying: int
    dead: int
    oldest_at: int | None
