"""Many transitions, few round trips: who travels with whom, and who hears what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from durable_primitives.engine.group_commit import GroupCommit
from durable_primitives.engine.lanes import MAX_BATCH, MAX_BATCH_BYTES, MAX_JOINED_BYTES
from durable_primitives.errors import (
    PayloadTooLargeError,
    StorageBusyError,
    StorageCorruptedError,
    StorageError,
    StorageFullError,
)
from durable_primitives.kernel.transition import Claim, ClaimRequest, Create, Guard, NewItem, Outcome, Put, Transition
from durable_primitives.spi import xxh3_64
from tests.engine.fleet import EPOCH_MS, LEASE, Fleet, Wire, turns


def event(n: int, guard: Guard | None = None) -> Transition:
    """One event for an instance of its own."""
    return Transition(
        instance=f"queue:q:{n}",
        at=EPOCH_MS,
        guard=guard,
        create=Create(status="active"),
        append=(NewItem(f"e{n}", b""),),
    )


def wish() -> ClaimRequest:
    return ClaimRequest(owner="me", at=EPOCH_MS, lease_ms=LEASE, limit=10, take=1)


async def slow_store(*, overlapping: bool = False, partitions: int = 1) -> tuple[GroupCommit, Wire]:
    """Round trips that take until the gate is open."""
    wire = Wire((await Fleet().open()).store, immediate=False, overlapping=overlapping, partitions=partitions)
    return GroupCommit(wire), wire  # type: ignore[arg-type]


async def outcome_of(submitted: Outcome | asyncio.Future[Outcome]) -> Outcome:
    return submitted if isinstance(submitted, Outcome) else await submitted


def instances(wire: Wire) -> list[list[str]]:
    return [[transition.instance.rpartition(":")[2] for transition in batch] for batch, _ in wire.trips]


async def test_what_is_submitted_in_one_turn_leaves_together_and_in_order() -> None:
    commits, wire = await slow_store()
    outcomes = await asyncio.gather(*(outcome_of(commits.submit(event(n))) for n in range(5)))
    assert instances(wire) == [["0", "1", "2", "3", "4"]]
    assert [outcome.verdict for outcome in outcomes] == ["applied"] * 5


async def test_what_arrives_during_a_round_trip_leaves_as_the_next_one() -> None:
    commits, wire = await slow_store()
    wire.gate.clear()
    first = commits.submit(event(0))
    await wire.arrived.wait()
    later = [commits.submit(event(n)) for n in (1, 2, 3)]
    await turns()
    assert not any(future.done() for future in (first, *later))  # type: ignore[union-attr]
    wire.gate.set()
    await asyncio.gather(*(outcome_of(future) for future in (first, *later)))
    assert instances(wire) == [["0"], ["1", "2", "3"]]


async def test_a_round_trip_carries_a_bounded_batch() -> None:
    commits, wire = await slow_store()
    await asyncio.gather(*(outcome_of(commits.submit(event(n))) for n in range(MAX_BATCH + 1)))
    assert [len(batch) for batch, _ in wire.trips] == [MAX_BATCH, 1]


async def test_a_round_trip_carries_a_bounded_number_of_bytes() -> None:
    commits, wire = await slow_store()
    third = bytes(MAX_BATCH_BYTES // 3)
    appends = [replace(event(n), append=(NewItem(None, third),)) for n in range(4)]
    states = [replace(event(n), append=(), put=Put(status="active", data=third)) for n in range(4, 7)]
    whole = replace(event(7), append=(NewItem(None, bytes(MAX_BATCH_BYTES + 1)),))
    outcomes = await asyncio.gather(*(outcome_of(commits.submit(one)) for one in (*appends, *states, whole)))
    assert instances(wire) == [["0", "1", "2"], ["3", "4", "5"], ["6"], ["7"]]
    assert [outcome.verdict for outcome in outcomes] == ["applied"] * 8


async def test_a_joined_append_has_a_bounded_number_of_bytes() -> None:
    commits, wire = await slow_store()
    one = event(0)
    third = NewItem(None, bytes(MAX_JOINED_BYTES // 3))
    appends = [replace(one, append=(third,)) for _ in range(7)]
    outcomes = await asyncio.gather(*(outcome_of(commits.submit(append, joins=True)) for append in appends))
    assert [len(transition.append) for transition in wire.trips[0][0]] == [3, 3, 1]
    assert [outcome.accepted[0].seq for outcome in outcomes] == [1, 2, 3, 4, 5, 6, 7]


async def test_a_full_store_refuses_who_adds_and_takes_what_makes_room() -> None:
    commits, wire = await slow_store()
    await outcome_of(commits.submit(event(0)))
    wire.failures.append(StorageFullError("full", outcome="not_applied"))
    adding = commits.submit(event(1))
    removing = commits.submit(Transition(instance="queue:q:0", at=EPOCH_MS, cancel=("e0",)))
    assert (await outcome_of(removing)).cancelled == ("cancelled",)
    with pytest.raises(StorageFullError):
        await outcome_of(adding)
    assert instances(wire) == [["0"], ["1", "0"], ["0"]]


async def test_a_damaged_instance_fails_those_who_write_to_it_and_nobody_else() -> None:
    commits, wire = await slow_store()
    wire.failures += [
        StorageCorruptedError("damaged", outcome="not_applied", instance_id="queue:q:1"),
        StorageCorruptedError("damaged", outcome="not_applied", instance_id="queue:q:3"),
    ]
    submitted = [commits.submit(event(n)) for n in range(5)]
    heard = await asyncio.gather(*map(outcome_of, submitted), return_exceptions=True)
    assert [one.instance_id if isinstance(one, StorageCorruptedError) else "" for one in heard] == [
        *("", "queue:q:1", "", "queue:q:3", "")
    ]
    assert instances(wire) == [["0", "1", "2", "3", "4"], ["0", "2", "3", "4"], ["0", "2", "4"]]


async def test_damage_of_the_whole_store_fails_everybody() -> None:
    commits, wire = await slow_store()
    wire.failures.append(StorageCorruptedError("damaged", outcome="not_applied"))
    heard = await asyncio.gather(*(outcome_of(commits.submit(event(n))) for n in range(2)), return_exceptions=True)
    assert [type(one) for one in heard] == [StorageCorruptedError] * 2
    assert len(wire.trips) == 1


async def test_each_caller_hears_what_became_of_its_own_transition() -> None:
    commits, _ = await slow_store()
    refused = event(1, Guard(exists=True))
    outcomes = await asyncio.gather(*(outcome_of(commits.submit(one)) for one in (event(0), refused, event(2))))
    assert [outcome.verdict for outcome in outcomes] == ["applied", "conflict", "applied"]


async def test_an_append_does_not_join_one_across_what_was_asked_between_them() -> None:
    commits, wire = await slow_store()
    one = event(0)
    appends = [replace(one, append=(NewItem(id, b""),)) for id in ("a", "b", "c")]
    between = Transition(instance="queue:q:0", at=EPOCH_MS, cancel=("b",))
    submitted = [commits.submit(one, joins=one is not between) for one in (appends[0], between, *appends[1:])]
    outcomes = [await outcome_of(one) for one in submitted]
    assert [[item.id for item in one.append] for one in wire.trips[0][0]] == [["a"], [], ["b", "c"]]
    assert outcomes[1].cancelled == ("not_found",)


async def test_a_cancelled_caller_neither_breaks_nor_blocks_its_batch() -> None:
    commits, wire = await slow_store()
    wire.gate.clear()
    callers = [asyncio.ensure_future(outcome_of(commits.submit(event(n)))) for n in range(3)]
    await wire.arrived.wait()
    callers[1].cancel()
    waiting = asyncio.ensure_future(outcome_of(commits.submit(event(3))))
    gone = asyncio.ensure_future(outcome_of(commits.submit(event(4))))
    await turns()
    gone.cancel()
    wire.gate.set()
    assert [(await caller).verdict for caller in (callers[0], callers[2], waiting)] == ["applied"] * 3
    # A cancelled caller does not learn it, but its transition was applied wholly.
    assert instances(wire) == [["0", "1", "2"], ["3", "4"]]
    assert callers[1].cancelled()
    assert gone.cancelled()


async def test_a_failing_batch_fails_its_own_callers_and_the_next_one_goes_on() -> None:
    commits, wire = await slow_store()
    cause = OSError("the disk")
    failure = StorageBusyError("somebody holds it", backend="memory")
    failure.__cause__ = cause
    wire.failures.append(failure)
    wire.gate.clear()
    failing = [commits.submit(event(n)) for n in range(3)]
    await wire.arrived.wait()
    fine = commits.submit(event(3))
    wire.gate.set()
    raised = await asyncio.gather(*(outcome_of(future) for future in failing), return_exceptions=True)
    assert (await outcome_of(fine)).verdict == "applied"
    assert all(type(error) is StorageBusyError for error in raised)
    assert len({id(error) for error in raised}) == 3, "callers share an exception, and so its traceback"
    for error in raised:
        assert isinstance(error, StorageBusyError)
        assert (error.message, error.backend, error.outcome) == ("somebody holds it", "memory", "not_applied")
        assert error.__cause__ is cause


async def test_what_is_too_large_for_the_store_fails_nobody_else() -> None:
    """Nothing was written: the others leave once more, each by itself."""
    commits, wire = await slow_store()
    too_large = PayloadTooLargeError(9, 8)
    wire.failures += [too_large, too_large]
    commits.claimant = wish
    claimed: list[Sequence[Claim]] = []
    commits.on_claims = claimed.append

    raised, *fine = await asyncio.gather(
        *(outcome_of(commits.submit(event(n))) for n in range(3)), return_exceptions=True
    )

    assert type(raised) is PayloadTooLargeError
    assert [outcome.verdict for outcome in fine if isinstance(outcome, Outcome)] == ["applied"] * 2
    assert instances(wire) == [["0", "1", "2"], ["0"], ["1"], ["2"], []]
    assert [claim.record.instance for claims in claimed for claim in claims] == ["queue:q:1", "queue:q:2"]


async def test_an_error_that_cannot_be_copied_still_reaches_every_caller() -> None:
    class Odd(Exception):
        def __init__(self, one: object, two: object) -> None:
            super().__init__("odd")

    commits, wire = await slow_store()
    wire.failures.append(Odd(1, 2))
    raised = await asyncio.gather(*(outcome_of(commits.submit(event(n))) for n in range(3)), return_exceptions=True)
    assert [type(error) for error in raised] == [Odd] * 3


async def test_draining_waits_for_what_is_in_flight_and_what_waits_behind_it() -> None:
    commits, wire = await slow_store()
    await commits.drain()
    wire.gate.clear()
    first = commits.submit(event(0))
    await wire.arrived.wait()
    second = commits.submit(event(1))
    draining = asyncio.create_task(commits.drain())
    await turns()
    assert not draining.done()
    wire.gate.set()
    await draining
    assert first.done()  # type: ignore[union-attr]
    assert second.done()  # type: ignore[union-attr]


async def test_a_claim_travels_with_every_round_trip() -> None:
    commits, wire = await slow_store()
    claimed: list[str] = []

    def accept(claims: Sequence[Claim]) -> None:
        claimed.extend(claim.record.instance for claim in claims)

    commits.claimant, commits.on_claims = wish, accept
    await asyncio.gather(*(outcome_of(commits.submit(event(n))) for n in range(3)))
    assert claimed == ["queue:q:0", "queue:q:1", "queue:q:2"]
    assert len(wire.trips) == 1


async def test_a_claim_needs_no_transition_and_tells_how_many_came() -> None:
    commits, wire = await slow_store()
    await outcome_of(commits.submit(event(0)))
    commits.claimant = wish
    assert await commits.claim() == 1
    assert await commits.claim() == 0
    assert instances(wire) == [["0"], [], []]


async def test_a_claim_returns_behind_the_round_trips_that_left_before_it() -> None:
    commits, wire = await slow_store()
    wire.gate.clear()
    first = commits.submit(event(0))
    await wire.arrived.wait()
    nothing = asyncio.create_task(commits.claim())
    await turns()
    assert not nothing.done()
    wire.gate.set()
    assert await nothing == 0
    assert first.done()  # type: ignore[union-attr]
    assert len(wire.trips) == 1, "nothing to commit and nothing wanted is no round trip"


async def test_a_failing_batch_fails_those_who_wait_for_its_claim() -> None:
    commits, wire = await slow_store()
    wire.failures.append(StorageError("gone"))
    commits.claimant = wish
    with pytest.raises(StorageError):
        await commits.claim()


async def test_when_the_loop_closes_nobody_is_left_waiting() -> None:
    commits, wire = await slow_store()
    wire.gate.clear()
    left = commits.submit(event(0))
    await wire.arrived.wait()
    stayed = commits.submit(event(1))
    asking = asyncio.create_task(commits.claim())
    await turns()
    for trip in commits._lanes[0].trips:
        trip.cancel()
    raised = await asyncio.gather(outcome_of(left), outcome_of(stayed), asking, return_exceptions=True)
    assert [error.outcome for error in raised if isinstance(error, StorageError)] == [
        "unknown",
        "not_applied",
        "not_applied",
    ]
    await commits.drain()
    wire.gate.set()
    assert (await outcome_of(commits.submit(event(2)))).verdict == "applied"


async def test_a_store_that_answers_at_once_is_not_waited_for() -> None:
    commits = GroupCommit((await Fleet().open()).store)
    claimed: list[str] = []
    commits.claimant = wish
    commits.on_claims = lambda claims: claimed.extend(claim.record.instance for claim in claims)
    outcome = commits.submit(event(0))
    assert isinstance(outcome, Outcome)
    assert claimed == ["queue:q:0"]
    assert await commits.claim() == 0
    await commits.drain()


# A backend that works beside the interpreter.


async def test_a_second_round_trip_leaves_while_the_first_is_under_way_and_a_third_waits() -> None:
    commits, wire = await slow_store(overlapping=True)
    wire.gate.clear()
    futures = []
    for n in range(4):
        futures.append(commits.submit(event(n)))
        await turns()
    assert wire.under_way == 2
    wire.gate.set()
    await asyncio.gather(*(outcome_of(future) for future in futures))
    assert instances(wire) == [["0"], ["1"], ["2", "3"]]


async def test_one_claim_is_under_way_at_a_time() -> None:
    commits, wire = await slow_store(overlapping=True)
    commits.claimant = wish
    wire.gate.clear()
    first = asyncio.create_task(commits.claim())
    await turns()
    second, third = commits.submit(event(0)), asyncio.create_task(commits.claim())
    await turns()
    wire.gate.set()
    await asyncio.gather(outcome_of(second), first, third)
    assert [(len(batch), request is not None) for batch, request in wire.trips] == [(0, True), (1, False), (0, True)]
    assert (first.result(), third.result()) == (0, 1), "the second claim saw what was committed before it"


@pytest.mark.parametrize(("overlapping", "most", "size"), [(True, 2, 32), (False, 1, 64)])
async def test_callers_who_come_back_at_once_keep_the_backend_busy(overlapping: bool, most: int, size: int) -> None:
    commits, wire = await slow_store(overlapping=overlapping)
    wire.turns = 4

    async def caller(n: int) -> None:
        for _ in range(10):
            await outcome_of(commits.submit(event(n)))

    await asyncio.gather(*(caller(n) for n in range(64)))
    assert wire.most_under_way == most
    sizes = [len(batch) for batch, _ in wire.trips]
    assert sum(sizes) == 640
    assert set(sizes[1:-1]) == {size}


# A store in partitions, each of which answers by itself.


async def apart(partitions: int) -> tuple[GroupCommit, Wire, Transition, Transition]:
    """Such a store, and events for two instances in different partitions."""
    commits, wire = await slow_store(overlapping=True, partitions=partitions)
    first = event(0)
    other = next(
        one
        for one in map(event, range(1, 100))
        if (xxh3_64(one.instance.encode()) - xxh3_64(first.instance.encode())) % partitions
    )
    return commits, wire, first, other


async def test_a_partition_that_is_stuck_holds_up_no_other() -> None:
    commits, wire, stuck, other = await apart(4)
    wire.stuck.add(stuck.instance)
    late = []
    for _ in range(3):
        # More round trips than may be under way at once.
        late.append(commits.submit(stuck))
        assert (await outcome_of(commits.submit(other))).verdict == "applied"
    assert not any(future.done() for future in late)  # type: ignore[union-attr]
    wire.freed.set()
    await commits.drain()
    assert [(await outcome_of(one)).accepted[0].position for one in late] == [1, 1, 1], "duplicates of the first"
    assert all(len({one.instance for one in batch}) == 1 for batch, _ in wire.trips)


async def test_a_claim_in_a_partition_that_is_stuck_leaves_places_for_others() -> None:
    commits, wire, stuck, other = await apart(4)
    claimed: list[str] = []
    commits.claimant = wish
    commits.on_claims = lambda claims: claimed.extend(claim.record.instance for claim in claims)
    wire.stuck.add(stuck.instance)
    late = commits.submit(stuck)
    await turns()
    await outcome_of(commits.submit(other))
    assert claimed == [other.instance]
    assert await commits.claim() == 0
    wire.freed.set()
    await outcome_of(late)
    assert [request and request.limit for _, request in wire.trips] == [2, 8, 2], "together the ten that are wished for"
    assert sorted(claimed) == sorted([stuck.instance, other.instance])


async def test_a_claim_waits_for_those_that_have_asked_for_all_places() -> None:
    commits, wire, stuck, _ = await apart(2)
    commits.claimant = lambda: replace(wish(), limit=2)
    wire.stuck.add(stuck.instance)
    late = commits.submit(stuck)
    await turns()
    commits.claimant = lambda: None
    waiting = asyncio.create_task(commits.claim())
    await turns()
    assert not waiting.done(), "what is on its way is the worker's already"
    wire.freed.set()
    assert await waiting == 0
    assert late.done()  # type: ignore[union-attr]
