"""What a queue means to a type checker: the event's type reaches handlers, clients and results."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, assert_type

from durable_primitives import (
    Backoff,
    DeadLetterRecord,
    DrainResult,
    Enqueue,
    EnqueueResult,
    Page,
    PrimitivesClient,
    Queue,
    QueueClient,
    QueueDeadLetterContext,
    QueueDefinition,
    QueueExecuteContext,
    QueueStatus,
    RetryPolicy,
)


@dataclass
class Mail:
    to: str


# Defining.


async def send(ctx: QueueExecuteContext[Mail]) -> None:
    assert_type(ctx.event, Mail)
    assert_type(ctx.event_id, str)
    assert_type(ctx.partition_key, str | None)
    assert_type(ctx.sequence, int)
    assert_type(ctx.attempt, int)
    assert_type(ctx.delivery, int)
    assert_type(ctx.is_retry, bool)
    assert_type(ctx.cancelled, bool)
    assert_type(ctx.enqueued_at, datetime)
    assert_type(ctx.idempotency_key, str)
    assert_type(ctx.client, PrimitivesClient)


def send_in_thread(ctx: QueueExecuteContext[Mail]) -> None:
    """A plain function will do."""


async def send_text(ctx: QueueExecuteContext[str]) -> None:
    """For events of another type."""


async def park(event: Mail, error: BaseException, ctx: QueueDeadLetterContext) -> None:
    assert_type(ctx.attempts, int)


mails = Queue.make(
    "mails",
    event_schema=Mail,
    execute=send,
    concurrency=5,
    ordering="relaxed",
    retry=RetryPolicy(max_attempts=5, backoff=Backoff.exponential(base="1 second"), give_up_on=(ValueError,)),
    on_dead_letter=park,
    partition_key=lambda mail: mail.to,
    timeout=timedelta(seconds=30),
)
assert_type(mails, QueueDefinition[Mail])
assert_type(Queue.make("mails", event_schema=Mail, execute=send_in_thread), QueueDefinition[Mail])
assert_type(Queue.make("mails", event_schema=dict[str, int], execute=lambda ctx: None), QueueDefinition[dict[str, int]])


@Queue.make("texts", event_schema=str)
async def texts(ctx: QueueExecuteContext[str]) -> None:
    assert_type(ctx.event, str)


assert_type(texts, QueueDefinition[str])


# Calling.


async def use(client: PrimitivesClient, at: datetime) -> None:
    queue = client.queue(mails)
    assert_type(queue, QueueClient[Mail])
    assert_type(await queue.enqueue(Mail("ada"), id="m-1", partition_key="ada", delay="5 minutes"), EnqueueResult)
    assert_type(await queue.enqueue(Mail("ada"), at=at, priority=3), EnqueueResult)
    assert_type(await queue.enqueue_many([Mail("ada"), Enqueue(Mail("bob"), id="m-2")]), list[EnqueueResult])
    assert_type((await queue.cancel("m-1")).outcome, Literal["cancelled", "running", "done", "not_found"])
    assert_type(await queue.status(), QueueStatus)
    assert_type((await queue.status()).oldest_age, timedelta | None)
    assert_type(await queue.drain(timeout="1 minute"), DrainResult)
    assert_type(await queue.dead_letters.list(limit=10), Page[DeadLetterRecord[Mail]])
    letter = await queue.dead_letters.get("m-1")
    assert_type(letter, DeadLetterRecord[Mail] | None)
    if letter is not None:
        assert_type(letter.event, Mail | None)
    assert_type(await queue.dead_letters.redrive(lambda record: record.attempts > 3), int)
    # By name, everything goes.
    assert_type(client.queue("mails"), QueueClient[Any])


# Refused.


async def misuse(client: PrimitivesClient) -> None:
    queue = client.queue(mails)
    await queue.enqueue("ada")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await queue.enqueue_many(["ada"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await queue.enqueue(Mail("ada"), delay=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await queue.enqueue(Mail("ada"), "m-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.buffer(mails)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


Queue.make("q", event_schema=Mail, execute=send_text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Queue.make("q", event_schema=Mail, execute=send, ordering="fifo")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
Queue.make("q", event_schema=Mail, execute=send, timeout=30)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
Queue.make("q", event_schema=Mail, execute=send, concurency=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
Queue.make("q", Mail, send)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]

wrong: Callable[[QueueExecuteContext[str]], Awaitable[None]] = send  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
