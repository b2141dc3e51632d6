"""A lease in hand: the only way in which the effects of user code reach the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import structs

from durable_primitives.errors import LeaseLostError, StorageError
from durable_primitives.events import EventTracker, InstanceLeaseLost, PrimitiveEvent
from durable_primitives.kernel.decision import Decision
from durable_primitives.kernel.ids import split_instance
from durable_primitives.kernel.record import RECHECK_DUE, Item, Record
from durable_primitives.kernel.transition import Claim, Guard, LeaseRef, Outcome, Put, Transition
from durable_primitives.spi import Runtime, Storage

MAX_DELIVERIES = 5
"""Claims of one piece of work that may end without an outcome before it is given up as a crash loop (law 8)."""

RETRY_SECONDS = 0.5
"""Between the tries of a commit that a busy or full store refused."""

Submit = Callable[[Transition], Outcome | asyncio.Future[Outcome]]


class Ownership:
    """One claimed instance.  At most one worker's commits pass the fence (law 4); the others raise `LeaseLostError`."""

    def __init__(
        self, claim: Claim, submit: Submit, storage: Storage, runtime: Runtime, tracker: EventTracker, namespace: str
    ) -> None:
        self.record: Record = claim.record
        self.items: Sequence[Item] = claim.items
        self.suspects = claim.suspects
        self.instance = claim.record.instance
        self.kind, self.name, self.id = split_instance(self.instance)
        self.token = claim.record.token
        self.runtime = runtime
        self.tracker = tracker
        self.namespace = namespace
        self.storage = storage
        self.lost = False
        """The lease is gone: nothing that is done now can be committed."""
        self.draining = False
        """The worker is shutting down: finish what runs, start nothing."""
        self.parked_as = claim.record.status if RECHECK_DUE in claim.record.dues else None
        """The status under which the instance was parked when it was claimed, or has been parked since."""
        self.crowded: Callable[[], bool] = lambda: False
        """Whether other instances wait for a place in this worker."""
        self.held = claim.record.held
        """The instance is paused, as far as this process knows: start nothing further."""
        self.on_change: Callable[[], None] | None = None
        """Called on the event loop when `lost`, `draining`, `held` or the stored record may have changed."""
        self.submit = submit
        """Commit without waiting: for a caller that guards with `fence` and hands the outcome to `check`."""
        self._fence = Guard(token=self.token, generation=self.record.generation)

    @property
    def ref(self) -> LeaseRef:
        return LeaseRef(self.instance, self.token)

    @property
    def fence(self) -> Guard:
        """The guard of every commit of this owner."""
        return self._fence

    def versioned(self) -> Guard:
        """The fence, and nobody may have written the record since this owner last saw it."""
        return Guard(token=self.token, generation=self.record.generation, version=self.record.version)

    async def commit(self, transition: Transition) -> Outcome:
        """Commit under the fence.  Raises `LeaseLostError`, and marks the ownership lost, if another owner has it.

        A store that is busy or full is asked again while the lease lasts: no handler is to run anew for that.
        """
        outcome = self.check(await self._applied(transition))
        if outcome.verdict == "applied" and transition.put is not None:
            self._adopt(transition.put, outcome)
        return outcome

    async def _applied(self, transition: Transition) -> Outcome:
        while True:
            try:
                outcome = self.submit(transition)
                return outcome if isinstance(outcome, Outcome) else await outcome
            except StorageError as error:
                if error.outcome != "not_applied" or self.lost:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    def _adopt(self, put: Put, outcome: Outcome) -> None:
        """What this owner has written, it has seen."""
        self.record = structs.replace(
            self.record,
            status=put.status,
            data=put.data,
            held=put.held,
            linger_ms=put.linger_ms,
            version=outcome.version,
            dues=self.record.dues if outcome.dues is None else outcome.dues,
        )

    def check(self, outcome: Outcome) -> Outcome:
        """The outcome of a transition that was guarded by `fence`, or `LeaseLostError`."""
        if outcome.verdict == "fenced":
            self.lose()
            raise LeaseLostError(self.instance)
        return outcome

    async def decide(self, decide: Callable[[Record], Decision[Any]]) -> Outcome:
        """Commit what `decide` makes of the record; if somebody else wrote it meanwhile, look again and decide anew.

        The decision's transition must carry `versioned()` as its guard.
        """
        while True:
            decision = decide(self.record)
            assert decision.transition is not None
            outcome = await self.commit(decision.transition)
            if outcome.verdict == "applied":
                self.track(decision, outcome)
                return outcome
            await self.refresh()

    async def refresh(self) -> Record:
        """Read the record again."""
        record = (await self.storage.load(self.instance)).record
        if record is None or record.owner is None or record.token != self.token:
            self.lose()
            raise LeaseLostError(self.instance)
        self.record = record
        return record

    def track(self, decision: Decision[Any], outcome: Outcome) -> None:
        """Tell the tracker what a committed decision did."""
        if self.tracker.enabled and decision.events is not None:
            for event in decision.events(outcome):
                self.tracker.track(event)

    def emit(self, event: PrimitiveEvent) -> None:
        """Tell the tracker one thing."""
        if self.tracker.enabled:
            self.tracker.track(event)

    def lose(self) -> None:
        """The lease is gone."""
        if self.lost:
            return
        self.lost = True
        if self.tracker.enabled:
            self.tracker.track(
                InstanceLeaseLost(
                    at_ms=self.runtime.now(),
                    namespace=self.namespace,
                    kind=self.kind,
                    name=self.name,
                    instance_id=self.instance,
                )
            )
        self.notice()

    def drain(self) -> None:
        """The worker is shutting down."""
        self.draining = True
        self.notice()

    def written(self, outcome: Outcome) -> None:
        """This process has written to the instance from outside of the run: a pause holds before its caller knows."""
        self.held = outcome.held
        self.notice()

    def notice(self) -> None:
        """Something may have changed: let the executor look."""
        if self.on_change is not None:
            self.on_change()
