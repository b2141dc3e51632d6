"""What a transition does, once: the semantics that every backend shares.

`apply` is pure logic over a `Shelf`, the view that a backend gives of its rows inside one transaction.  A backend that
can run Python beside its rows (memory, SQLite, a Durable Object) provides a shelf and nothing else; one that cannot
(a Lua script) implements the same words and is held to them by the conformance suite.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import structs

from durable_primitives.kernel.record import (
    ITEMS_DUE,
    NEVER,
    TERMINATED,
    TOMBSTONE_MS,
    DeadLetter,
    Item,
    Receipt,
    Record,
    Settlement,
)
from durable_primitives.kernel.transition import (
    FLUSH_DUE,
    WINDOW_DUE,
    Accepted,
    Burial,
    CancelAnswer,
    Claim,
    ClaimRequest,
    Guard,
    LeaseRef,
    NewItem,
    Outcome,
    Renewal,
    Transition,
    Verdict,
    is_in_hand,
)


class Shelf(Protocol):
    """One transaction's view of the rows.  Records are working copies: changed in place, stored at the end."""

    def record(self, instance: str) -> Record | None: ...
    def add_record(self, record: Record) -> None: ...
    def erase(self, record: Record) -> None:
        """Delete the items, receipts and dead letters of the instance."""

    def receipt(self, record: Record, id: str) -> Receipt | None: ...
    def remember(self, record: Record, id: str) -> None:
        """Keep a live receipt, of the open segment, for an id that has no item."""

    def accept(self, record: Record, new: NewItem, at: int, rank: int, seq: int, position: int) -> None:
        """Add a new event to the open segment: its item and, if it has an id, its live receipt."""

    def settle(self, record: Record, item: Item, settlement: Settlement, expires_at: int) -> None:
        """Delete an item, found by (`due`, `rank`, `seq`), and settle its receipt."""

    def move(self, record: Record, item: Item, moved: Item) -> None:
        """Replace an item; its receipt follows the due time."""

    def find_item(self, record: Record, due: int, rank: int, seq: int) -> Item | None: ...
    def oldest(self, record: Record) -> Item | None:
        """The item with the lowest sequence that is not in `record.taken`."""

    def lane_rank(self, record: Record, lane: str) -> int | None:
        """The highest rank among the live items of a lane."""

    def take(self, record: Record, now: int, limit: int) -> list[Item]:
        """The next items to run, at most `limit`, none of them in `record.taken`.

        First those that waited and are due, by (`due`, `rank`, `seq`); then those that are ready, by (`rank`, `seq`).
        A keyed item never overtakes its lane.  One that waited (unless its own `blocks` is off) is left out while any
        earlier item of its lane is not in `record.taken`; one that is ready is left out while an earlier item of its
        lane with `blocks` has a due time and is not in `record.taken`.
        """
        ...

    def item_due(self, record: Record, after: int) -> int | None:
        """The earliest `due` later than `after` (and before `NEVER`) among the items."""

    def retire(self, record: Record, segment: int, settlement: Settlement, expires_at: int) -> int:
        """Delete the items of the segments up to `segment`, settle their live receipts; how many items went."""
        ...

    def clear(self, record: Record, segment: int, expires_at: int) -> int:
        """Delete the items from `segment` on that are not in `record.taken`, settle their live receipts as cleared.

        Returns how many items went.
        """
        ...

    def letter(self, record: Record, id: str) -> DeadLetter | None: ...
    def keep_letter(self, record: Record, letter: DeadLetter) -> None: ...
    def drop_letter(self, record: Record, id: str) -> bool: ...


def apply(transition: Transition, shelf: Shelf) -> Outcome:
    """Check the guards, then do every part in order.  Nothing is changed unless the verdict is ``applied``."""
    record = shelf.record(transition.instance)
    refusal = _refusal(transition, record, shelf)
    if refusal is not None:
        return Outcome(verdict=refusal)
    opens = transition.create is not None or transition.put is not None
    live = record is not None and record.status != TERMINATED
    if not live and not opens:
        return Outcome(verdict="conflict")
    if record is not None and live and transition.erase:
        _erase(record, shelf)
        live = False
    if record is None or (not live and opens):
        record = _open_record(transition, record, shelf)
    return _Change(transition, record, shelf).run(created=not live and opens)


def _refusal(transition: Transition, record: Record | None, shelf: Shelf) -> Verdict | None:
    guard = transition.guard
    if guard is not None:
        verdict = _guard_refusal(guard, record)
        if verdict is not None:
            return verdict
        if guard.room is not None and transition.on_full == "reject" and transition.append:
            new = _count_new(transition, record, shelf)
            if new and new + (0 if record is None else record.count) > guard.room:
                return "full"
    if record and any(_valid(shelf.receipt(record, id), transition.at) for id in transition.remember):
        return "duplicate"
    return None if is_in_hand(transition, () if record is None else record.taken) else "conflict"


