"""What the handler of a Continuous gets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from durable_primitives.durations import Duration, to_datetime
from durable_primitives.kernel.ids import split_instance
from durable_primitives.logs import Logger, get_logger
from durable_primitives.primitives.continuous.attempt import Attempt
from durable_primitives.services.environment import Environment

if TYPE_CHECKING:
    from durable_primitives.client import PrimitivesClient
    from durable_primitives.primitives.continuous.stored import Run

S = TypeVar("S")


class ContinuousContext(Generic[S]):
    """One attempt at one run, with the state as it is stored.

    What the handler sets is buffered and stored in one commit with the run's success; a run that fails has changed
    nothing since its last `checkpoint`.

    Attributes:
        instance_id: ``continuous:{name}:{id}``.
        id: The id that the instance was started with.
        name: The name of the definition that it was started under.
        run_count: 1 for the first run; the same for every attempt at it.
        attempt: 1 for the first execution of this run.
        scheduled_for: The moment that this run stands for (aware, UTC); the same for every attempt at it.
        missed: How many further ticks it stands for, which got no run of their own.
        idempotency_key: The same for every attempt at this run, and for no other run ever.  Hand it to whatever the
            handler calls, and a handler that is repeated has its effects once.
    """

    __slots__ = (
        "_attempt",
        "_client",
        "_environment",
        "attempt",
        "id",
        "idempotency_key",
        "instance_id",
        "missed",
        "name",
        "run_count",
        "scheduled_for",
    )

    def __init__(self, instance: str, generation: int, run: Run, attempt: Attempt[S], environment: Environment) -> None:
        ref = attempt.run
        self._attempt = attempt
        self._environment = environment
        self._client: PrimitivesClient | None = None
        self.instance_id = instance
        _, self.name, self.id = split_instance(instance)
        self.run_count = ref.number
        self.attempt = ref.attempt
        self.scheduled_for = to_datetime(run.scheduled_for)
        self.missed = run.missed
        self.idempotency_key = f"{instance}@{generation}.{ref.epoch}.{ref.number}"

    def __repr__(self) -> str:
        return f"ContinuousContext({self.instance_id!r}, run_count={self.run_count}, attempt={self.attempt})"

    # What it knows.

    @property
    def state(self) -> S:
        """The state: decoded afresh for this attempt, or what was set since.  Changing it in place stores nothing."""
        return self._attempt.state

    @property
    def is_retry(self) -> bool:
        """Whether this run was attempted before."""
        return self.attempt > 1

    @property
    def cancelled(self) -> bool:
        """Whether the handler should come to an end.

        The instance was stopped, restarted or terminated, the lease is lost, the time is up, or the worker shuts down.
        A handler that returns early has succeeded: raise `Snooze` if the rest is to be done later.
        """
        return self._attempt.cancelled

    def now(self) -> datetime:
        """The time of the runtime (aware, UTC)."""
        return to_datetime(self._attempt.now())

    @property
    def client(self) -> PrimitivesClient:
        """A client whose sends carry ids derived from this run: a handler that runs again sends nothing twice."""
        if self._client is None:
            self._client = self._environment.client_for(self.idempotency_key)
        return self._client

    @property
    def resources(self) -> Any:
        """What the application's `resources` yielded."""
        return self._environment.resources

    @property
    def log(self) -> Logger:
        """A logger that names the run."""
        return get_logger(f"durable_primitives.continuous.{self.name}").bind(
            instance_id=self.instance_id, run_count=self.run_count, attempt=self.attempt
        )

    # What it decides.

    def set_state(self, state: S) -> None:
        """Store this when the run succeeds.  It is taken as it is now.

        Raises:
            ValidationError: It does not fit the schema; the state is as it was.
        """
        self._attempt.set_state(state)

    def update_state(self, change: Callable[[S], S]) -> None:
        """`set_state` with what `change` makes of the state."""
        self._attempt.update_state(change)

    def schedule(self, when: Duration | datetime) -> None:
        """Run next at `when` (from now, or an aware time) instead of at the next tick; ticks before then are replaced.

        Holds once, if this run succeeds.  The cadence itself stays as it is.
        """
        self._attempt.schedule(when)

    def stop(self, reason: str | None = None) -> NoReturn:
        """End the run here and stop the instance; what was set is stored.  `start` begins again."""
        self._attempt.stop(reason)

    def terminate(self, reason: str | None = None) -> NoReturn:
        """End the run here and delete the instance with its state."""
        self._attempt.terminate(reason)

    async def checkpoint(self) -> None:
        """Store what was set so far, now: an attempt that fails later, or dies, does not lose it.

        Raises:
            LeaseLostError: Another worker owns the instance; nothing was stored.
        """
        await self._attempt.checkpoint()
