"""User code that must be pure: reducers, partition keys, schedules.  Each call is made twice, and watched."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from durable_primitives.errors import DurablePrimitivesError, ValidationError
from durable_primitives.testing.checking.elsewhere import Elsewhere, Question
from durable_primitives.testing.checking.same import same
from durable_primitives.testing.simulation import EscapedSimulationError
from durable_primitives.testing.simulation.escapes import Watch as EscapeWatch
from durable_primitives.testing.simulation.escapes import is_user_code

MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RecursionError,
    TypeError,
    UnicodeError,
)
"""Exceptions that nobody means to raise, unless there is a `raise` where they come from."""

Tell = Callable[[str, str], None]
"""Takes the name of a law, and why it does not hold."""


def mistake(error: BaseException | None, meant: Iterable[type[BaseException]] = ()) -> str | None:
    """Where an error comes from that looks like a mistake in the user's code; None for what may be meant."""
    if not isinstance(error, MISTAKES) or isinstance(error, tuple(meant)):
        return None
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_user_code(frame.filename)]
    if not frames:
        return None
    last = frames[-1]
    line = (last.line or linecache.getline(last.filename, last.lineno or 0)).strip()
    if line.startswith("raise"):
        return None
    name = last.filename.rpartition("/")[2]
    return f"{type(error).__name__}: {error}, at {name}:{last.lineno} in {last.name}: {line}"


class Twice:
    """A pure function that is called twice and watched."""

    def __init__(self, function: Callable[..., Any], law: str, tell: Tell) -> None:
        self._function = function
        self._law = law
        self._tell = tell
        self._watch = EscapeWatch(block_seconds=3600, pure=True)

    def __call__(self, *arguments: Any) -> Any:
        answer = self._call(arguments)
        again = self._call(arguments)
        if answer != again:
            self._tell(self._law, f"called twice with the same, it answered {answer!r} and {again!r}")
        return answer

    def _call(self, arguments: tuple[Any, ...]) -> Any:
        self._watch.found.clear()
        try:
            return self._watch.step("a pure function", lambda _: self._function(*arguments), None, in_thread=False)
        except DurablePrimitivesError:
            raise
        except Exception as error:
            where = mistake(error)
            if where is not None:
                self._tell(self._law, where)
            raise
        finally:
            for escape in self._watch.found:
                self._tell(self._law, f"it depends on more than its arguments: {escape.function} at {escape.place}")


class PureReducer:
    """A reducer that is called twice, on copies, and watched; and once more in another interpreter, if there is one."""

    def __init__(
        self, reducer: Callable[[Any], Any], event: Any, state: Any, tell: Tell, elsewhere: Elsewhere | None = None
    ) -> None:
        self._reducer = reducer
        self._elsewhere = elsewhere
        self._event = event
        self._state = state
        self._tell = tell
        self._watch = EscapeWatch(block_seconds=3600, pure=True)
        self._sizes: dict[str, int] = {}

    def __call__(self, ctx: Any) -> Any:
        event, state = self._event.encode(ctx.event), self._encoded(ctx.state)
        twin = type(ctx)(
            id=ctx.id,
            event=self._event.decode(event),
            event_id=ctx.event_id,
            state=None if state is None else self._state.decode(state),
            event_count=ctx.event_count,
            first_event_at=ctx.first_event_at,
        )
        answer = self._call(ctx)
        if self._encoded(ctx.state) != state and answer is not None:
            self._tell("reducer_is_pure", "it changed the state that it was given, instead of returning a new one")
        elif self._event.encode(ctx.event) != event:
            self._tell("reducer_is_pure", "it changed the event that it was given")
        try:
            made = self._state.encode(answer)
        except ValidationError as error:
            self._tell("state_fits_schema", f"the reducer returned what cannot be stored: {error}")
            raise
        again = self._state.encode(self._call(twin))
        if self._differ(made, again):
            other = self._state.decode(again)
            self._tell("reducer_is_pure", f"called twice with the same, it made {answer!r} and {other!r}")
        self._look_elsewhere(ctx, event, state)
        self._look_at_size(ctx, len(made), len(event))
        return answer

    def _differ(self, one: bytes, other: bytes) -> bool:
        """Whether these are two states; the bytes of a set have the order of the set."""
        return one != other and not same(self._state.decode(one), self._state.decode(other))

    def _look_elsewhere(self, ctx: Any, event: bytes, state: bytes | None) -> None:
        if self._elsewhere is None:
            return
        question = Question(event, state, ctx.id, ctx.event_id, ctx.event_count, ctx.first_event_at)
        match self._elsewhere.ask(question):
            case [one, other] if self._differ(one, other):
                made = f"{self._state.decode(one)!r} in one process and {self._state.decode(other)!r} in another"
                self._tell(
                    "reducer_is_pure", f"of the same it made {made}: hashes, and sets, have an order of their own"
                )
            case _:
                pass

    def _encoded(self, state: Any) -> bytes | None:
        try:
            encoded: bytes | None = None if state is None else self._state.encode(state)
        except ValidationError:
            return None
        return encoded

    def _look_at_size(self, ctx: Any, size: int, event: int) -> None:
        """A batch may hold all its events, and something about each; not more and more for each."""
        total = self._sizes[ctx.id] = event if ctx.state is None else self._sizes.get(ctx.id, 0) + event
        if size > 8 * (total + 64 * ctx.event_count) + 1024:
            self._tell(
                "state_is_bounded", f"after {ctx.event_count} events of {total} bytes the state has {size} bytes"
            )

    def _call(self, ctx: Any) -> Any:
        self._watch.found.clear()
        try:
            return self._watch.step("the reducer", lambda _: self._reducer(ctx), None, in_thread=False)
        except EscapedSimulationError:
            raise
        except Exception as error:
            where = mistake(error)
            if where is not None:
                self._tell("accepts_events", f"the reducer refused a valid event with {where}")
            raise
        finally:
            for escape in self._watch.found:
                self._tell("reducer_is_pure", f"it depends on more than its input: {escape.function} at {escape.place}")