def _guard_refusal(guard: Guard, record: Record | None) -> Verdict | None:
    live = record is not None and record.status != TERMINATED
    if guard.token is not None and (record is None or record.owner is None or record.token != guard.token):
        return "fenced"
    if guard.generation is not None and (record is None or record.generation != guard.generation):
        return "fenced"
    if guard.exists is not None and guard.exists != live:
        return "conflict"
    if guard.version is not None and (record is None or record.version != guard.version):
        return "conflict"
    if guard.segment is not None and (record is None or record.segment != guard.segment):
        return "conflict"
    return None


def _count_new(transition: Transition, record: Record | None, shelf: Shelf) -> int:
    """How many of the appended items are no duplicates, of stored ones or of each other."""
    unique = {new.id if new.id is not None else index: new for index, new in enumerate(transition.append)}
    return sum(_known(new, record, shelf, transition.at) is None for new in unique.values())


def _known(new: NewItem, record: Record | None, shelf: Shelf, at: int) -> Receipt | None:
    """The receipt that makes an append a duplicate."""
    if record is None or new.id is None or new.fresh:
        return None
    return _valid(shelf.receipt(record, new.id), at)


def _valid(receipt: Receipt | None, at: int) -> Receipt | None:
    """A receipt whose window is over counts for nothing, swept or not."""
    if receipt is None or (receipt.expires_at is not None and receipt.expires_at <= at):
        return None
    return receipt


def _open_record(transition: Transition, tombstone: Record | None, shelf: Shelf) -> Record:
    """A new record, or a tombstone brought to a new life: the generation that `erase` raised is kept."""
    create = transition.create
    record = tombstone
    if record is None:
        record = Record(instance=transition.instance, status="", created_at=transition.at)
        shelf.add_record(record)
    record.created_at = transition.at
    record.purge_at = None
    if create is not None:
        record.status, record.data = create.status, create.data
        record.segment, record.linger_ms = create.segment, create.linger_ms
    return record


def _erase(record: Record, shelf: Shelf) -> None:
    """Leave a tombstone."""
    shelf.erase(record)
    record.status, record.data, record.held, record.linger_ms = TERMINATED, b"", False, TOMBSTONE_MS
    record.dues, record.owner, record.taken, record.cancels = {}, None, (), ()
    record.count = record.segment_count = record.deliveries = record.finished = 0
    record.purge_at = None
    record.version += 1
    record.generation += 1


