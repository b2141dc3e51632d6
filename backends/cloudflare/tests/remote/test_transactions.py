"""A change that fails half-way leaves everything as it was: rows, due times, and the host's one alarm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from durable_primitives.errors import PayloadTooLargeError, StorageError
from durable_primitives.kernel.transition import Burial, ClaimRequest, Create, Due, LeaseRef, NewItem, Transition
from durable_primitives.spi import SystemRuntime
from durable_primitives_cloudflare.remote import RemoteBackend

from .conftest import open_backend
from .engine import Engine, accept
from .host import Host

LIVE = Create(status="live")
FIRST, SECOND = "queue:a:1", "queue:a:2"


def now() -> int:
    return SystemRuntime().now()


def append(instance: str, *items: NewItem) -> Transition:
    return Transition(instance=instance, at=now(), create=LIVE, append=items)


async def test_a_commit_that_fails_half_way_has_written_nothing(backend: RemoteBackend):
    """The first row stands before the second one is refused: it is longer than the platform's."""
    small, long = NewItem("a", b"x"), NewItem("b", bytes(2_000_001))
    request = ClaimRequest(owner="w", at=now(), lease_ms=60_000, limit=10, take=10)
    with pytest.raises(PayloadTooLargeError):
        await backend.commit([append(FIRST, small), append(SECOND, small, long)], request)

    assert await backend.scan("", "", 10) == []
    assert await backend.items(FIRST, 0, 0, 10) == []
    snapshot = await backend.load(FIRST, receipts=["a"])
    assert (snapshot.record, snapshot.receipts) == (None, {})
    assert await backend.next_due() is None
    (outcome,), _ = await backend.commit([append(FIRST, small)])
    assert [(one.seq, one.duplicate) for one in outcome.accepted] == [(1, False)]


POISON = "continuous:poison:1"
FAILS_AT_ITS_END = {
    "return [outcomes, claims, nearest];": f"""
      if (this.rows.record("{POISON}") !== null) throw new Error("planted");
      return [outcomes, claims, nearest];"""
}
"""A commit of one instance fails when all of it is written and the alarm is set."""


async def test_an_alarm_of_a_commit_that_failed_is_not_counted_on(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    """It was undone with the rows.  Whoever is due later than it sets one of its own."""
    host = make_host(changes=FAILS_AT_ITS_END)
    backend = await open_backend(host.backend(prefix, listen=None), opened)

    def due_in(milliseconds: int, instance: str) -> Transition:
        at = now()
        return Transition(instance=instance, at=at, create=LIVE, dues=(Due("run", "set", at + milliseconds),))

    async with Engine(host.callback_port, accept) as engine:
        with pytest.raises(StorageError, match="planted") as caught:
            await backend.commit([due_in(50, POISON)])
        assert caught.value.outcome == "not_applied"
        assert await backend.scan("", "", 10) == []

        await backend.commit([due_in(500, "continuous:a:1")])
        await engine.until_calls(1)


UNTIL = 4_000_000_000_000
SECOND_RENEWAL_FAILS = {
    "this.rows.store(record, alarm);": f"""
      if (record.instance === "{SECOND}" && record.lease_until === {UNTIL}) throw new Error("planted");
      this.rows.store(record, alarm);"""
}


async def test_renewals_that_fail_half_way_have_renewed_nothing(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    host = make_host(changes=SECOND_RENEWAL_FAILS)
    backend = await open_backend(host.backend(prefix, listen=None), opened)
    request = ClaimRequest(owner="w", at=now(), lease_ms=60_000, limit=10, take=1)
    _, claims = await backend.commit([append(one, NewItem("a", b"x")) for one in (FIRST, SECOND)], request)
    before = {claim.record.instance: claim.record.lease_until for claim in claims}
    assert list(before) == [FIRST, SECOND]

    with pytest.raises(StorageError, match="planted"):
        backend.renew([LeaseRef(claim.record.instance, claim.record.token) for claim in claims], UNTIL)

    assert {record.instance: record.lease_until for record in await backend.scan("", "", 10)} == before


SWEEP_FAILS_BEHIND_THE_LETTERS = {
    "let gone = old.length;": 'let gone = old.length; if (gone) throw new Error("planted");'
}


async def test_a_sweep_that_fails_half_way_has_swept_nothing(
    make_host: Callable[..., Host], prefix: str, opened: AsyncExitStack
):
    host = make_host(changes=SWEEP_FAILS_BEHIND_THE_LETTERS)
    backend = await open_backend(host.backend(prefix, listen=None), opened)
    at = now()
    burial = Burial("letter", None, b"x", 3, "{}", 1, at + 1)
    await backend.commit([Transition(instance=FIRST, at=at, create=LIVE, bury=(burial,))])

    with pytest.raises(StorageError, match="planted"):
        await backend.sweep(at + 1_000, 100)

    (letter,) = await backend.letters(FIRST, "", 10)
    assert letter.payload == b"x"
