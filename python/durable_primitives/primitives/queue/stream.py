"""One owned instance of a queue: events flow through a ready queue into slots, outcomes flow back in shared commits.

An event whose handler has returned frees its slot at once; only its own lane waits until its outcome is committed.
Commits leave at the end of a turn of the event loop, at most one is in flight, and each takes the next events in hand,
so throughput is not bound to one round trip per event and order is never at risk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import structs

from durable_primitives._core import ReadyQueue
from durable_primitives.durations import to_datetime
from durable_primitives.errors import LeaseLostError, StorageError
from durable_primitives.kernel.record import Item
from durable_primitives.kernel.transition import Burial, Outcome, Removal, Reschedule, Transition
from durable_primitives.logs import bind_context, get_logger
from durable_primitives.primitives.queue import telling
from durable_primitives.primitives.queue.context import QueueDeadLetterContext, QueueExecuteContext
from durable_primitives.primitives.queue.orchestrator import Verdict
from durable_primitives.primitives.queue.stored import suspects_of
from durable_primitives.services.ownership import MAX_DELIVERIES, RETRY_SECONDS, Ownership
from durable_primitives.signals import Signal

if TYPE_CHECKING:
    from durable_primitives.primitives.queue.executor import QueueExecutor

YIELD_EVERY = 64
"""Events that one slot runs before it lets the event loop turn."""

MAX_UNCOMMITTED = 1000
"""Outcomes that wait for their commit before a slot pauses."""

QUANTUM_SECONDS = 5.0
"""How long an instance keeps its place while others wait for one."""

_log = get_logger("durable_primitives.queue")

_Ended = tuple[Item, Verdict, float]
"""An event, what becomes of it, and for how many seconds its handler ran."""


class Stream:
    """The run of one claim."""

    def __init__(self, executor: QueueExecutor, ownership: Ownership) -> None:
        self._executor = executor
        self._owned = ownership
        self._definition = executor.definition
        self._orchestrator = executor.orchestrator
        self.environment = executor.environment
        self.instance = ownership.instance
        self.name = ownership.name
        self.index = int(ownership.id)
        self._ready = ReadyQueue()
        self._items: dict[int, Item] = {}
        self._running: dict[int, Item] = {}
        self._lane_heads: set[int] = set()
        """Events with a key that were begun: their lanes wait until their outcomes are committed."""
        self._cancelled: set[int] = set()
        self._is_careful = bool(ownership.suspects)
        """One of the events may have killed the last owner: hold only what runs."""
        self._suspects = set(ownership.suspects)
        """Events that may have killed a process, and whose deliveries are not counted yet."""
        self._verdicts: list[_Ended] = []
        self._returned: list[int] = []
        self._in_flight = False
        self._flush_planned = False
        self._landed = asyncio.Event()
        self._over = False
        self._released = False
        self._failure: BaseException | None = None
        self._started = ownership.runtime.monotonic()
        self._busy_since = self._started
        self._finished_since = 0

    async def run(self) -> None:
        """Until the lease is given back or lost."""
        self._owned.on_change = self._changed
        self._admit(self._owned.items)
        self._cancel(self._owned.record.cancels)
        if self._owned.held:
            self._changed()
        try:
            await self._remember_suspects()
            if self._definition.per_instance == 1:
                await self._slot()
            else:
                self._plan_flush()
                await self._slots()
        except LeaseLostError:
            self._owned.lose()
        except asyncio.CancelledError:
            await self._give_up()
            raise
        finally:
            self._over = True
            self._owned.on_change = None
        if self._failure is not None:
            raise self._failure

    def is_cancelled(self, seq: int) -> bool:
        """Whether the handler of an event should come to an end."""
        return seq in self._cancelled or self._owned.lost or self._owned.draining

    # Slots.

    async def _slots(self) -> None:
        slots = [asyncio.ensure_future(self._slot()) for _ in range(self._definition.per_instance)]
        try:
            await asyncio.gather(*slots)
        finally:
            for slot in slots:
                slot.cancel()
            await asyncio.wait(slots)

    async def _slot(self) -> None:
        """Run one event after the other; inline, for a task per event would cost more than most events."""
        ran = 0
        while not self._over:
            seq = None if self._may_not_start() else self._ready.pop()
            if seq is None:
                await self._rest()
                ran = 0
                continue
            await self._run_one(self._items.pop(seq))
            ran += 1
            if ran >= YIELD_EVERY or len(self._verdicts) >= MAX_UNCOMMITTED:
                ran = 0
                await self._breathe()

    def _may_not_start(self) -> bool:
        owned = self._owned
        return owned.held or owned.lost or owned.draining

    async def _breathe(self) -> None:
        """Let the loop turn; wait for the commit in flight if too much is uncommitted."""
        await asyncio.sleep(0)
        while len(self._verdicts) >= MAX_UNCOMMITTED and self._in_flight:
            await self._landing()

    async def _rest(self) -> None:
        """Nothing can start: wait for a commit, or for another slot, or give the instance back."""
        if self._owned.lost:
            self._over = True
            self._landed.set()
            return
        if not self._in_flight and (self._verdicts or self._returned or not self._running):
            self._flush()
            if not self._in_flight:
                return
        if not self._over:
            await self._landing()

    async def _landing(self) -> None:
        self._landed.clear()
        await self._landed.wait()

    # One event.

    async def _run_one(self, item: Item) -> None:
        seq = item.seq
        runtime = self._owned.runtime
        if item.lane is None:
            self._ready.done(seq)
        else:
            self._lane_heads.add(seq)
        if seq in self._cancelled:
            # Asked for while an owner before this one had it in hand.
            self._cancelled.discard(seq)
            self._settle(item, self._orchestrator.withdrawn(item, "client", runtime.now()))
            return
        if self._definition.expires_ms is not None:  # or else nobody need ask the clock
            too_late = self._orchestrator.expired(item, runtime.now())
            if too_late is not None:
                self._settle(item, too_late)
                return
        self._running[seq] = item
        try:
            if seq in self._suspects:
                marked = await self._mark(item)
                if marked is None:
                    return
                item = self._running[seq] = marked
            started = runtime.monotonic()
            verdict = await self._attempt(item)
        finally:
            self._running.pop(seq, None)
        if seq in self._cancelled:
            self._cancelled.discard(seq)
            if isinstance(verdict.change, Reschedule):
                verdict = self._orchestrator.withdrawn(item, "client", runtime.now())
        self._settle(item, verdict, runtime.monotonic() - started)

    async def _attempt(self, item: Item) -> Verdict:
        definition, runtime = self._definition, self._owned.runtime
        event: Any = None
        try:
            event = definition.codec.decode(item.payload)
            context = QueueExecuteContext(self, item, event)
            if self._owned.tracker.enabled:
                telling.started(self._owned, item)
            with bind_context(
                primitive=self.name, instance_id=self.instance, event_id=item.id, attempt=context.attempt
            ):
                if definition.timeout_s is None:
                    await definition.execute(context)
                else:
                    async with asyncio.timeout(definition.timeout_s):
                        await definition.execute(context)
        except (Exception, Signal, asyncio.CancelledError) as error:
            _raise_if_cancelled(error)
            verdict = self._orchestrator.failed(item, error, runtime.now(), runtime.random())
            if isinstance(verdict.change, Burial):
                await self._tell_user(event, error, item, verdict.change)
        else:
            verdict = self._orchestrator.completed(item, runtime.now())
        return verdict

    async def _tell_user(self, event: Any, error: BaseException, item: Item, burial: Burial) -> None:
        """Call `on_dead_letter`.  Whatever it does, the event is kept as a dead letter."""
        hook = self._definition.on_dead_letter
        if hook is None:
            return
        context = QueueDeadLetterContext(
            event_id=burial.id,
            attempts=burial.attempts,
            enqueued_at=to_datetime(item.at),
            failed_at=to_datetime(self._owned.runtime.now()),
            instance_id=self.instance,
            instance_index=self.index,
            name=self.name,
        )
        try:
            await hook(event, error, context)
        except (Exception, Signal, asyncio.CancelledError) as failure:
            _raise_if_cancelled(failure)
            _log.warning("on_dead_letter failed", instance_id=self.instance, event_id=item.id, error=repr(failure))

    async def _remember_suspects(self) -> None:
        """Note them before anything starts: it may kill this process too, and they need not be in hand by then."""
        remembered = suspects_of(self._owned.record)
        self._suspects |= remembered
        if not self._suspects.issubset(remembered):
            await self._suspect()

    async def _suspect(self, *counted: Item) -> None:
        owned = self._owned
        outcome = await owned.decide(
            lambda record: self._orchestrator.suspect(
                record, owned.versioned(), self._suspects, owned.runtime.now(), *counted
            )
        )
        owned.held = outcome.held

    async def _mark(self, item: Item) -> Item | None:
        """Count the delivery of an event that may have killed its last process, before it starts again (law 8)."""
        # It is in hand: if this process dies now, that alone makes it a suspect.
        self._suspects.discard(item.seq)
        delivery = max(item.delivery, 1) + 1
        if delivery > MAX_DELIVERIES:
            verdict = self._orchestrator.crashed(self.instance, item, self._owned.runtime.now())
            self._settle(item, verdict)
            return None
        marked = structs.replace(item, delivery=delivery)
        await self._suspect(marked)
        return marked

    # Outcomes and further events.

    def _settle(self, item: Item, verdict: Verdict, seconds: float = 0.0) -> None:
        self._verdicts.append((item, verdict, seconds))
        self._finished_since += 1
        self._plan_flush()

    def _plan_flush(self) -> None:
        """Commit at the end of this turn of the loop, together with whatever else ends in it."""
        if not self._flush_planned and not self._in_flight:
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(self._planned)

    def _planned(self) -> None:
        self._flush_planned = False
        if not self._in_flight and not self._over:
            self._flush()

    def _flush(self) -> None:
        """Commit all outcomes, take further events, and give the lease back if that leaves nothing to do."""
        owned = self._owned
        verdicts, self._verdicts = self._verdicts, []
        returned, self._returned = self._returned, []
        stopping = owned.draining or self._must_yield()
        gives_back = stopping or owned.held
        returned += self._return_waiting() if gives_back else self._return_held_back(verdicts)
        idle = not self._running and not self._ready.waiting
        take = 0 if stopping else max(self._wanted() - self._ready.waiting - len(self._running), 0)
        release: Literal["no", "idle", "yes"] = ("yes" if stopping else "idle") if idle else "no"
        self._in_flight = True
        outcome = owned.submit(self._transition(verdicts, returned, take, release))
        if isinstance(outcome, Outcome):
            self._land(verdicts, outcome)
        else:
            outcome.add_done_callback(lambda future: self._land_later(verdicts, returned, future))

    def _transition(
        self,
        verdicts: Sequence[_Ended],
        returned: Sequence[int] = (),
        take: int = 0,
        release: Literal["no", "idle", "yes"] = "no",
    ) -> Transition:
        changes = [verdict.change for _, verdict, _ in verdicts]
        return Transition(
            instance=self.instance,
            at=self._owned.runtime.now(),
            guard=self._owned.fence,
            remove=tuple(change for change in changes if isinstance(change, Removal)),
            reschedule=tuple(change for change in changes if isinstance(change, Reschedule)),
            bury=tuple(change for change in changes if isinstance(change, Burial)),
            give_back=tuple(returned),
            progress=bool(changes),
            take=take,
            release=release,
        )

    def _tell(self, verdicts: Sequence[_Ended]) -> None:
        """What has become durable, the tracker may hear."""
        if self._owned.tracker.enabled:
            for item, verdict, seconds in verdicts:
                telling.ended(self._owned, item, verdict, seconds)

    def _wanted(self) -> int:
        now = self._owned.runtime.monotonic()
        if self._finished_since:
            self._executor.learn(now - self._busy_since, self._finished_since)
        self._busy_since, self._finished_since = now, 0
        return self._definition.per_instance if self._is_careful else self._executor.window

    def _must_yield(self) -> bool:
        owned = self._owned
        return owned.crowded() and owned.runtime.monotonic() - self._started > QUANTUM_SECONDS

    def _land_later(self, verdicts: list[_Ended], returned: list[int], future: asyncio.Future[Outcome]) -> None:
        error = LeaseLostError(self.instance) if future.cancelled() else future.exception()
        if error is None:
            self._land(verdicts, future.result())
            return
        if isinstance(error, StorageError) and error.outcome == "not_applied":
            # Nothing was written: keep the outcomes and try again while the lease lasts.
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._flush_again, verdicts, returned)
        else:
            # It may have been written.  The lease runs out, and the next owner reads what is true.
            self._in_flight = False
            self._failure, self._over = error, True
            self._landed.set()

    def _flush_again(self, verdicts: list[_Ended], returned: list[int]) -> None:
        self._verdicts, self._returned = verdicts + self._verdicts, returned + self._returned
        self._in_flight = False
        self._landed.set()
        self._plan_flush()

    def _land(self, verdicts: list[_Ended], outcome: Outcome) -> None:
        owned = self._owned
        self._in_flight = False
        self._landed.set()
        if outcome.verdict != "applied":
            owned.lose()
            return
        self._tell(verdicts)
        for item, _, _ in verdicts:
            if item.seq in self._lane_heads:
                self._lane_heads.discard(item.seq)
                self._ready.done(item.seq)
        self._admit(outcome.items)
        if outcome.cancels:
            self._cancel(outcome.cancels)
        owned.held = outcome.held
        if outcome.held:
            self._returned += self._return_waiting()
        if outcome.released:
            self._released = self._over = True
        elif self._verdicts or self._returned:
            self._plan_flush()

    def _admit(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.seq in self._items or item.seq in self._running or item.seq in self._lane_heads:
                # It is in hand already: the store has forgotten what it had acknowledged, and when it gave out what.
                self._owned.lose()
                return
            self._items[item.seq] = item
            self._ready.push(item.seq, item.lane, item.rank)

    # What others want.

    def _changed(self) -> None:
        """A client wrote to the instance, the worker shuts down, or the lease is gone: look at the next commit."""
        if not self._owned.lost:
            self._plan_flush()
        self._landed.set()

    def _cancel(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            if self._ready.remove(seq):
                item = self._items.pop(seq)
                self._settle(item, self._orchestrator.withdrawn(item, "client", self._owned.runtime.now()))
            else:
                self._cancelled.add(seq)

    def _return_held_back(self, verdicts: Sequence[_Ended]) -> list[int]:
        """The successors of an event that goes back to the store wait there behind it.

        Not before the commit that takes it back: until then the commit in flight may bring more of them.
        """
        held_back: list[int] = []
        for item, verdict, _ in verdicts:
            if isinstance(verdict.change, Reschedule) and verdict.change.blocks and item.lane is not None:
                held_back += self._ready.evict(item.lane)
        for seq in held_back:
            del self._items[seq]
        return held_back

    def _return_waiting(self) -> list[int]:
        waiting = list(self._items)
        for seq in waiting:
            self._ready.remove(seq)
        self._items.clear()
        return waiting

    async def _give_up(self) -> None:
        """The grace is over: what still runs was cancelled and goes back unfinished, its attempt not counted."""
        self._over = True
        while self._in_flight:
            await self._landing()
        if self._owned.lost or self._released or self._failure is not None:
            return
        verdicts, self._verdicts = self._verdicts, []
        outcome = await self._owned.commit(self._transition(verdicts, release="yes"))
        if outcome.verdict == "applied":
            self._tell(verdicts)


def _raise_if_cancelled(error: BaseException) -> None:
    """Go on unwinding if it is this run that was cancelled; a handler that raises it by itself has failed."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
