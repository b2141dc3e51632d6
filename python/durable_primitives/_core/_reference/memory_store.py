"""The whole transition vocabulary over plain Python containers: the executable definition of the storage contract."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import structs

from durable_primitives._core._reference.alarm_heap import AlarmHeap
from durable_primitives.kernel.apply import apply, claim, renew
from durable_primitives.kernel.record import (
    MAX_LETTERS,
    NEVER,
    DeadLetter,
    Item,
    Receipt,
    Record,
    Settlement,
    Snapshot,
    Tally,
)
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef, NewItem, Outcome, Renewal, Transition

_Place = tuple[int, int, int]
_Row = TypeVar("_Row")


class _Rows:
    """The rows of one instance."""

    __slots__ = ("items", "lanes", "letters", "order", "receipts", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.items: dict[_Place, Item] = {}
        self.order: list[_Place] = []
        self.lanes: dict[str, list[tuple[int, _Place]]] = {}
        self.receipts: dict[str, Receipt] = {}
        self.letters: dict[str, DeadLetter] = {}


class MemoryStore:
    """Every instance of one namespace, in this process only.

    Each method is one atomic step.  Nothing is durable: what it gives is the meaning of the vocabulary.

    >>> MemoryStore().next_due() is None
    True
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Rows] = {}
        self._alarms = AlarmHeap()
        self._shelf = _MemoryShelf(self._rows)

    # Storage.

    def commit(
        self, transitions: Sequence[Transition], request: ClaimRequest | None
    ) -> tuple[list[Outcome], list[Claim]]:
        """Apply each transition in order, then serve the claim."""
        outcomes: list[Outcome] = []
        for transition in transitions:
            outcomes.append(apply(transition, self._shelf))
            self._rearm(transition.instance)
        return outcomes, [] if request is None else self._claim(request)

    def load(self, instance: str, receipts: Sequence[str], letters: Sequence[str]) -> Snapshot:
        """One instance, with those of the named receipts and dead letters that exist."""
        rows = self._rows.get(instance)
        if rows is None:
            return Snapshot(None)
        return Snapshot(
            rows.record.copy(),
            {id: rows.receipts[id] for id in receipts if id in rows.receipts},
            {id: rows.letters[id] for id in letters if id in rows.letters},
        )

    def items(self, instance: str, segment: int, after: int, limit: int) -> list[Item]:
        """Items of one segment with a sequence above `after`, in order."""
        rows = self._rows.get(instance)
        found = (item for item in rows.items.values() if item.segment == segment and item.seq > after) if rows else ()
        return sorted(found, key=lambda item: item.seq)[:limit]

    def letters(self, instance: str, after: str, limit: int) -> list[DeadLetter]:
        """Dead letters of one instance with an id above `after`, by id."""
        rows = self._rows.get(instance)
        return sorted((x for x in rows.letters.values() if x.id > after), key=lambda x: x.id)[:limit] if rows else []

    def scan(self, prefix: str, after: str, limit: int) -> list[Record]:
        """Records whose instance id starts with `prefix` and stands after `after`, by instance id."""
        names = sorted(name for name in self._rows if name.startswith(prefix) and name > after)
        return [self._rows[name].record.copy() for name in names[:limit]]

    def tally(self, instance: str, now: int) -> Tally:
        """Counts over the items of one instance that nobody has in hand."""
        rows = self._rows.get(instance)
        if rows is None:
            return Tally(0, 0, 0, 0, None)
        taken = set(rows.record.taken)
        free = [item for item in rows.items.values() if item.seq not in taken]
        waiting = [item for item in free if item.due > now]
        retrying = sum(1 for item in waiting if item.attempt)
        return Tally(
            ready=len(free) - len(waiting),
            delayed=len(waiting) - retrying,
            retrying=retrying,
            dead=len(rows.letters),
            oldest_at=min((item.at for item in rows.items.values()), default=None),
        )

    def sweep(self, now: int, budget: int) -> int:
        """Delete what has outlived its retention or is too much, at most `budget` rows; returns how many went."""
        gone = 0
        for name, rows in list(self._rows.items()):
            gone += _drop(rows.receipts, budget - gone, lambda r: r.expires_at is not None and r.expires_at <= now)
            gone += _drop(rows.letters, budget - gone, lambda letter: letter.expires_at <= now)
            gone += self._drop_excess(rows.letters, budget - gone)
            purge_at = rows.record.purge_at
            if gone < budget and purge_at is not None and purge_at <= now and not rows.letters:
                del self._rows[name]
                gone += 1
        return gone

    # Scheduler.

    def renew(self, leases: Sequence[LeaseRef], until: int) -> list[Renewal]:
        """Extend those leases that are still held by their token."""
        answers: list[Renewal] = []
        for ref in leases:
            answers.append(renew(ref, self._shelf.record(ref.instance), until))
            self._rearm(ref.instance)
        return answers

    def next_due(self) -> int | None:
        """The earliest alarm of all instances."""
        first = self._alarms.peek()
        return None if first is None else first[0]

    def _claim(self, request: ClaimRequest) -> list[Claim]:
        claims: list[Claim] = []
        for instance in self._alarms.pop_due(request.at, request.limit):
            claims.append(claim(self._rows[instance].record, request, self._shelf))
            self._rearm(instance)
        return claims

    def _drop_excess(self, letters: dict[str, DeadLetter], budget: int) -> int:
        """Delete the oldest of too many dead letters; returns how many went."""
        excess = max(min(len(letters) - MAX_LETTERS, budget), 0)
        if excess:
            for letter in sorted(letters.values(), key=lambda letter: (letter.failed_at, letter.id))[:excess]:
                del letters[letter.id]
        return excess

    def _rearm(self, instance: str) -> None:
        rows = self._rows.get(instance)
        alarm = rows.record.alarm if rows is not None else None
        if alarm is None:
            self._alarms.cancel(instance)
        elif self._alarms.get(instance) != alarm:
            self._alarms.set(instance, alarm)


