"""The worker: claims what is due, keeps leases alive, runs a bounded number of instances, stops in good order."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Generator, Sequence
from functools import partial

from msgspec import Struct

from durable_primitives.durations import Duration, parse_ms
from durable_primitives.engine.engine import DurablePrimitivesEngine
from durable_primitives.errors import DefinitionError, DurablePrimitivesError
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef
from durable_primitives.logs import get_logger
from durable_primitives.services.ownership import Ownership
from durable_primitives.services.purge import Sweeper
from durable_primitives.spi.runtime import Heartbeat

LOOK_AGAIN_SECONDS = 1.0
"""After the store failed."""

CANCEL_SECONDS = 5.0
"""How long a handler that was cancelled may take to come to its end."""

_log = get_logger("durable_primitives.worker")


class WorkerOptions(Struct, frozen=True, kw_only=True):
    """How a worker behaves.  The defaults suit most applications.

    Raises:
        DefinitionError: A duration is not one, or the lease does not outlast two heartbeats.

    Example:
        >>> WorkerOptions(lease="10 seconds", heartbeat="3 seconds").grace
        '20 seconds'
    """

    max_instances: int = 100
    """Instances that this worker owns at once."""
    lease: Duration = "30 seconds"
    """How long an instance stays with a worker that gives no sign of life."""
    heartbeat: Duration = "10 seconds"
    """How often a worker gives one."""
    grace: Duration = "20 seconds"
    """How long a shutdown waits for handlers that run."""
    longest_wait: Duration = "1 minute"
    """A sleeping worker looks again after so long, whatever it was told."""

    def __post_init__(self) -> None:
        parse_ms(self.grace, what="grace", allow_zero=True)
        parse_ms(self.longest_wait, what="longest_wait")
        if self.lease_ms < 2 * parse_ms(self.heartbeat, what="heartbeat"):
            raise DefinitionError(
                f"heartbeat is {self.heartbeat!r} and lease is {self.lease!r}",
                help="a lease must outlast two heartbeats or more: by default 30 and 10 seconds",
            )

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return parse_ms(self.lease, what="lease")


def _seconds(duration: Duration) -> float:
    return parse_ms(duration, what="duration", allow_zero=True) / 1000


class Worker:
    """One worker of one process.

    `start` begins to claim (work that was due while nobody ran needs no client call), `stop` stops claiming, lets
    handlers finish within the grace, and gives every lease back so that another worker takes over at once.
    """

    def __init__(self, engine: DurablePrimitivesEngine, options: WorkerOptions | None = None) -> None:
        self._engine = engine
        options = options or WorkerOptions()
        self._max_instances = options.max_instances
        self._lease_ms = options.lease_ms
        self._heartbeat_s = _seconds(options.heartbeat)
        self._grace_s = _seconds(options.grace)
        self._longest_wait_s = _seconds(options.longest_wait)
        self._owner = engine.runtime.new_id()
        self._runs: dict[asyncio.Task[None], Ownership] = {}
        self._sweeper = Sweeper(engine.backend, engine.runtime)
        self._room = asyncio.Event()
        self._stopping = False
        self._resting = False
        self._loop: asyncio.Task[None] | None = None
        self._heartbeat: Heartbeat | None = None
        self._leases: tuple[Ownership, ...] = ()
        self._renewed_at = engine.runtime.now()
        engine.commits.claimant = self._wish
        engine.commits.on_claims = self._accept

    # The life of a worker.

    def start(self) -> None:
        """Begin to claim.  Must be called on the event loop that the handlers are to run on."""
        self._attend()
        self._loop = self._engine.runtime.spawn(self._run(), "durable-primitives worker")

    async def stop(self, grace_s: float | None = None) -> None:
        """Stop claiming, finish what runs within the grace, cancel the rest, give every lease back."""
        self._stopping = True
        self._room.set()
        self._engine.drain()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait((self._loop,))
        await self._settle_claims()
        await self._finish_runs(self._grace_s if grace_s is None else grace_s)
        for task in self._runs:
            task.cancel()
        await self._finish_runs(CANCEL_SECONDS)
        for ownership in self._runs.values():
            _log.error("a handler ignores its cancellation: its lease runs out", instance_id=ownership.instance)
        if self._heartbeat is not None:
            self._heartbeat.stop()

    async def _settle_claims(self) -> None:
        """A claim that is on its way is ours already: wait for it, or its lease would block others until it ends."""
        with contextlib.suppress(DurablePrimitivesError):
            await self._engine.commits.claim()

    async def _finish_runs(self, seconds: float) -> None:
        if self._runs:
            await asyncio.wait(self._runs, timeout=seconds)

    async def run_due(self, rounds: float = math.inf) -> int:
        """Run everything that is due now, and what that makes due, to the end; returns how many instances ran.

        For drivers that own the clock: nothing here waits for time to pass.

        Args:
            rounds: How often to claim at most: what is due then stays due.
        """
        total = 0
        while True:
            claimed = await self._engine.commits.claim() if rounds > 0 else 0
            rounds -= 1
            total += claimed
            if not self._runs and not claimed:
                return total
            while self._runs:
                await asyncio.wait(self._runs)

    @contextlib.contextmanager
    def attending(self) -> Generator[None]:
        """For drivers that call `run_due` from time to time: at `rest` it claims and keeps leases in here only."""
        self._attend()
        try:
            yield
        finally:
            self.rest()

    def rest(self) -> None:
        """Claim nothing, not even beside the commits of clients, and keep no leases."""
        self._resting = True
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def _attend(self) -> None:
        runtime = self._engine.runtime
        self._resting = False
        self._event_loop = asyncio.get_running_loop()
        self._renewed_at = runtime.now()
        self._heartbeat = runtime.heartbeat(self._heartbeat_s, self._beat)

    # Claiming.

    async def _run(self) -> None:
        wait = self._longest_wait_s
        while not self._stopping:
            try:
                if len(self._runs) >= self._max_instances:
                    self._room.clear()
                    await self._room.wait()
                    continue
                if self._overslept():
                    self._renew()
                await self._sweeper.sweep_if_due()
                if await self._engine.commits.claim():
                    continue
                due = await self._engine.backend.next_due()
                seconds = wait if due is None else self._engine.runtime.until(due)
                if seconds > 0:
                    await self._engine.backend.wait(min(seconds, self._sweeper.seconds_left(), wait))
            except DurablePrimitivesError as error:
                # The store is away: work in hand keeps its lease as long as it may; look again soon.
                _log.warning("the worker cannot reach its backend", error=str(error), backend=self._engine.backend.url)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            except Exception as error:
                # A defect of the backend: a worker that ended here would leave everything due without a word.
                _log.error("the worker failed and goes on", error=repr(error), exc_info=error)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def _wish(self) -> ClaimRequest | None:
        """The claim that travels with the next round trip."""
        room = self._max_instances - len(self._runs)
        if self._stopping or self._resting or room <= 0 or self._overslept():
            return None
        return ClaimRequest(
            owner=self._owner,
            at=self._engine.runtime.now(),
            lease_ms=self._lease_ms,
            limit=room,
            take=1,
        )

    def _accept(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            if claim.record.lease_until - self._engine.runtime.now() <= self._heartbeat_s * 1000:
                # The answer came too late: what it gave may be another worker's before a heartbeat can renew it.
                continue
            ownership = self._engine.own(claim)
            ownership.crowded = self._is_full
            if self._stopping:
                ownership.drain()
            task = self._engine.runtime.spawn(self._run_one(ownership), f"durable-primitives {ownership.instance}")
            self._runs[task] = ownership
            task.add_done_callback(self._finished)
        self._leases = tuple(self._runs.values())

    async def _run_one(self, ownership: Ownership) -> None:
        try:
            await self._engine.alarm(ownership)
        except DurablePrimitivesError as error:
            # The lease runs out by itself and its end is a due time: nothing is lost, the instance is claimed again.
            _log.warning("a run ended without its commit", instance_id=ownership.instance, error=str(error))

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._runs.pop(task, None)
        self._leases = tuple(self._runs.values())
        self._room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a run failed outside of user code", error=repr(error), exc_info=error)

    def _is_full(self) -> bool:
        return len(self._runs) >= self._max_instances

    # Leases.

    def _beat(self) -> None:
        """Runs on the heartbeat's thread: a handler that blocks the loop keeps its lease."""
        try:
            self._renew()
        except Exception as error:
            # Unknown is not lost: the next beat tries again, and the fence decides.
            _log.warning("leases could not be renewed", error=str(error), backend=self._engine.backend.url)

    def _renew(self) -> None:
        held = self._leases
        sent_at = self._engine.runtime.now()
        refs: list[LeaseRef] = [ownership.ref for ownership in held]
        answers = self._engine.backend.renew(refs, sent_at + self._lease_ms) if refs else ()
        self._renewed_at = sent_at
        for ownership, answer in zip(held, answers, strict=True):
            # What other processes ask of a run (a pause, a stop, a cancel) is in the store: let it look.
            heard = ownership.notice if answer.held else partial(self._lost, ownership)
            self._event_loop.call_soon_threadsafe(heard)

    def _lost(self, ownership: Ownership) -> None:
        # A run that ended while the renewal was on its way gave its lease back itself.
        if ownership in self._runs.values():
            ownership.lose()

    def _overslept(self) -> bool:
        """Whether this process was suspended for a lease or more: what it runs would look abandoned to itself."""
        if self._heartbeat is None or not self._leases:
            return False
        return self._engine.runtime.now() - self._renewed_at >= self._lease_ms
