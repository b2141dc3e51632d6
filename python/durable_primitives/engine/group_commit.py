"""Coalesces every transition in flight into few backend round trips.

There is no artificial delay: an idle backend is used at the end of the current turn of the event loop, and whatever
arrives while a round trip is in flight leaves together as the next one.  One fsync, or one script call, serves
everybody who waits (the group commit of DeWitt et al., 1984, one level above the log).

A backend that works beside the interpreter gets two round trips at a time, so that it has one to work on while the
callers of the other are answered and make their next requests.  Partitions that answer by themselves (`Capabilities`)
have round trips of their own, so that one that is stuck holds up nobody elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from msgspec import structs

from durable_primitives.engine.lanes import Answer, Entry, Lane
from durable_primitives.errors import PayloadTooLargeError, StorageCorruptedError, StorageError, StorageFullError
from durable_primitives.kernel.transition import Claim, ClaimRequest, Outcome, Transition, adds
from durable_primitives.spi import Backend, xxh3_64
from durable_primitives.spi.backend import Reply

MIN_HALF = 16
"""Callers that are worth a round trip of their own: see `GroupCommit._answer`."""

_NOTHING: Reply = ((), ())


class GroupCommit:
    """The one place through which transitions reach a backend.

    A cancelled caller neither breaks nor blocks its batch: its transition is applied wholly or not at all.  A failing
    batch fails its own callers with the true error, and the next one goes on.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._immediate = backend.capabilities.immediate
        self._most_trips = 2 if backend.capabilities.overlapping else 1
        self._partitions = count = backend.capabilities.partitions
        # Where there are several, one more for claims that travel alone: they look everywhere.
        self._lanes = [Lane() for _ in range(count + (count > 1))]
        self._claim_lane = self._lanes[-1]
        self._asked = 0
        """Instances that claims in flight ask for: no other one is to ask for the same free places of the worker."""
        self._claim_wanted: list[asyncio.Future[int]] = []
        self.claimant: Callable[[], ClaimRequest | None] = lambda: None
        """Asked before each round trip: a worker with room sends its wish for due instances along."""
        self.on_claims: Callable[[Sequence[Claim]], None] = lambda _: None

    def submit(self, transition: Transition, *, joins: bool = False) -> Outcome | asyncio.Future[Outcome]:
        """Commit a transition: its outcome, at once where the backend needs no wait, otherwise to be awaited.

        One that `joins` is a bare append (`Decision.joins`) and may leave together with others to its instance.
        """
        if self._immediate:
            outcomes, claims = self._backend.commit_now((transition,), self.claimant())
            if claims:
                self.on_claims(claims)
            return outcomes[0]
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        lane = self._lanes[xxh3_64(transition.instance.encode()) % self._partitions if self._partitions > 1 else 0]
        lane.add(transition, future, joins=joins)
        self._depart_soon(lane)
        return future

    async def claim(self) -> int:
        """Serve the claimant now, even with nothing to commit; returns how many instances came.

        When the claimant wants nothing more, all claims that left before this call have been answered when it returns.
        """
        if self._immediate:
            _, claims = self._backend.commit_now((), self.claimant())
            if claims:
                self.on_claims(claims)
            return len(claims)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._claim_wanted.append(future)
        self._depart_soon(self._claim_lane)
        return await future

    async def drain(self) -> None:
        """Wait until everything that was submitted has its outcome."""
        while trips := [trip for lane in self._lanes for trip in lane.trips]:
            await asyncio.wait(trips)

    def _depart_soon(self, lane: Lane) -> None:
        if not lane.departing and len(lane.trips) < self._most_trips:
            lane.departing = True
            trip = asyncio.get_running_loop().create_task(self._travel(lane), name="durable-primitives group commit")
            lane.trips.add(trip)

    async def _travel(self, lane: Lane) -> None:
        """One round trip after the other, as long as somebody waits for one."""
        lane.departing = False
        trip = asyncio.current_task()
        assert trip is not None
        try:
            while lane.waiting or (lane is self._claim_lane and self._can_claim()):
                await self._round_trip(lane, lane.depart())
        except asyncio.CancelledError:
            waiting, lane.waiting = lane.waiting, []
            claimers: list[asyncio.Future[int]] = []
            if lane is self._claim_lane:
                claimers, self._claim_wanted = self._claim_wanted, []
            _fail(waiting, claimers, StorageError("the event loop is closing", outcome="not_applied"))
            raise
        finally:
            lane.trips.discard(trip)

    def _can_claim(self) -> bool:
        """Whether somebody waits for a claim that can leave now."""
        if not self._claim_wanted or self._claim_lane.claiming:
            return False
        return not self._asked or self._wish(self._claim_lane) is not None

    def _wish(self, lane: Lane) -> ClaimRequest | None:
        """What a claim with the next round trip may ask for: of the places that none asks for yet, the lane's share.

        So a partition that is stuck leaves places for the others.
        """
        request = self.claimant()
        if request is None or (not self._asked and lane is self._claim_lane):
            return request
        share = (request.limit - self._asked) // (1 if lane is self._claim_lane else self._partitions)
        return structs.replace(request, limit=share) if share > 0 else None

    async def _round_trip(self, lane: Lane, batch: list[Entry]) -> None:
        request, claimers = self._board(lane)
        try:
            if not batch and request is None:
                outcomes, claims = _NOTHING
            else:
                batch, (outcomes, claims) = await self._commit(batch, request)
        except asyncio.CancelledError:
            _fail(batch, claimers, StorageError("the event loop is closing", outcome="unknown"))
            raise
        except Exception as error:
            _fail(batch, claimers, error)
            return
        finally:
            self._alight(lane, request)
        self._answer(
            lane, [answer for entry, outcome in zip(batch, outcomes, strict=True) for answer in entry.answers(outcome)]
        )
        for claimer in claimers:
            if not claimer.done():
                claimer.set_result(len(claims))
        if claims:
            self.on_claims(claims)

    def _board(self, lane: Lane) -> tuple[ClaimRequest | None, list[asyncio.Future[int]]]:
        """The claim that travels with the next round trip, and who waits for it."""
        if lane.claiming:
            return None, []
        request, claimers = self._wish(lane), list[asyncio.Future[int]]()
        if lane is self._claim_lane:
            claimers, self._claim_wanted = self._claim_wanted, []
        if request is not None:
            lane.claiming = True
            self._asked += request.limit
        return request, claimers

    def _alight(self, lane: Lane, request: ClaimRequest | None) -> None:
        if request is not None:
            lane.claiming = False
            self._asked -= request.limit
            if self._claim_wanted and lane is not self._claim_lane:
                # It may have waited for the places that this one had asked for.
                self._depart_soon(self._claim_lane)

    async def _commit(self, batch: list[Entry], request: ClaimRequest | None) -> tuple[list[Entry], Reply]:
        """The reply, and to whom.

        A full store refuses those who add, and they must not hold up those who make room; nor may those who write to a
        damaged instance hold up anybody else.
        """
        try:
            return batch, await self._backend.commit([entry.sealed() for entry in batch], request)
        except StorageFullError as error:
            adding = [entry for entry in batch if adds(entry.transition)]
            rest = [entry for entry in batch if not adds(entry.transition)]
            if error.outcome != "not_applied" or not adding or not (rest or request):
                raise
            _fail(adding, [], error)
            return rest, await self._backend.commit([entry.sealed() for entry in rest], request)
        except StorageCorruptedError as error:
            damaged = [entry for entry in batch if entry.transition.instance == error.instance_id]
            rest = [entry for entry in batch if entry.transition.instance != error.instance_id]
            if error.outcome != "not_applied" or not damaged or not (rest or request):
                raise
            _fail(damaged, [], error)
            return await self._commit(rest, request)
        except PayloadTooLargeError:
            return await self._commit_apart(batch, request)

    async def _commit_apart(self, batch: list[Entry], request: ClaimRequest | None) -> tuple[list[Entry], Reply]:
        """`_commit` where something in the batch was too large for the store, which wrote nothing: only that fails."""
        for entry in batch:
            try:
                (outcome,), _ = await self._backend.commit([entry.sealed()])
            except Exception as error:
                _fail([entry], [], error)
            else:
                _wake(list(entry.answers(outcome)))
        return [], _NOTHING if request is None else await self._backend.commit((), request)

    def _answer(self, lane: Lane, answers: list[Answer]) -> None:
        """Wake the callers.

        Callers who come back at once would all leave together again, and then the backend and they would take turns at
        waiting for each other.  So if nothing else is in flight, half of them are woken a turn later: the requests of
        the first half are with the backend while the second half makes its own.
        """
        half = len(answers) // 2
        if half < MIN_HALF or self._most_trips == 1 or len(lane.trips) > 1 or lane.waiting:
            _wake(answers)
            return
        _wake(answers[:half])
        asyncio.get_running_loop().call_soon(_wake, answers[half:])


def _wake(answers: list[Answer]) -> None:
    for future, outcome in answers:
        if not future.done():
            future.set_result(outcome)


def _fail(batch: list[Entry], claimers: list[asyncio.Future[int]], error: Exception) -> None:
    waiting: list[asyncio.Future[Any]] = [future for entry in batch for future, _ in entry.callers]
    waiting += claimers
    for future in waiting:
        if not future.done():
            future.set_exception(_twin(error))


def _twin(error: Exception) -> Exception:
    """Callers must not share one exception: each `raise` would add its traceback to the others'."""
    try:
        return copy(error)
    except Exception:  # an exception that cannot be copied is no reason to leave anybody waiting
        return error
