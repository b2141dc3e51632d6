"""A lease in hand: the fence, deciding again, and what a worker hears when it is lost."""

from __future__ import annotations

import pytest

from durable_primitives.errors import LeaseLostError, StorageBusyError, StorageError
from durable_primitives.events import InstanceLeaseLost
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.record import Record
from durable_primitives.kernel.transition import ClaimRequest, Create, Due, Put, Transition
from durable_primitives.services import ownership as ownership_module
from durable_primitives.services.ownership import Ownership
from tests.engine.fleet import LEASE, Fleet, Process

INSTANCE = "queue:q:0"


async def due_instance(fleet: Fleet) -> None:
    at = fleet.clock.ms
    fleet.store.commit_now(
        [Transition(instance=INSTANCE, at=at, create=Create(status="new"), dues=(Due("run", "set", at),))]
    )


def claim(fleet: Fleet, process: Process) -> Ownership:
    request = ClaimRequest(owner="me", at=fleet.clock.ms, lease_ms=LEASE, limit=1, take=1)
    _, (claimed,) = fleet.store.commit_now((), request)
    return process.engine.own(claimed)


def put(ownership: Ownership, status: str) -> Transition:
    return Transition(
        instance=INSTANCE,
        at=ownership.runtime.now(),
        guard=ownership.versioned(),
        put=Put(status=status, data=b"", held=False),
    )


async def test_a_stale_owner_changes_nothing_and_hears_that_it_is_one() -> None:
    fleet = await Fleet().open()
    await due_instance(fleet)
    one, two = fleet.process(), fleet.process()
    stale = claim(fleet, one)
    heard: list[bool] = []
    stale.on_change = lambda: heard.append(stale.lost)
    fleet.pass_time(LEASE)
    owner = claim(fleet, two)
    before = await fleet.record(INSTANCE)
    with pytest.raises(LeaseLostError) as lost:
        await stale.commit(Transition(instance=INSTANCE, at=fleet.clock.ms, guard=stale.fence, release="yes"))
    assert lost.value.instance_id == INSTANCE
    with pytest.raises(LeaseLostError):
        await stale.refresh()
    assert await fleet.record(INSTANCE) == before
    assert heard == [True]
    assert [event.instance_id for event in one.tracker.of_type(InstanceLeaseLost)] == [INSTANCE]
    done = (Due("run", "clear"),)
    await owner.commit(Transition(instance=INSTANCE, at=fleet.clock.ms, guard=owner.fence, dues=done, release="yes"))
    assert (await fleet.record(INSTANCE)).owner is None


async def test_a_write_of_an_erased_generation_is_refused() -> None:
    fleet = await Fleet().open()
    await due_instance(fleet)
    ownership = claim(fleet, fleet.process())
    fleet.store.commit_now([Transition(instance=INSTANCE, at=fleet.clock.ms, erase=True)])
    with pytest.raises(LeaseLostError):
        await ownership.commit(put(ownership, "back from the dead"))
    assert (await fleet.record(INSTANCE)).status == "terminated"


async def test_a_decision_is_made_anew_when_somebody_wrote_meanwhile() -> None:
    fleet = await Fleet().open()
    await due_instance(fleet)
    ownership = claim(fleet, fleet.process())
    fleet.store.commit_now(
        [Transition(instance=INSTANCE, at=fleet.clock.ms, put=Put(status="stopped", data=b"", held=False))]
    )
    seen: list[str] = []

    def decide(record: Record) -> Decision[None]:
        seen.append(record.status)
        return Decision(put(ownership, f"after {record.status}"), lambda _: None)

    await ownership.decide(decide)
    assert seen == ["new", "stopped"]
    assert (await fleet.record(INSTANCE)).status == "after stopped"


async def test_a_worker_that_takes_its_own_expired_lease_over_tells_the_run_that_had_it() -> None:
    fleet = await Fleet().open()
    await due_instance(fleet)
    process = fleet.process()
    stale = claim(fleet, process)
    fleet.pass_time(LEASE)
    owner = claim(fleet, process)
    assert (stale.lost, owner.lost) == (True, False)
    assert process.engine.owned == {INSTANCE: owner}


async def test_an_owner_asks_a_busy_store_again_and_a_broken_one_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership_module, "RETRY_SECONDS", 0.0)
    fleet = await Fleet().open()
    await due_instance(fleet)
    process = fleet.process(immediate=False)
    ownership = claim(fleet, process)
    process.wire.failures += [StorageBusyError("locked")] * 3
    assert (await ownership.commit(put(ownership, "written"))).verdict == "applied"
    process.wire.failures.append(StorageError("cut off", outcome="unknown"))
    with pytest.raises(StorageError, match="cut off"):
        await ownership.commit(put(ownership, "perhaps"))
    process.wire.failures.append(StorageBusyError("locked"))
    ownership.lose()
    with pytest.raises(StorageBusyError):
        await ownership.commit(put(ownership, "too late"))
    assert (await fleet.record(INSTANCE)).status == "written"
