"""Coalesces every transition in flight into few backend round trips.

There is no artificial delay: an idle backend is used at the end of the current turn of the event loop, and whatever
arrives while a round trip is in flight leaves together as the next one.  One fsync, or one script call, serves
everybody who waits (the group commit of DeWitt et al., 1984, one level above the log).

A backend that works beside the interpreter gets two round trips at a time, so that it has one to work on while the
callers of the other are answered and make their next requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any

from msgspec import structs

from durable_primitives.errors import PayloadTooLargeError, StorageError, StorageFullError
from durable_primitives.kernel.transition import Claim, ClaimRequest, NewItem, Outcome, Transition, adds
from durable_primitives.spi import Backend
from durable_primitives.spi.backend import Reply

MAX_BATCH = 1000
"""Transitions of one round trip."""

MAX_JOINED = 1000
"""Items of one joined append."""

MAX_JOINED_BYTES = 1 << 20
"""Bytes of their payloads.  What is joined saves little by then, and a store may refuse what is long."""

MIN_HALF = 16
"""Callers that are worth a round trip of their own: see `GroupCommit._answer`."""

_NOTHING: Reply = ((), ())


_Answer = tuple[asyncio.Future[Outcome], Outcome]


class _Entry:
    """One transition that waits to leave, and who waits for it.

    Appends of several callers to one instance leave as one transition: what is done once per transition, here and in
    the backend, is then done once for all of them.
    """

    __slots__ = ("_bytes", "_joined", "callers", "transition")

    def __init__(self, transition: Transition, future: asyncio.Future[Outcome]) -> None:
        self.transition = transition
        self.callers = [(future, len(transition.append))]
        self._joined: list[NewItem] | None = None
        self._bytes = 0

    def join(self, transition: Transition, future: asyncio.Future[Outcome]) -> bool:
        """Take another append in, if it says the same but for its items."""
        if transition.create is not self.transition.create:
            return False
        if self._joined is None:
            self._joined = list(self.transition.append)
            self._bytes = _payload_bytes(self._joined)
        size = self._bytes + _payload_bytes(transition.append)
        if len(self._joined) + len(transition.append) > MAX_JOINED or size > MAX_JOINED_BYTES:
            return False
        self._joined += transition.append
        self._bytes = size
        self.callers.append((future, len(transition.append)))
        self.transition = transition
        return True

    def sealed(self) -> Transition:
        """The transition as it leaves."""
        if self._joined is None:
            return self.transition
        # The last one's time: no item was accepted later than that.
        return structs.replace(self.transition, append=tuple(self._joined))

    def answers(self, outcome: Outcome) -> Iterator[_Answer]:
        """Every caller with its part of the outcome."""
        if len(self.callers) == 1:
            yield self.callers[0][0], outcome
            return
        start = 0
        for future, count in self.callers:
            mine = outcome.accepted[start : start + count]
            yield future, Outcome(verdict=outcome.verdict, count=outcome.count, accepted=mine, held=outcome.held)
            start += count


class GroupCommit:
    """The one place through which transitions reach a backend.

    A cancelled caller neither breaks nor blocks its batch: its transition is applied wholly or not at all.  A failing
    batch fails its own callers with the true error, and the next one goes on.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._immediate = backend.capabilities.immediate
        self._waiting: list[_Entry] = []
        self._appends: dict[str, _Entry] = {}
        """The last append to each instance among `_waiting`, for others to join."""
        self._trips: set[asyncio.Task[None]] = set()
        self._most_trips = 2 if backend.capabilities.overlapping else 1
        self._departing = False
        self._claiming = False
        """A claim is in flight: a second one would be for the same free places of the worker."""
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
        if joins:
            entry = self._appends.get(transition.instance)
            if entry is not None and entry.join(transition, future):
                return future
            entry = self._appends[transition.instance] = _Entry(transition, future)
        else:
            # Appends that come later must not overtake this one.
            self._appends.pop(transition.instance, None)
            entry = _Entry(transition, future)
        self._waiting.append(entry)
        self._depart_soon()
        return future

    async def claim(self) -> int:
        """Serve the claimant now, even with nothing to commit; returns how many instances came.

        Round trips that left before this call have been answered when it returns.
        """
        if self._immediate:
            _, claims = self._backend.commit_now((), self.claimant())
            if claims:
                self.on_claims(claims)
            return len(claims)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._claim_wanted.append(future)
        self._depart_soon()
        return await future

    async def drain(self) -> None:
        """Wait until everything that was submitted has its outcome."""
        while self._trips:
            await asyncio.wait(self._trips)

    def _depart_soon(self) -> None:
        if not self._departing and len(self._trips) < self._most_trips:
            self._departing = True
            trip = asyncio.get_running_loop().create_task(self._travel(), name="durable-primitives group commit")
            self._trips.add(trip)

    async def _travel(self) -> None:
        """One round trip after the other, as long as somebody waits for one."""
        self._departing = False
        trip = asyncio.current_task()
        assert trip is not None
        try:
            while self._waiting or (self._claim_wanted and not self._claiming):
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                self._appends = {}
                await self._round_trip(batch)
        except asyncio.CancelledError:
            waiting, self._waiting = self._waiting, []
            claimers, self._claim_wanted = self._claim_wanted, []
            _fail(waiting, claimers, StorageError("the event loop is closing", outcome="not_applied"))
            raise
        finally:
            self._trips.discard(trip)

    async def _round_trip(self, batch: list[_Entry]) -> None:
        request: ClaimRequest | None = None
        claimers: list[asyncio.Future[int]] = []
        if not self._claiming:
            claimers, self._claim_wanted = self._claim_wanted, []
            request = self.claimant()
            self._claiming = request is not None
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
            if request is not None:
                self._claiming = False
        self._answer(
            [answer for entry, outcome in zip(batch, outcomes, strict=True) for answer in entry.answers(outcome)]
        )
        for claimer in claimers:
            if not claimer.done():
                claimer.set_result(len(claims))
        if claims:
            self.on_claims(claims)

    async def _commit(self, batch: list[_Entry], request: ClaimRequest | None) -> tuple[list[_Entry], Reply]:
        """The reply, and to whom: a full store refuses those who add, and they must not hold up those who make room."""
        try:
            return batch, await self._backend.commit([entry.sealed() for entry in batch], request)
        except StorageFullError as error:
            adding = [entry for entry in batch if adds(entry.transition)]
            rest = [entry for entry in batch if not adds(entry.transition)]
            if error.outcome != "not_applied" or not adding or not (rest or request):
                raise
            _fail(adding, [], error)
            return rest, await self._backend.commit([entry.sealed() for entry in rest], request)
        except PayloadTooLargeError:
            return await self._commit_apart(batch, request)

    async def _commit_apart(self, batch: list[_Entry], request: ClaimRequest | None) -> tuple[list[_Entry], Reply]:
        """`_commit` where something in the batch was too large for the store, which wrote nothing: only that fails."""
        for entry in batch:
            try:
                (outcome,), _ = await self._backend.commit([entry.sealed()])
            except Exception as error:
                _fail([entry], [], error)
            else:
                _wake(list(entry.answers(outcome)))
        return [], _NOTHING if request is None else await self._backend.commit((), request)

    def _answer(self, answers: list[_Answer]) -> None:
        """Wake the callers.

        Callers who come back at once would all leave together again, and then the backend and they would take turns at
        waiting for each other.  So if nothing else is in flight, half of them are woken a turn later: the requests of
        the first half are with the backend while the second half makes its own.
        """
        half = len(answers) // 2
        if half < MIN_HALF or self._most_trips == 1 or len(self._trips) > 1 or self._waiting:
            _wake(answers)
            return
        _wake(answers[:half])
        asyncio.get_running_loop().call_soon(_wake, answers[half:])


def _payload_bytes(items: Sequence[NewItem]) -> int:
    size = 0
    for item in items:
        size += len(item.payload)
    return size


def _wake(answers: list[_Answer]) -> None:
    for future, outcome in answers:
        if not future.done():
            future.set_result(outcome)


def _fail(batch: list[_Entry], claimers: list[asyncio.Future[int]], error: Exception) -> None:
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