class _MemoryShelf:
    """The rows as `apply` sees them (`durable_primitives.kernel.apply.Shelf` documents each method)."""

    def __init__(self, rows: dict[str, _Rows]) -> None:
        self._rows = rows

    def record(self, instance: str) -> Record | None:
        rows = self._rows.get(instance)
        return None if rows is None else rows.record

    def add_record(self, record: Record) -> None:
        self._rows[record.instance] = _Rows(record)

    def erase(self, record: Record) -> None:
        self._rows[record.instance] = _Rows(record)

    def receipt(self, record: Record, id: str) -> Receipt | None:
        return self._rows[record.instance].receipts.get(id)

    def remember(self, record: Record, id: str) -> None:
        self._rows[record.instance].receipts[id] = Receipt(id, 0, 0, segment=record.segment)

    def accept(self, record: Record, new: NewItem, at: int, rank: int, seq: int, position: int) -> None:
        rows = self._rows[record.instance]
        item = Item(seq, new.id, new.payload, at, new.lane, new.due, rank, record.segment, blocks=new.blocks)
        _add_item(rows, item)
        if new.id is not None:
            rows.receipts[new.id] = Receipt(new.id, seq, position, new.due, rank, record.segment)

    def settle(self, record: Record, item: Item, settlement: Settlement, expires_at: int) -> None:
        rows = self._rows[record.instance]
        _drop_item(rows, item)
        if item.id is not None and (receipt := rows.receipts.get(item.id)) is not None:
            rows.receipts[item.id] = structs.replace(receipt, settlement=settlement, expires_at=expires_at)

    def move(self, record: Record, item: Item, moved: Item) -> None:
        rows = self._rows[record.instance]
        _drop_item(rows, item)
        _add_item(rows, moved)
        if item.id is not None and (receipt := rows.receipts.get(item.id)) is not None:
            rows.receipts[item.id] = structs.replace(receipt, due=moved.due)

    def find_item(self, record: Record, due: int, rank: int, seq: int) -> Item | None:
        return self._rows[record.instance].items.get((due, rank, seq))

    def oldest(self, record: Record) -> Item | None:
        taken = set(record.taken)
        free = (item for item in self._rows[record.instance].items.values() if item.seq not in taken)
        return min(free, key=lambda item: item.seq, default=None)

    def lane_rank(self, record: Record, lane: str) -> int | None:
        members = self._rows[record.instance].lanes.get(lane)
        return max(place[1] for _, place in members) if members else None

    def item_due(self, record: Record, after: int) -> int | None:
        order = self._rows[record.instance].order
        index = bisect_right(order, (after, NEVER, NEVER))
        return order[index][0] if index < len(order) and order[index][0] < NEVER else None

    def take(self, record: Record, now: int, limit: int) -> list[Item]:
        rows = self._rows[record.instance]
        taken = set(record.taken)
        first_waiting = bisect_right(rows.order, (0, NEVER, NEVER))
        first_later = bisect_right(rows.order, (now, NEVER, NEVER))
        found: list[Item] = []
        for place in (*rows.order[first_waiting:first_later], *rows.order[:first_waiting]):
            if len(found) == limit:
                break
            item = rows.items[place]
            if item.seq not in taken and not _is_held_back(rows, item, taken):
                found.append(item)
        return found

    def retire(self, record: Record, segment: int, settlement: Settlement, expires_at: int) -> int:
        rows = self._rows[record.instance]
        _expire(rows, lambda part: part.segment <= segment, settlement, expires_at)
        return _drop_items(rows, lambda part: part.segment <= segment)

    def clear(self, record: Record, segment: int, expires_at: int) -> int:
        rows, taken = self._rows[record.instance], set(record.taken)
        _expire(rows, lambda part: part.segment >= segment and part.seq not in taken, "cleared", expires_at)
        return _drop_items(rows, lambda part: part.segment >= segment and part.seq not in taken)

    def letter(self, record: Record, id: str) -> DeadLetter | None:
        return self._rows[record.instance].letters.get(id)

    def keep_letter(self, record: Record, letter: DeadLetter) -> None:
        self._rows[record.instance].letters[letter.id] = letter

    def drop_letter(self, record: Record, id: str) -> bool:
        return self._rows[record.instance].letters.pop(id, None) is not None


