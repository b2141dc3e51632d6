"""What one try of user code gathers until it ends: nothing here is stored before it has succeeded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Generic, NoReturn, TypeVar

from durable_primitives.durations import Duration, instant_ms, parse_ms
from durable_primitives.errors import InvalidStateError
from durable_primitives.primitives.continuous.endings import EndOfRun, RunRef, Stopped, Terminated
from durable_primitives.services.state import StateManager

S = TypeVar("S")


class Attempt(Generic[S]):
    """One try of one run: between the context, which the handler sees, and the executor, which commits."""

    def __init__(
        self, run: RunRef, state: StateManager[S], now: Callable[[], int], save: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self.run = run
        self.now = now
        self.cancelled = False
        """The handler should come to an end."""
        self.over = False
        """The handler has ended: what is set now cannot take effect."""
        self.schedule_at: int | None = None
        self._state = state
        self._save = save
        self._end: Stopped | Terminated | None = None

    @property
    def state(self) -> S:
        return self._state.value

    @property
    def changed_state(self) -> bytes | None:
        """What the handler set and no checkpoint has stored yet."""
        return self._state.changed

    @property
    def end(self) -> Stopped | Terminated | None:
        """How the handler ended the run by itself.  It counts even if the handler caught the signal."""
        if isinstance(self._end, Stopped):
            return Stopped(self._end.reason, self._state.changed)
        return self._end

    def set_state(self, value: S) -> None:
        self._check_open("ctx.set_state")
        self._state.set(value)

    def update_state(self, change: Callable[[S], S]) -> None:
        self._check_open("ctx.update_state")
        self._state.update(change)

    def schedule(self, when: Duration | datetime) -> None:
        self._check_open("ctx.schedule")
        if isinstance(when, datetime):
            self.schedule_at = instant_ms(when, what="when")
        else:
            self.schedule_at = self.now() + parse_ms(when, what="when")

    def stop(self, reason: str | None) -> NoReturn:
        self._check_open("ctx.stop")
        self._end = Stopped(reason, None)
        raise EndOfRun(reason)

    def terminate(self, reason: str | None) -> NoReturn:
        self._check_open("ctx.terminate")
        self._end = Terminated(reason)
        raise EndOfRun(reason)

    async def checkpoint(self) -> None:
        self._check_open("ctx.checkpoint")
        changed = self._state.changed
        if changed is not None:
            await self._save(changed)
            self._state.mark_saved(changed)

    def forget(self) -> None:
        """The try has failed: what it set since its last checkpoint is void, and so is what it asked for."""
        self._state.discard()
        self.schedule_at = self._end = None

    def _check_open(self, operation: str) -> None:
        if self.over:
            raise InvalidStateError("running", "over", operation)
