"""A sleeping worker wakes when an alarm may have come nearer: a wake-up too many is harmless, one too few is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from durable_primitives.kernel.transition import Due, Put
from durable_primitives.testing.conformance._case import case, case_for
from durable_primitives.testing.conformance._store import Store, buried, check, event

FOREVER_SECONDS = 3_600.0
HANG_GUARD_SECONDS = 30.0
"""Bounds a broken backend; a sound one is never measured against it."""

PUT = Put(status="live", data=b"")
Step = Callable[[Store], Awaitable[object]]


async def awake(waiting: Awaitable[None], promise: str) -> None:
    """Fail if it sleeps on."""
    try:
        await asyncio.wait_for(waiting, HANG_GUARD_SECONDS)
    except TimeoutError:
        raise AssertionError(
            f"{promise}\n    expected wait() to return at once\n    got      a wait that slept on"
        ) from None


async def look(store: Store) -> None:
    """What a worker does before it sleeps: no wake-up is left over, and it knows the earliest alarm."""
    await awake(store.backend.wait(0.0), "a wait of no time")
    await store.backend.next_due()


# What is there when the worker looks, and what may bring an alarm nearer then.


async def no_work(store: Store) -> None:
    """A store as it was made."""


async def work_far_away(store: Store) -> None:
    """A due time that nobody waits for now."""
    await store.apply(0, "continuous:refresh:1", put=PUT, dues=(Due("run", "set", 10**9),))


async def work_in_a_pause(store: Store) -> None:
    """Work that is held back."""
    await store.apply(0, put=Put(status="paused", data=b"", held=True), append=(event("a"),))


async def work_in_a_lease(store: Store) -> None:
    """Work that another worker has."""
    await store.own(0, event("a"), take=1)


async def work_in_a_renewed_lease(store: Store) -> None:
    """Work that another worker has for longer than it first asked."""
    store.renew((await store.own(0, event("a"), take=1)).record.token, 50_000)


async def a_letter(store: Store) -> None:
    """Work that was given up on."""
    claim = await store.own(0, event("a"), take=1)
    await store.apply(1, bury=(buried(claim.items[0]),), dues=(Due("run", "clear"),), release="yes")


async def append(store: Store) -> None:
    """Ready work."""
    await store.enqueue(2, event("new"))


async def append_a_delayed_one(store: Store) -> None:
    """Work for later."""
    await store.enqueue(2, event("new", due=5_000))


async def append_before_its_end(store: Store) -> None:
    """Work for later, and yet before the lease ends."""
    await store.enqueue(2, event("new", due=40_000), instance="queue:orders:2")


async def set_a_due(store: Store) -> None:
    """A due time where there was none."""
    await store.apply(2, put=PUT, dues=(Due("run", "set", 77),))


async def move_a_due_nearer(store: Store) -> None:
    """A due time that was further away."""
    await store.apply(2, "continuous:refresh:1", dues=(Due("run", "earlier", 77),))


async def resume(store: Store) -> None:
    """The end of a pause."""
    await store.apply(2, put=PUT)


async def release(store: Store) -> None:
    """The end of a lease."""
    await store.apply(2, release="yes")


async def redrive(store: Store) -> None:
    """A second chance."""
    await store.apply(2, redrive=("a",))


ROWS: tuple[tuple[Step, Step], ...] = (
    (no_work, append),
    (no_work, append_a_delayed_one),
    (no_work, set_a_due),
    (work_far_away, append),
    (work_far_away, set_a_due),
    (work_far_away, move_a_due_nearer),
    (work_in_a_pause, resume),
    (work_in_a_lease, release),
    (work_in_a_renewed_lease, append_before_its_end),
    (a_letter, redrive),
)


def told(before: Step, change: Step) -> str:
    """A row, in words."""
    return f"{change.__name__}, where there is {before.__name__}"


@case
async def a_change_before_the_wait_ends_it(store: Store) -> None:
    """Law 3: what is committed between the last look and the wait counts."""
    for before, change in ROWS:
        fresh = await store.fresh()
        await before(fresh)
        await look(fresh)
        await change(fresh)
        await awake(fresh.backend.wait(FOREVER_SECONDS), told(before, change))


@case
async def a_change_during_the_wait_ends_it(store: Store) -> None:
    """Law 3: at whatever moment of the wait it comes."""
    for before, change in ROWS:
        for turns in range(4):
            fresh = await store.fresh()
            await before(fresh)
            await look(fresh)
            waiting = asyncio.ensure_future(fresh.backend.wait(FOREVER_SECONDS))
            for _ in range(turns):
                await asyncio.sleep(0)
            await change(fresh)
            await awake(waiting, f"{told(before, change)}, {turns} turns into the wait")


@case
async def a_claim_is_a_look(store: Store) -> None:
    """Law 3: a worker that has just claimed, and slept through no change, is woken by the next one."""
    await store.enqueue(0, event("a"))
    await store.claim_one(0, take=1)
    check("nothing further is due", list(await store.claim(0)), [])
    await store.enqueue(1, event("b"), instance="queue:orders:2")
    await awake(store.backend.wait(FOREVER_SECONDS), "an append after a claim")


@case
async def every_change_ends_a_wait_of_its_own(store: Store) -> None:
    """Law 3: a wake-up that was used does not use up the next one."""
    for number in range(5):
        await store.backend.next_due()
        waiting = asyncio.ensure_future(store.backend.wait(FOREVER_SECONDS))
        await asyncio.sleep(0)
        await store.enqueue(number, event("a"), instance=f"queue:orders:{number}")
        await awake(waiting, f"change number {number}")
        await store.claim(number, take=1)


@case
async def all_who_wait_are_woken(store: Store) -> None:
    """Law 3: whoever sleeps must look again; which of them gets the work, the claim decides."""
    await look(store)
    waiting = [asyncio.ensure_future(store.backend.wait(FOREVER_SECONDS)) for _ in range(3)]
    await asyncio.sleep(0)
    await store.enqueue(0, event("a"))
    for number, one in enumerate(waiting):
        await awake(one, f"sleeper number {number}")


@case
async def a_wait_ends_in_time(store: Store) -> None:
    """A worker that sleeps until the next due time wakes then, whether anything happens or not."""
    for seconds in (0.0, 0.01):
        await awake(store.backend.wait(seconds), f"a wait of {seconds} seconds")


@case
async def a_cancelled_wait_swallows_nothing(store: Store) -> None:
    """Law 3: a worker that stops waiting for another reason is still told afterwards."""
    await look(store)
    waiting = asyncio.ensure_future(store.backend.wait(FOREVER_SECONDS))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await store.enqueue(0, event("a"))
    await awake(store.backend.wait(FOREVER_SECONDS), "an append after a cancelled wait")


@case_for("multi_process")
async def a_change_by_another_process_ends_the_wait(store: Store) -> None:
    """Law 3: before the wait and during it, through another backend on the same store."""
    other = await store.beside()
    await look(store)
    await other.enqueue(0, event("a"))
    await awake(store.backend.wait(FOREVER_SECONDS), "an append by another process, before the wait")
    await store.claim(0)
    await look(store)
    waiting = asyncio.ensure_future(store.backend.wait(FOREVER_SECONDS))
    await asyncio.sleep(0)
    await other.enqueue(1, event("b"), instance="queue:orders:2")
    await awake(waiting, "an append by another process, during the wait")
