"""Deletes what has outlived its use, inside one transaction."""

from __future__ import annotations

from collections.abc import Callable

from durable_primitives.kernel.record import MAX_LETTERS
from durable_primitives_cloudflare.object.life import Life
from durable_primitives_cloudflare.object.rows import json_array
from durable_primitives_cloudflare.object.shelf import ObjectShelf
from durable_primitives_cloudflare.object.statements import sql
from durable_primitives_cloudflare.object.storage import ObjectStorage


def sweep(storage: ObjectStorage, shelf: ObjectShelf, name: Callable[[str], str], now: int, budget: int) -> int:
    """Delete at most `budget` rows; returns how many went."""
    gone = 0
    for life in list(shelf.lives.values()):
        gone += _sweep_rows(storage, life, now, max(budget, 0) - gone)
        if gone < budget and _may_go(storage, life, now):
            storage.execute(sql("delete_life"), life.ik)
            storage.execute(sql("delete_instance"), name(life.record.instance))
            del shelf.lives[life.record.instance]
            gone += 1
    if gone:
        expiries = [storage.execute(sql("find_first_expiry"), life.ik)[0][0] for life in shelf.lives.values()]
        shelf.first_expiry = min((at for at in expiries if at is not None), default=None)
    return gone


def _sweep_rows(storage: ObjectStorage, life: Life, now: int, budget: int) -> int:
    keys = [key for (key,) in storage.execute(sql("list_expired_events"), life.ik, now, budget)]
    if keys:
        storage.execute(sql("delete_expired_events"), life.ik, json_array(keys))
    surplus = storage.execute(sql("list_surplus_letters"), life.ik, now, MAX_LETTERS, budget - len(keys))
    for (id,) in surplus:
        storage.execute(sql("delete_letter"), life.ik, id)
    return len(keys) + len(surplus)


def _may_go(storage: ObjectStorage, life: Life, now: int) -> bool:
    purge_at = life.record.purge_at
    return purge_at is not None and purge_at <= now and not storage.execute(sql("count_letters"), life.ik)[0][0]
