"""`Buffer.make`: a buffer as data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import GenericAlias
from typing import Any, Generic, Literal, Never, TypedDict, TypeVar, overload

from typing_extensions import TypeForm, Unpack

from durable_primitives.durations import Duration, parse_ms
from durable_primitives.errors import DefinitionError, ReducerError, SerializationError
from durable_primitives.kernel.ids import check_name
from durable_primitives.primitives.buffer.context import (
    BufferDeadLetterContext,
    BufferEventContext,
    BufferExecuteContext,
)
from durable_primitives.primitives.buffer.gathering import (
    Append,
    ByReducer,
    Gathering,
    InOrder,
    Latest,
    Reducer,
)
from durable_primitives.primitives.buffer.stored import Batch
from durable_primitives.retry import RetryPolicy
from durable_primitives.schema import Codec, Migration, codec_for
from durable_primitives.services.idempotency import DEFAULT_WINDOW, window_ms
from durable_primitives.services.invocation import AsyncHandler, as_handler, is_async
from durable_primitives.services.options import choice, refuse_not_yet, refuse_unknown, whole_number

E = TypeVar("E")
S = TypeVar("S")

Execute = Callable[[BufferExecuteContext[S]], Awaitable[None] | None]
OnDeadLetter = Callable[[S | None, BaseException, BufferDeadLetterContext], Awaitable[None] | None]


class BufferOptions(TypedDict, total=False):
    """The options of `Buffer.make` whose types do not depend on the schemas; see there."""

    flush_after: Duration | None
    max_events: int | None
    retry: RetryPolicy
    dedupe_window: Duration
    on_full: Literal["flush"]
    timeout: Duration | None
    schema_version: int
    migrate: Mapping[int, Migration] | None
    aliases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class BufferDefinition(Generic[E, S]):
    """A buffer of events of type `E` that are handed over as an `S`, ready to be registered.  Made by `Buffer.make`."""

    name: str
    aliases: tuple[str, ...]
    event: Codec[E]
    gathering: Gathering[S]
    flush_after_ms: int | None
    max_events: int | None
    execute: AsyncHandler
    retry: RetryPolicy
    on_dead_letter: AsyncHandler | None
    dedupe_ms: int
    timeout_s: float | None

    kind = "buffer"

    def state_or_none(self, instance: str, batch: Batch) -> S | None:
        """The state of a batch, or None if it no longer decodes."""
        try:
            return self.gathering.read(instance, batch)
        except (SerializationError, ReducerError):
            return None

    def __repr__(self) -> str:
        return f"Buffer.make({self.name!r}, event_schema={self.event.name})"


class Buffer:
    """Gathers events per id, and hands them over as one batch: after a while, or when there are enough of them."""

    # The list of events: no on_event, Reduce.append(), or a reducer that makes a list.

    @overload
    @staticmethod
    def make(
        name: str,
        *,
        event_schema: TypeForm[E],
        on_event: Append | Reducer[E, list[E]] | None = None,
        execute: Execute[list[E]],
        on_dead_letter: OnDeadLetter[list[E]] | None = None,
        **options: Unpack[BufferOptions],
    ) -> BufferDefinition[E, list[E]]: ...

    @overload
    @staticmethod
    def make(
        name: str,
        *,
        event_schema: TypeForm[E],
        on_event: Append | Reducer[E, list[E]] | None = None,
        on_dead_letter: OnDeadLetter[list[E]] | None = None,
        **options: Unpack[BufferOptions],
    ) -> Callable[[Execute[list[E]]], BufferDefinition[E, list[E]]]: ...

    # The last event.

    @overload
    @staticmethod
    def make(
        name: str,
        *,
        event_schema: TypeForm[E],
        on_event: Latest,
        execute: Execute[E],
        on_dead_letter: OnDeadLetter[E] | None = None,
        **options: Unpack[BufferOptions],
    ) -> BufferDefinition[E, E]: ...

    @overload
    @staticmethod
    def make(
        name: str,
        *,
        event_schema: TypeForm[E],
        on_event: Latest,
        on_dead_letter: OnDeadLetter[E] | None = None,
        **options: Unpack[BufferOptions],
    ) -> Callable[[Execute[E]], BufferDefinition[E, E]]: ...

    # A state of its own type.

    @overload
    @staticmethod
    def make(
        name: str,
        *,
        event_schema: TypeForm[E],
        state_schema: TypeForm[S],
        on_event: Reducer[E, S],
        execute: Execute[S],
        on_dead_letter: OnDeadLetter[S] | None = None,
        **options: Unpack[BufferOptions],
    ) -> BufferDefinition[E, S]: ...

    @overload
    @staticmethod
    def make(
        name: str,
        *,
        event_schema: TypeForm[E],
        state_schema: TypeForm[S],
        on_event: Reducer[E, S],
        on_dead_letter: OnDeadLetter[S] | None = None,
        **options: Unpack[BufferOptions],
    ) -> Callable[[Execute[S]], BufferDefinition[E, S]]: ...

    @staticmethod
    def make(
        name: str,
        *,
        event_schema: Any,
        state_schema: Any = None,
        flush_after: Duration | None = None,
        debounce: Duration | None = None,
        max_wait: Duration | None = None,
        max_events: int | None = None,
        max_bytes: int | None = None,
        on_event: Any = None,
        execute: Any = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        on_dead_letter: Any = None,
        dedupe_window: Duration = DEFAULT_WINDOW,
        on_full: Literal["flush"] = "flush",
        timeout: Duration | None = None,
        history: int | None = None,
        schema_version: int = 1,
        migrate: Mapping[int, Migration] | None = None,
        aliases: tuple[str, ...] = (),
        **unknown: Never,
    ) -> Any:
        """Define a buffer.  Without `execute` it returns a decorator for the handler.

        Args:
            name: Stable: stored events are found by it.  `aliases` are its old names.
            event_schema: The type of an event; checked at `add`.
            state_schema: The type of the state that `on_event` makes.
            flush_after: A batch is due so long after its first event.
            max_events: A batch is due when it holds so many.  This or `flush_after` is needed; both may be given.
            debounce: Not available in this release.
            max_wait: Not available in this release.
            max_bytes: Not available in this release.
            on_event: A pure function of the state so far and an event that returns the next state, ``(ctx) -> S``.
                It must not do I/O and may be called again for the same event; if it raises, that event is refused.
                Or `Reduce.latest()`.  Without it, or with `Reduce.append()`, the state is the list of events in order.
            execute: ``async def execute(ctx: BufferExecuteContext[S]) -> None``; a plain ``def`` runs in a thread.  A
                batch is handed over at least once; returning anything but None fails the attempt.
            retry: Total attempts and the delay between them.
            on_dead_letter: ``async def on_dead_letter(state, error, ctx)`` is told of a batch that was given up on; it
                is a dead letter already, whatever this does.  `state` is None if it does not decode.  Told at most
                once, and not of a batch that kept killing its process.
            dedupe_window: How long an event id is remembered after the end of its batch.
            on_full: ``"flush"``: a batch that holds `max_events` is flushed, and the next begins.
            timeout: How long one attempt may take.
            history: Not available in this release.
            schema_version: Of what is stored: events, or with `on_event` the state.  Raise it when the schema changes
                in a way that old bytes do not fit.
            migrate: ``{1: from_1_to_2}`` brings older versions forward.
            aliases: Old names of this buffer.
            unknown: Refused, with the nearest valid name.

        Raises:
            DefinitionError: For an option that is unknown, not available yet, or cannot be meant.

        Example:
            >>> @Buffer.make("digests", event_schema=str, flush_after="5 minutes", max_events=20)
            ... async def digests(ctx: BufferExecuteContext[list[str]]) -> None:
            ...     print(len(ctx.state), "mails to", ctx.id)
            >>> digests.name
            'digests'
        """
        refuse_unknown(unknown, Buffer.make, "Buffer.make")
        refuse_not_yet("Buffer.make", debounce=debounce, max_wait=max_wait, max_bytes=max_bytes, history=history)
        if flush_after is None and max_events is None:
            raise DefinitionError(
                f"nothing makes a batch of buffer {name!r} due",
                help='give flush_after="5 minutes", max_events=20, or both',
            )
        if not isinstance(retry, RetryPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DefinitionError(f"retry must be a RetryPolicy, got {type(retry).__name__}")
        choice(on_full, ("flush",), "on_full")
        event, gathering = _gathering(event_schema, state_schema, on_event, schema_version, migrate)
        with_handler = partial(
            BufferDefinition[Any, Any],
            name=check_name(name, "the name of a buffer"),
            aliases=tuple(aliases),
            event=event,
            gathering=gathering,
            flush_after_ms=None if flush_after is None else parse_ms(flush_after, what="flush_after"),
            max_events=None if max_events is None else whole_number(max_events, "max_events"),
            retry=retry,
            on_dead_letter=None if on_dead_letter is None else as_handler(on_dead_letter, "on_dead_letter"),
            dedupe_ms=window_ms(dedupe_window),
            timeout_s=None if timeout is None else parse_ms(timeout, what="timeout") / 1000,
        )

        def define(handler: object) -> BufferDefinition[Any, Any]:
            return with_handler(execute=as_handler(handler, "execute"))

        return define if execute is None else define(execute)


def _gathering(
    event_schema: Any, state_schema: Any, on_event: Any, version: int, migrate: Mapping[int, Migration] | None
) -> tuple[Codec[Any], Gathering[Any]]:
    """The codec of the events, and what becomes of them.  The version is that of what is stored."""
    if state_schema is not None and (on_event is None or isinstance(on_event, Append | Latest)):
        raise DefinitionError(
            "state_schema was given without a function that makes such a state",
            help="give on_event=..., or leave state_schema out",
        )
    if on_event is None or isinstance(on_event, Append):
        event = codec_for(event_schema, version=version, migrate=migrate)
        return event, InOrder(event)
    event = codec_for(event_schema)
    if isinstance(on_event, Latest):
        return event, ByReducer(event, codec_for(event_schema, version=version, migrate=migrate), _latest)
    if not callable(on_event) or is_async(on_event):
        raise DefinitionError(
            f"on_event must be a plain function or a Reduce, got {on_event!r}",
            help="write def on_event(ctx): return the next state; what has to await belongs into execute",
        )
    schema: Any = GenericAlias(list, (event_schema,)) if state_schema is None else state_schema
    return event, ByReducer(event, codec_for(schema, version=version, migrate=migrate), on_event)


def _latest(ctx: BufferEventContext[E, E]) -> E:
    return ctx.event