class _Change:
    """The parts of one transition, applied to one record."""

    __slots__ = ("accepted", "cancelled", "cleared", "items", "record", "released", "shelf", "t")

    def __init__(self, transition: Transition, record: Record, shelf: Shelf) -> None:
        self.t, self.record, self.shelf = transition, record, shelf
        self.accepted: list[Accepted] = []
        self.cancelled: list[CancelAnswer] = []
        self.items: list[Item] = []
        self.cleared = 0
        self.released = False

    def run(self, *, created: bool) -> Outcome:
        self.change()
        t, record = self.t, self.record
        record.updated_at = t.at
        refresh_purge(record, t.at)
        return Outcome(
            verdict="applied",
            created=created,
            version=record.version,
            generation=record.generation,
            count=record.count,
            accepted=tuple(self.accepted),
            items=tuple(self.items),
            cleared=self.cleared,
            cancelled=tuple(self.cancelled),
            cancels=record.cancels,
            held=record.held,
            released=self.released,
            dues=dict(record.dues) if t.dues or t.batching is not None or t.seal else None,
        )

    def change(self) -> None:  # noqa: C901 - one line per word of the vocabulary, in the order of `Transition`
        t, record = self.t, self.record
        if t.put is not None:
            self.put()
        if t.remember:
            self.remember()
        if t.remove or t.reschedule or t.give_back or t.mark or t.bury:
            self.settle_taken()
        if t.redrive or t.discard or t.retire is not None or t.clear is not None or t.cancel:
            self.rarely()
        if t.append:
            self.append()
        if not t.append or any(not accepted.duplicate for accepted in self.accepted):
            if t.seal and record.segment_count:
                self.seal()
            if t.dues:
                self.change_dues()
        if t.progress:
            record.deliveries = 1
        if t.take > 0:
            self.take()
        if t.release == "yes" or (t.release == "idle" and not record.taken):
            self.release()

    def put(self) -> None:
        record, put = self.record, self.t.put
        assert put is not None
        record.status, record.data = put.status, put.data
        record.held, record.linger_ms, record.purge_at = put.held, put.linger_ms, None
        record.version += 1

    def remember(self) -> None:
        for id in self.t.remember:
            self.shelf.remember(self.record, id)

    # What the owner says about the items in its hands.

    def settle_taken(self) -> None:
        t, record, shelf = self.t, self.record, self.shelf
        left = set(t.give_back)
        for removal in t.remove:
            self.settle(removal.item, removal.settlement, removal.expires_at)
            left.add(removal.item.seq)
        for burial in t.bury:
            if burial.item is not None:
                self.settle(burial.item, "dead", burial.expires_at)
                left.add(burial.item.seq)
            shelf.keep_letter(record, _letter(burial, t.at))
        for change in t.reschedule:
            # Its due time is armed when the lease is given back: until then the end of the lease is the alarm.
            moved = structs.replace(
                change.item,
                due=change.due,
                attempt=change.attempt,
                delivery=change.delivery,
                error=change.error,
                blocks=change.blocks,
            )
            shelf.move(record, change.item, moved)
            left.add(change.item.seq)
        for item in t.mark:
            shelf.move(record, item, item)
        if left:
            record.taken = tuple(seq for seq in record.taken if seq not in left)

    def settle(self, item: Item, settlement: Settlement, expires_at: int) -> None:
        record = self.record
        self.shelf.settle(record, item, settlement, expires_at)
        record.count -= 1
        if settlement == "done":
            record.finished += 1
        if record.cancels and item.seq in record.cancels:
            record.cancels = tuple(seq for seq in record.cancels if seq != item.seq)

    # Rare words.

    def rarely(self) -> None:
        t = self.t
        for id in t.redrive:
            self.redrive(id)
        for id in t.discard:
            self.cleared += self.shelf.drop_letter(self.record, id)
        if t.retire is not None:
            retire = t.retire
            self.record.count -= self.shelf.retire(self.record, retire.segment, retire.settlement, retire.expires_at)
        if t.clear is not None:
            count = self.shelf.clear(self.record, t.clear.segment, t.clear.expires_at)
            self.record.count -= count
            self.cleared += count
            if t.clear.segment <= self.record.segment:
                self.record.segment_count = 0
                self.record.dues.pop(WINDOW_DUE, None)
        if t.retire is not None or t.clear is not None:
            self.record.cancels = tuple(seq for seq in self.record.cancels if seq in self.record.taken)
        for id in t.cancel:
            self.cancelled.append(self.cancel(id))

    def redrive(self, id: str) -> None:
        record, shelf = self.record, self.shelf
        letter = shelf.letter(record, id)
        if letter is None or letter.expires_at <= self.t.at:
            return
        shelf.drop_letter(record, id)
        # Due from now on: how long it was dead does not make it late.
        due = self.t.at
        self.add(NewItem(id, letter.payload, letter.lane, due, letter.rank), letter.at)
        self.arm(due)
        self.cleared += 1

    def cancel(self, id: str) -> CancelAnswer:
        record, shelf = self.record, self.shelf
        receipt = _valid(shelf.receipt(record, id), self.t.at)
        if receipt is None:
            return "not_found"
        if receipt.settlement is not None:
            return "cancelled" if receipt.settlement == "cancelled" else "done"
        if receipt.seq in record.taken:
            if receipt.seq not in record.cancels:
                record.cancels = (*record.cancels, receipt.seq)
            return "running"
        item = shelf.find_item(record, receipt.due, receipt.rank, receipt.seq)
        if item is None:
            return "not_found"
        self.settle(item, "cancelled", self.t.at + (record.linger_ms or TOMBSTONE_MS))
        self.let_go(item)
        return "cancelled"

    def let_go(self, item: Item) -> None:
        """An item that waited was taken out: those that it held back need wait no longer."""
        if 0 < item.due < NEVER:
            self.arm(self.t.at)

    # Items coming in.

    def append(self) -> None:
        t, record, shelf = self.t, self.record, self.shelf
        batching = t.batching
        room = t.guard.room if t.guard is not None and t.on_full == "drop_oldest" else None
        earliest = NEVER
        for new in t.append:
            if new.id is not None and not new.fresh:
                known = _valid(shelf.receipt(record, new.id), t.at)
                if known is not None:
                    self.accepted.append(Accepted(known.seq, known.position, known.segment, record.segment_count, True))
                    continue
            if room is not None and record.count >= room:
                self.drop_oldest()
            self.add(new, t.at)
            earliest = min(earliest, new.due)
            record.segment_count += 1
            record.segment_last_at = t.at
            if record.segment_count == 1:
                record.segment_first_at = t.at
                if batching is not None and batching.window_ms is not None:
                    record.dues[WINDOW_DUE] = t.at + batching.window_ms
            self.accepted.append(Accepted(record.sequence, record.count, record.segment, record.segment_count, False))
            if batching is not None and batching.max_items is not None and record.segment_count >= batching.max_items:
                self.seal()
        self.arm(earliest)

    def add(self, new: NewItem, at: int) -> None:
        record, rank = self.record, new.rank
        if rank and new.lane is not None:
            # A priority never breaks the order of a lane: an item takes at least the rank of those before it.
            before = self.shelf.lane_rank(record, new.lane)
            rank = rank if before is None else max(rank, before)
        record.sequence += 1
        record.count += 1
        self.shelf.accept(record, new, at, rank, record.sequence, record.count)

    def drop_oldest(self) -> None:
        oldest = self.shelf.oldest(self.record)
        if oldest is not None:
            self.settle(oldest, "cleared", self.t.at + (self.record.linger_ms or TOMBSTONE_MS))
            self.let_go(oldest)
            self.cleared += 1

    def arm(self, due: int) -> None:
        if due < NEVER:
            dues = self.record.dues
            at = max(due, self.t.at)
            if dues.get(ITEMS_DUE, NEVER) > at:
                dues[ITEMS_DUE] = at

    def seal(self) -> None:
        record = self.record
        record.segment += 1
        record.segment_count = 0
        record.dues.pop(WINDOW_DUE, None)
        # A due that is set is left alone: it may be the retry of an older segment, which goes first.
        record.dues.setdefault(FLUSH_DUE, self.t.at)

    # Dues and leases.

    def change_dues(self) -> None:
        dues = self.record.dues
        for due in self.t.dues:
            if due.how == "clear":
                dues.pop(due.name, None)
            elif due.how == "set" or due.name not in dues:
                dues[due.name] = due.at
            elif due.how == "earlier":
                dues[due.name] = min(dues[due.name], due.at)

    def take(self) -> None:
        record = self.record
        if record.held:
            return
        self.items = self.shelf.take(record, self.t.at, self.t.take)
        record.taken += tuple(item.seq for item in self.items)

    def release(self) -> None:
        record = self.record
        # After an idle take nothing is ready: the next chance comes with the first item that still waits.
        after = self.t.at if self.t.release == "idle" and self.t.take > 0 and not record.held else -1
        record.owner, record.taken, record.deliveries = None, (), 0
        due = self.shelf.item_due(record, after) if record.count else None
        if due is None:
            record.dues.pop(ITEMS_DUE, None)
        else:
            record.dues[ITEMS_DUE] = max(due, self.t.at)
        self.released = True


