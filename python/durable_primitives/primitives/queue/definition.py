"""`Queue.make`: a queue as data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Never, TypeVar, overload

from typing_extensions import TypeForm

from durable_primitives.durations import Duration, parse_ms
from durable_primitives.kernel.ids import check_name
from durable_primitives.primitives.queue.context import QueueDeadLetterContext, QueueExecuteContext
from durable_primitives.primitives.queue.results import OnFull, Ordering
from durable_primitives.retry import RetryPolicy
from durable_primitives.schema import Codec, codec_for
from durable_primitives.services.idempotency import DEFAULT_WINDOW, window_ms
from durable_primitives.services.invocation import AsyncHandler, as_handler
from durable_primitives.services.options import choice, refuse_unknown, whole_number

E = TypeVar("E")

Execute = Callable[[QueueExecuteContext[E]], Awaitable[None] | None]
OnDeadLetter = Callable[[E, BaseException, QueueDeadLetterContext], Awaitable[None] | None]


class QueueDefinition(Generic[E]):
    """A queue of events of type `E`, ready to be registered.  Made by `Queue.make`."""

    kind = "queue"

    def __init__(
        self,
        *,
        name: str,
        aliases: tuple[str, ...],
        codec: Codec[E],
        concurrency: int,
        per_instance: int,
        ordering: Ordering,
        execute: AsyncHandler,
        retry: RetryPolicy,
        on_dead_letter: AsyncHandler | None,
        partition_key: Callable[[E], str | None] | None,
        dedupe_ms: int,
        max_pending: int | None,
        on_full: OnFull,
        timeout_s: float | None,
        expires_ms: int | None,
    ) -> None:
        self.name = name
        self.aliases = aliases
        self.codec = codec
        self.concurrency = concurrency
        self.per_instance = per_instance
        self.ordering: Ordering = ordering
        self.execute = execute
        self.retry = retry
        self.on_dead_letter = on_dead_letter
        self.partition_key = partition_key
        self.dedupe_ms = dedupe_ms
        self.max_pending = max_pending
        self.on_full: OnFull = on_full
        self.timeout_s = timeout_s
        self.expires_ms = expires_ms

    def room(self, index: int) -> int | None:
        """How many live events the instance `index` may hold: its share of `max_pending`."""
        if self.max_pending is None:
            return None
        share, rest = divmod(self.max_pending, self.concurrency)
        return max(share + (index < rest), 1)

    def __repr__(self) -> str:
        return f"Queue.make({self.name!r}, concurrency={self.concurrency})"


class Queue:
    """FIFO processing over N instances, in order per partition key, with retries and dead letters."""

    @overload
    @staticmethod
    def make(
        name: str,
        *,
        event_schema: TypeForm[E],
        execute: Execute[E],
        concurrency: int = ...,
        per_instance: int = ...,
        ordering: Ordering = ...,
        retry: RetryPolicy = ...,
        on_dead_letter: OnDeadLetter[E] | None = ...,
        partition_key: Callable[[E], str | None] | None = ...,
        dedupe_window: Duration = ...,
        max_pending: int | None = ...,
        on_full: OnFull = ...,
        timeout: Duration | None = ...,
        expires_after: Duration | None = ...,
        schema_version: int = ...,
        aliases: tuple[str, ...] = ...,
    ) -> QueueDefinition[E]: ...

    @overload
    @staticmethod
    def make(
        name: str,
        *,
        event_schema: TypeForm[E],
        concurrency: int = ...,
        per_instance: int = ...,
        ordering: Ordering = ...,
        retry: RetryPolicy = ...,
        on_dead_letter: OnDeadLetter[E] | None = ...,
        partition_key: Callable[[E], str | None] | None = ...,
        dedupe_window: Duration = ...,
        max_pending: int | None = ...,
        on_full: OnFull = ...,
        timeout: Duration | None = ...,
        expires_after: Duration | None = ...,
        schema_version: int = ...,
        aliases: tuple[str, ...] = ...,
    ) -> Callable[[Execute[E]], QueueDefinition[E]]: ...

    @staticmethod
    def make(
        name: str,
        *,
        event_schema: Any,
        execute: Any = None,
        concurrency: int = 1,
        per_instance: int = 1,
        ordering: Ordering = "strict",
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        on_dead_letter: Any = None,
        partition_key: Any = None,
        dedupe_window: Duration = DEFAULT_WINDOW,
        max_pending: int | None = None,
        on_full: OnFull = "reject",
        timeout: Duration | None = None,
        expires_after: Duration | None = None,
        schema_version: int = 1,
        aliases: tuple[str, ...] = (),
        **unknown: Never,
    ) -> Any:
        """Define a queue.  Without `execute` it returns a decorator for the handler.

        Args:
            name: Stable: stored events are found by it.  `aliases` are its old names.
            event_schema: The type of an event; checked at `enqueue`.
            execute: ``async def execute(ctx: QueueExecuteContext[E])``; a plain ``def`` runs in a thread.
            concurrency: How many instances the queue is spread over.  Each is owned by one worker at a time.
            per_instance: How many partition keys of one instance run at once.
            ordering: ``"strict"``: an event that waits for its retry holds back its key; ``"relaxed"``: it does not.
            retry: Total attempts and the delay between them.
            on_dead_letter: Told when an event is given up on; the event is kept as a dead letter in any case.
            partition_key: A function of the event, for events that are enqueued without a key.
            dedupe_window: How long an event id is remembered after the end of its event.
            max_pending: How many live events the queue may hold; each instance has its share.
            on_full: ``"reject"`` raises `QueueFullError`, ``"drop_oldest"`` drops what would run next.
            timeout: How long one attempt may take.
            expires_after: An event that could not start within this time is dropped as expired.
            schema_version: Raise it when the schema changes in a way that old bytes do not fit.
            aliases: Old names: what was stored under them is run by this definition.
            unknown: Refused, with the nearest valid name.

        Raises:
            DefinitionError: For an option that is unknown or cannot be meant.

        Example:
            >>> @Queue.make("mails", event_schema=str, concurrency=2)
            ... async def mails(ctx: QueueExecuteContext[str]) -> None:
            ...     print(ctx.event)
            >>> mails.name
            'mails'
        """
        refuse_unknown(unknown, Queue.make, "Queue.make")

        def define(handler: Any) -> QueueDefinition[Any]:
            return QueueDefinition(
                name=check_name(name, "the name of a queue"),
                aliases=aliases,
                codec=codec_for(event_schema, version=schema_version),
                concurrency=whole_number(concurrency, "concurrency"),
                per_instance=whole_number(per_instance, "per_instance"),
                ordering=choice(ordering, ("strict", "relaxed"), "ordering"),
                execute=as_handler(handler, "execute"),
                retry=retry,
                on_dead_letter=None if on_dead_letter is None else as_handler(on_dead_letter, "on_dead_letter"),
                partition_key=partition_key,
                dedupe_ms=window_ms(dedupe_window),
                max_pending=None if max_pending is None else whole_number(max_pending, "max_pending"),
                on_full=choice(on_full, ("reject", "drop_oldest"), "on_full"),
                timeout_s=None if timeout is None else parse_ms(timeout, what="timeout") / 1000,
                expires_ms=None if expires_after is None else parse_ms(expires_after, what="expires_after"),
            )

        return define if execute is None else define(execute)
