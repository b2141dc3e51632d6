"""`Storage` and `Scheduler`: the contract of a backend, method by method.

Durable means: in the mode that the user chose, what an awaited call has returned survives the loss of this process.
Every method raises a `StorageError` that says whether the change was applied, not applied, or is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef, Outcome, Renewal, Transition


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a backend can do.  The engine and the conformance kit read these, never a backend's name."""

    durable: bool
    """Acknowledged changes survive the loss of every process."""
    multi_process: bool
    """Several processes may open the same store."""
    immediate: bool = False
    """`commit_now` answers without waiting for anything: no thread, no socket, no await."""
    overlapping: bool = False
    """A commit leaves the interpreter free while it is under way, so that a second one may be prepared meanwhile.

    Commits are applied in the order in which they were called, the second after the first.
    """
    partitions: int = 1
    """Above one: the instances are spread over so many parts of the store, by the XXH3-64 of their id modulo this, and
    each part answers by itself.  Commits for one part then wait for no other, and are applied in the order of their
    calls for each part by itself."""
    max_payload: int | None = None
    """Bytes of one encoded event, input or state; more is refused where it is encoded, before anything is sent."""


Reply = tuple[Sequence[Outcome], Sequence[Claim]]


class Storage(Protocol):
    """Holds instances and changes them by atomic transitions."""

    async def open(self, namespace: str) -> None:
        """Connect and bring the schema up to date.  Namespaces do not see each other.

        Raises a `StorageError` that says what is wrong and what to do; nothing is half-made.
        """

    async def close(self) -> None:
        """Finish what was handed over, then let go of everything.  Safe to call twice."""

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        """Apply the transitions in order, then serve the claim: one round trip, durable when it returns.

        One outcome per transition, in order.  Each transition is atomic; one that is refused leaves the others alone.
        The claim takes instances whose alarm is at or before `request.at`, earliest first, each with a new fencing
        token.  With `partitions`, one that travels with transitions looks in their partitions only.
        What would make too long a reply comes in parts: a claim may bring fewer instances than are due, and a `take`
        fewer items than there are, but neither brings none for that.
        If the call raises, nothing of it was applied, unless the error's outcome is ``unknown``.  After a
        `PayloadTooLargeError` the caller tries the transitions one by one.
        """
        ...

    def commit_now(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        """`commit` without the wait, for a backend that can (`immediate`); others raise `NotImplementedError`."""
        ...

    async def load(self, instance: str, receipts: Sequence[str] = (), letters: Sequence[str] = ()) -> Snapshot:
        """One instance as of the last commit, with those of the named receipts and dead letters that exist."""
        ...

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        """Items of one segment with a sequence above `after`, in order of sequence."""
        ...

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        """Dead letters of one instance with an id above `after`, by id."""
        ...

    async def scan(self, prefix: str, after: str, limit: int) -> Sequence[Record]:
        """Records (tombstones too) whose instance id starts with `prefix` and stands after `after`, by instance id."""
        ...

    async def tally(self, instance: str, now: int) -> Tally:
        """Counts over the items of one instance that nobody has in hand (`oldest_at` and `dead`: over all of them)."""
        ...

    async def sweep(self, now: int, budget: int) -> int:
        """Delete at most `budget` rows that outlived their retention (`expires_at`, `purge_at`); returns how many went.

        Of the dead letters of an instance that are left, those beyond `MAX_LETTERS` go as well, in the order of
        (`failed_at`, `id`).  A record goes only when its `purge_at` has come and no dead letter of it is left.
        """
        ...


class Scheduler(Protocol):
    """Knows what is due, keeps leases, and wakes a sleeping worker."""

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        """Extend the leases that their token still holds.  Called from a thread of its own; may block."""
        ...

    async def next_due(self) -> int | None:
        """The earliest alarm of the namespace: a due time, or the end of a lease; None when nothing is scheduled."""
        ...

    async def wait(self, seconds: float) -> None:
        """Return when an alarm may have come nearer, by any process, or after so many seconds.

        A wake-up too many is harmless, one too few is a defect.  A change that is committed between the caller's last
        look and this call counts: it must end the wait at once.
        """


@runtime_checkable
class AuthorityClock(Protocol):
    """A backend with a clock of its own, which then is the time of its applications on every machine."""

    def time(self) -> float:
        """Seconds since the epoch, to be asked often; never ahead of the store's clock."""
        ...


@runtime_checkable
class Backend(Storage, Scheduler, Protocol):
    """A store with a scheduler: everything that the engine needs from outside."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def url(self) -> str:
        """Where it is, with any password masked: fit for an error message or a log line."""
        ...