def _letter(burial: Burial, at: int) -> DeadLetter:
    item = burial.item
    return DeadLetter(
        id=burial.id,
        payload=burial.payload,
        lane=item.lane if item is not None else None,
        rank=item.rank if item is not None else 0,
        at=item.at if item is not None else at,
        failed_at=at,
        attempts=burial.attempts,
        error=burial.error,
        count=burial.count,
        expires_at=burial.expires_at,
    )


def refresh_purge(record: Record, now: int) -> None:
    """Whether, and when, the record itself may go: when nothing is left to do and its time of grace has passed."""
    idle = record.linger_ms is not None and record.owner is None and not record.held
    if not idle or record.dues or record.count:
        record.purge_at = None
    elif record.purge_at is None:
        assert record.linger_ms is not None
        record.purge_at = now + record.linger_ms


def claim(record: Record, request: ClaimRequest, shelf: Shelf) -> Claim:
    """Give the lease of a due instance to `request.owner`, with a new fencing token and its first items.

    The token is the time, or one more than the last: so it rises also where a purge forgot the last one.
    """
    suspects = record.taken
    record.token = max(record.token + 1, request.at)
    record.owner, record.lease_until = request.owner, request.at + request.lease_ms
    record.deliveries += 1
    record.taken, record.purge_at = (), None
    wanted = request.take > 0 and record.count and not record.held
    items = shelf.take(record, request.at, request.take) if wanted else []
    record.taken = tuple(item.seq for item in items)
    return Claim(record.copy(), tuple(items), suspects)


def renew(ref: LeaseRef, record: Record | None, until: int) -> Renewal:
    """Extend a lease that is still its holder's."""
    if record is None or record.owner is None or record.token != ref.token:
        return Renewal(ref.instance, False, 0)
    record.lease_until = until
    return Renewal(ref.instance, True, record.version)
