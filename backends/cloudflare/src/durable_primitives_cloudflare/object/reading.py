"""Looking at the stored rows; nothing here changes any."""

from __future__ import annotations

from collections.abc import Sequence

from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives_cloudflare.object.rows import Row, due_of, items_of, json_array
from durable_primitives_cloudflare.object.shelf import ObjectShelf
from durable_primitives_cloudflare.object.statements import sql
from durable_primitives_cloudflare.object.storage import ObjectStorage


def behind(prefix: str) -> str:
    """The first text behind all that begin with a prefix that ends with a slash."""
    return prefix[:-1] + "0"


def appended(row: Row) -> tuple[int, int, int, int]:
    """An event that is newer than its record, for `Life.replay`."""
    seq, due, segment, at = row
    return seq, due_of(due), segment, at


def load(shelf: ObjectShelf, instance: str, receipts: Sequence[str], letters: Sequence[str]) -> Snapshot:
    """One instance, with those of the named receipts and dead letters that exist."""
    life = shelf.lives.get(instance)
    if life is None:
        return Snapshot(None)
    known = {id: receipt for id in receipts if (receipt := shelf.receipt(life.record, id)) is not None}
    buried = {id: letter for id in letters if (letter := shelf.letter(life.record, id)) is not None}
    return Snapshot(life.record.copy(), known, buried)


def items(
    storage: ObjectStorage, shelf: ObjectShelf, instance: str, segment: int, after: int, limit: int
) -> list[Item]:
    """Events of one segment."""
    life = shelf.lives.get(instance)
    return [] if life is None else items_of(storage.execute(sql("list_items"), life.ik, segment, after, limit))


def letters(storage: ObjectStorage, shelf: ObjectShelf, instance: str, after: str, limit: int) -> list[DeadLetter]:
    """Dead letters by id."""
    life = shelf.lives.get(instance)
    if life is None:
        return []
    found = [shelf.letter(life.record, id) for (id,) in storage.execute(sql("list_letters"), life.ik, after, limit)]
    return [letter for letter in found if letter is not None]


def scan(shelf: ObjectShelf, prefix: str, after: str, limit: int) -> list[Record]:
    """Records by instance id."""
    names = sorted(name for name in shelf.lives if name.startswith(prefix) and name > after)
    return [shelf.lives[name].record.copy() for name in names[: max(limit, 0)]]


def tally(storage: ObjectStorage, shelf: ObjectShelf, instance: str, now: int) -> Tally:
    """Counts over the events of one instance that nobody has in hand."""
    life = shelf.lives.get(instance)
    if life is None:
        return Tally(0, 0, 0, 0, None)
    counted = storage.execute(sql("count_items"), json_array(life.record.taken), life.ik, now)
    ((ready, delayed, retrying, oldest_at),) = counted
    ((dead,),) = storage.execute(sql("count_letters"), life.ik)
    return Tally(ready, delayed, retrying, dead, oldest_at)