def _add_item(rows: _Rows, item: Item) -> None:
    place = (item.due, item.rank, item.seq)
    rows.items[place] = item
    insort(rows.order, place)
    if item.lane is not None:
        insort(rows.lanes.setdefault(item.lane, []), (item.seq, place))


def _drop_item(rows: _Rows, item: Item) -> None:
    place = (item.due, item.rank, item.seq)
    del rows.items[place]
    del rows.order[bisect_left(rows.order, place)]
    if item.lane is not None:
        lane = rows.lanes[item.lane]
        lane.remove((item.seq, place))
        if not lane:
            del rows.lanes[item.lane]


def _drop_items(rows: _Rows, leaves: Callable[[Item], bool]) -> int:
    items = [item for item in rows.items.values() if leaves(item)]
    for item in items:
        _drop_item(rows, item)
    return len(items)


def _expire(rows: _Rows, leaves: Callable[[Receipt], bool], settlement: Settlement, expires_at: int) -> None:
    for id, receipt in rows.receipts.items():
        if receipt.expires_at is None and leaves(receipt):
            rows.receipts[id] = structs.replace(receipt, settlement=settlement, expires_at=expires_at)


def _is_held_back(rows: _Rows, item: Item, taken: set[int]) -> bool:
    """Whether an earlier item of the same lane must run first."""
    if item.lane is None or (item.due and not item.blocks):
        return False
    for seq, place in rows.lanes[item.lane]:
        if seq >= item.seq:
            return False
        waits = place[0] > 0 and rows.items[place].blocks
        if seq not in taken and (item.due or waits):
            return True
    return False


def _drop(rows: dict[str, _Row], budget: int, expired: Callable[[_Row], bool]) -> int:
    """Delete at most `budget` of the expired rows; returns how many went."""
    old = [id for id, row in rows.items() if expired(row)][: max(budget, 0)]
    for id in old:
        del rows[id]
    return len(old)
