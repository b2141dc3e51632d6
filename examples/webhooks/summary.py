"""The proof: what was accepted was delivered, in order, and is in one digest; the journal and the store agree on it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from durable_primitives import QueueStatus
from examples.webhooks.receiver import Journal

Ids = dict[str, list[str]]
"""Delivery ids in order, per repository."""


class Summary(Struct, frozen=True):
    """What a replay came to.  It is complete if there are no `faults`."""

    text: str
    faults: tuple[str, ...]


def summarise(journal: Journal, store: QueueStatus) -> Summary:
    """Compare what the journal and the store say."""
    accepted = journal.by_repository("accepted")
    delivered = journal.by_repository("delivered")
    digested = journal.by_repository("digest")
    total = _total(accepted)
    disordered = [name for name, ids in accepted.items() if not _in_order(ids, delivered.get(name, []))]
    faults = (
        *_differences("delivered", accepted, delivered),
        *_differences("digests", accepted, digested),
        *(f"delivered: {name} is out of order" for name in disordered),
        *_disagreements(total, store),
    )
    _, delivered_again = journal.count("delivered")
    digests, digests_again = journal.count("digest")
    lines = (
        f"accepted   {total} deliveries of {len(accepted)} repositories",
        f"delivered  {_total(delivered)}; {delivered_again} more than once, under the same idempotency key",
        f"in order   {len(accepted) - len(disordered)} of {len(accepted)} repositories",
        f"digests    {digests} with {_total(digested)} deliveries; {digests_again} sent more than once",
        f"store      {store.processed} processed, {_live(store)} unfinished, {store.dead} dead letters",
        *(f"FAULT      {fault}" for fault in faults),
        "INCOMPLETE" if faults else "complete   nothing lost, nothing out of order, every delivery in one digest",
    )
    return Summary("\n".join(lines), faults)


def _differences(what: str, accepted: Ids, found: Ids) -> Iterator[str]:
    """Accepted and found are the same ids, each once."""
    for name in sorted({*accepted, *found}):
        expected, got = set(accepted.get(name, [])), found.get(name, [])
        if lacking := expected.difference(got):
            yield f"{what}: {name} lacks {len(lacking)}, {min(lacking)} for one"
        if foreign := set(got) - expected:
            yield f"{what}: {name} has {len(foreign)} that were never accepted, {min(foreign)} for one"
        if twice := len(got) - len(set(got)):
            yield f"{what}: {name} has {twice} twice"


def _in_order(accepted: list[str], delivered: list[str]) -> bool:
    """Judged on what both have, by when it came first."""
    common = set(accepted) & set(delivered)
    return [id for id in accepted if id in common] == [id for id in dict.fromkeys(delivered) if id in common]


def _disagreements(total: int, store: QueueStatus) -> Iterator[str]:
    """The store has processed as many as were accepted, and has nothing left."""
    if store.processed != total:
        yield f"store: {store.processed} of {total} processed"
    if _live(store) or store.dead:
        yield f"store: {_live(store)} unfinished, {store.dead} dead letters"


def _live(store: QueueStatus) -> int:
    return store.pending + store.delayed + store.running + store.retrying


def _total(ids: Ids) -> int:
    return sum(map(len, ids.values()))
