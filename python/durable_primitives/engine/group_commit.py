"""Coalesces every transition in flight into one backend round trip.

There is no artificial delay: an idle backend is used at the end of the current turn of the event loop, and whatever
arrives while a round trip is in flight leaves together as the next one.  One fsync, or one script call, serves
everybody who waits (the group commit of DeWitt et al., 1984, one level above the log).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from durable_primitives.errors import StorageError
from durable_primitives.kernel.transition import Claim, ClaimRequest, Outcome, Transition
from durable_primitives.spi import Backend

MAX_BATCH = 1000
"""Transitions of one round trip."""


class GroupCommit:
    """The one place through which transitions reach a backend.

    A cancelled caller neither breaks nor blocks its batch: its transition is applied wholly or not at all.  A failing
    batch fails its own callers with the true error, and the next one goes on.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._immediate = backend.capabilities.immediate
        self._waiting: list[tuple[Transition, asyncio.Future[Outcome]]] = []
        self._sender: asyncio.Task[None] | None = None
        self._claim_wanted: list[asyncio.Future[int]] = []
        self.claimant: Callable[[], ClaimRequest | None] = lambda: None
        """Asked before each round trip: a worker with room sends its wish for due instances along."""
        self.on_claims: Callable[[Sequence[Claim]], None] = lambda _: None

    def submit(self, transition: Transition) -> Outcome | asyncio.Future[Outcome]:
        """Commit a transition: its outcome, at once where the backend needs no wait, otherwise to be awaited."""
        if self._immediate:
            outcomes, claims = self._backend.commit_now((transition,), self.claimant())
            if claims:
                self.on_claims(claims)
            return outcomes[0]
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((transition, future))
        if self._sender is None:
            self._start()
        return future

    async def claim(self) -> int:
        """Serve the claimant now, even with nothing to commit; returns how many instances came."""
        if self._immediate:
            _, claims = self._backend.commit_now((), self.claimant())
            if claims:
                self.on_claims(claims)
            return len(claims)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._claim_wanted.append(future)
        if self._sender is None:
            self._start()
        return await future

    async def drain(self) -> None:
        """Wait until everything that was submitted has its outcome."""
        while self._sender is not None:
            await asyncio.wait((self._sender,))

    def _start(self) -> None:
        self._sender = asyncio.get_running_loop().create_task(self._send(), name="durable-primitives group commit")

    async def _send(self) -> None:
        try:
            while self._waiting or self._claim_wanted:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                claimers, self._claim_wanted = self._claim_wanted, []
                await self._round_trip(batch, claimers)
        finally:
            self._sender = None

    async def _round_trip(
        self, batch: list[tuple[Transition, asyncio.Future[Outcome]]], claimers: list[asyncio.Future[int]]
    ) -> None:
        try:
            request = self.claimant()
            outcomes, claims = await self._backend.commit([transition for transition, _ in batch], request)
        except asyncio.CancelledError:
            _fail(batch, claimers, StorageError("the event loop is closing", outcome="unknown"))
            raise
        except Exception as error:
            _fail(batch, claimers, error)
            return
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)
        if claims:
            self.on_claims(claims)
        for claimer in claimers:
            if not claimer.done():
                claimer.set_result(len(claims))


def _fail(
    batch: list[tuple[Transition, asyncio.Future[Outcome]]], claimers: list[asyncio.Future[int]], error: Exception
) -> None:
    waiting: list[asyncio.Future[Any]] = [*(future for _, future in batch), *claimers]
    for future in waiting:
        if not future.done():
            # Callers must not share one exception: each `raise` would add its traceback to the others'.
            future.set_exception(copy(error))
