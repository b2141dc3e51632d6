"""The closed vocabulary of change: a `Transition` is one atomic change to one instance, as data with guards.

Every backend implements exactly this and nothing else; `durable_primitives.kernel.apply` says what each word means.
All times are integers: milliseconds since the epoch, UTC.  On a wire the structs are arrays in the order of their
fields: a backend that runs in its server (the Lua scripts of Redis) reads them by position.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from durable_primitives.kernel.record import Item, Record, Settlement

WINDOW_DUE = "window"
"""The named due of a segment that is still open."""

FLUSH_DUE = "flush"
"""The named due of segments that are sealed."""


class Guard(Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """What must hold for the transition to apply.  A guard that fails leaves the store as it was."""

    exists: bool | None = None
    """Whether there must be a live record (a tombstone of a terminated instance counts as absent)."""
    version: int | None = None
    generation: int | None = None
    token: int | None = None
    """The writer's fencing token: the lease must still be its own."""
    segment: int | None = None
    """The open segment must still be this one: no batch was sealed meanwhile."""
    room: int | None = None
    """How many live items the instance may hold after the append."""


class Create(Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """The record to make if there is none (or only a tombstone); an existing record is left alone."""

    status: str
    data: bytes = b""
    segment: int = 0
    linger_ms: int | None = None


class Put(Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """Write the record's own part.  `held` and `linger_ms` are always stated: there is no hidden default."""

    status: str
    data: bytes
    held: bool = False
    linger_ms: int | None = None


class NewItem(Struct, frozen=True, gc=False, array_like=True):
    """An event to append.  An `id` makes it idempotent: a second append with a remembered id is a duplicate."""

    id: str | None
    payload: bytes
    lane: str | None = None
    due: int = 0
    rank: int = 0
    fresh: bool = False
    """The id was made for this append and cannot be known yet: the store may skip the look-up."""
    blocks: bool = True


class Batching(Struct, frozen=True, gc=False, array_like=True):
    """How appended items form segments (the generations of a buffer)."""

    max_items: int | None
    """A segment is sealed by the append that fills it."""
    window_ms: int | None
    """The first item of a segment sets the due `WINDOW_DUE` to so much later."""


class Removal(Struct, frozen=True, gc=False, array_like=True):
    """An item leaves for good; its receipt keeps the settlement until `expires_at`."""

    item: Item
    settlement: Settlement
    expires_at: int


class Reschedule(Struct, frozen=True, gc=False, array_like=True):
    """An item goes back to wait: it is no longer in the owner's hands."""

    item: Item
    due: int
    attempt: int
    delivery: int
    error: str | None
    blocks: bool


class Burial(Struct, frozen=True, gc=False, array_like=True):
    """An item (or, with `item` None, a batch given as `payload`) becomes a dead letter."""

    id: str
    item: Item | None
    payload: bytes
    attempts: int
    error: str
    count: int
    expires_at: int


class Retire(Struct, frozen=True, gc=False, array_like=True):
    """All items and live receipts of the segments up to `segment` leave together."""

    segment: int
    settlement: Settlement
    expires_at: int


class Clear(Struct, frozen=True, gc=False, array_like=True):
    """All items of the segments from `segment` on that nobody has in hand leave."""

    segment: int
    expires_at: int


class Due(Struct, frozen=True, gc=False, array_like=True):
    """A change to one named due time."""

    name: str
    how: Literal["set", "set_if_unset", "earlier", "clear"]
    at: int = 0


class Transition(Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """One atomic change to one instance.  Parts are applied in the order in which they stand here.

    Every item that `remove`, `reschedule`, `give_back`, `mark` and `bury` speak of must be in the owner's hands
    (`Record.taken`) and be spoken of once, or all of the transition is a ``conflict``.
    """

    instance: str
    at: int
    guard: Guard | None = None
    erase: bool = False
    """Delete everything but a tombstone: generation + 1, lease void."""
    create: Create | None = None
    remember: tuple[str, ...] = ()
    """Ids to remember with no item.  If one is known already, the transition is a duplicate: nothing applies."""
    put: Put | None = None
    remove: tuple[Removal, ...] = ()
    reschedule: tuple[Reschedule, ...] = ()
    give_back: tuple[int, ...] = ()
    """Sequences that the owner returns unstarted."""
    mark: tuple[Item, ...] = ()
    """Items in hand, as they are to be stored: after a crash, their deliveries are counted before they start."""
    bury: tuple[Burial, ...] = ()
    redrive: tuple[str, ...] = ()
    """Dead letters that become items again, with a fresh attempt count, at the end of their lane."""
    discard: tuple[str, ...] = ()
    retire: Retire | None = None
    clear: Clear | None = None
    cancel: tuple[str, ...] = ()
    """Event ids to take out, unless the owner has them in hand."""
    append: tuple[NewItem, ...] = ()
    batching: Batching | None = None
    on_full: Literal["reject", "drop_oldest"] = "reject"
    """What an append beyond `Guard.room` does."""
    seal: bool = False
    """Close the open segment now, if it holds anything."""
    dues: tuple[Due, ...] = ()
    """Applied unless every appended item was a duplicate."""
    progress: bool = False
    """Work was finished under this lease: the count of deliveries starts again."""
    take: int = 0
    """How many further items the owner takes in hand; below one: none."""
    release: Literal["no", "idle", "yes"] = "no"
    """`idle`: give the lease back if nothing was taken and nothing is in hand."""


def adds(transition: Transition) -> bool:
    """Whether it brings something new: what a full store refuses, and does not refuse the rest."""
    return transition.create is not None or bool(transition.append)


def payload_bytes(transition: Transition) -> int:
    """How long the payloads are that it carries: its own are far longer than all else where length matters."""
    size = 0
    # This is done for every transition, and most of them have nothing but one of these.
    for new in transition.append:
        size += len(new.payload)
    for removal in transition.remove:
        size += len(removal.item.payload)
    if transition.create is not None:
        size += len(transition.create.data)
    if transition.put is not None:
        size += len(transition.put.data)
    if transition.reschedule or transition.mark or transition.bury:
        size += sum(len(change.item.payload) for change in transition.reschedule)
        size += sum(len(item.payload) for item in transition.mark)
        for burial in transition.bury:
            size += len(burial.payload) + (0 if burial.item is None else len(burial.item.payload))
    return size


def is_in_hand(t: Transition, taken: tuple[int, ...]) -> bool:
    """Whether every item that the owner speaks of is in its hands, and spoken of once: half of it would be wrong."""
    if not (t.remove or t.reschedule or t.give_back or t.mark or t.bury):
        return True
    named = list(t.give_back)
    for changes in (t.remove, t.reschedule):
        named += [change.item.seq for change in changes]
    named += [item.seq for item in t.mark]
    named += [burial.item.seq for burial in t.bury if burial.item is not None]
    if not named:
        return True
    seqs = set(named)
    return not t.erase and len(seqs) == len(named) and seqs.issubset(taken)


class Accepted(Struct, frozen=True, gc=False, array_like=True):
    """What became of one appended item."""

    seq: int
    position: int
    """Live items of the instance right after this one was appended (1: it is next)."""
    segment: int
    segment_count: int
    duplicate: bool


CancelAnswer = Literal["cancelled", "running", "done", "not_found"]
Verdict = Literal["applied", "conflict", "fenced", "duplicate", "full"]


class Outcome(Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """What a transition did.  Anything but ``applied`` means that nothing changed."""

    verdict: Verdict
    created: bool = False
    version: int = 0
    generation: int = 0
    count: int = 0
    accepted: tuple[Accepted, ...] = ()
    items: tuple[Item, ...] = ()
    """The items that were taken."""
    cleared: int = 0
    """Items that `clear` or `drop_oldest` took out."""
    cancelled: tuple[CancelAnswer, ...] = ()
    """One answer per id of `cancel`."""
    cancels: tuple[int, ...] = ()
    """Sequences in the owner's hands whose cancellation was asked for."""
    held: bool = False
    """The instance is paused: its owner starts nothing further."""
    released: bool = False
    dues: dict[str, int] | None = None
    """The named dues afterwards, if the transition formed segments or changed a due."""


class ClaimRequest(Struct, frozen=True, kw_only=True, array_like=True):
    """A worker's wish for due instances, served in the same round trip as the transitions it travels with.

    A `limit` or a `take` below one asks for nothing.
    """

    owner: str
    at: int
    lease_ms: int
    limit: int
    take: int
    """How many items of each claimed instance the worker takes in hand with it."""


class Claim(Struct, frozen=True, array_like=True):
    """A lease on one due instance."""

    record: Record
    items: tuple[Item, ...]
    suspects: tuple[int, ...]
    """What the last owner had in hand when it vanished: one of these may have killed it."""


class LeaseRef(Struct, frozen=True, gc=False, array_like=True):
    """A held lease, by its fencing token."""

    instance: str
    token: int


class Renewal(Struct, frozen=True, gc=False, array_like=True):
    """The answer to a renewal; `version` lets the owner notice what others wrote meanwhile."""

    instance: str
    held: bool
    version: int
