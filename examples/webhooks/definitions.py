"""The three primitives: a queue of deliveries, a buffer of digests, a repeating report on both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from durable_primitives import (
    Buffer,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    Queue,
    QueueExecuteContext,
)
from examples.webhooks.source import Delivery

if TYPE_CHECKING:
    from examples.webhooks.receiver import Receiver


class Note(Struct, frozen=True):
    """What a digest says about one delivery."""

    delivery: str
    event: str


class Progress(Struct, frozen=True):
    """What the reporter knew at its last report."""

    reports: int = 0
    delivered: int = 0


@Buffer.make("digests", event_schema=Note, flush_after="2 seconds", max_events=20)
async def digests(ctx: BufferExecuteContext[list[Note]]) -> None:
    """Send one repository's digest.  The id of the buffer is the repository."""
    receiver: Receiver = ctx.resources
    ids = [note.delivery for note in ctx.state]
    await receiver.post("digest", ctx.id, ids, idempotency_key=ctx.idempotency_key)
    kinds = ", ".join(sorted({note.event for note in ctx.state}))
    print(f"digest     {ctx.id} +{ctx.event_count} ({ctx.flush_reason}): {kinds}", flush=True)


@Queue.make(
    "deliveries",
    event_schema=Delivery,
    concurrency=4,
    partition_key=lambda delivery: delivery.repository,
    dedupe_window="3 days",  # as long as GitHub offers to send a delivery again
)
async def deliveries(ctx: QueueExecuteContext[Delivery]) -> None:
    """Hand one delivery over, then note it for the digest of its repository."""
    receiver: Receiver = ctx.resources
    delivery = ctx.event
    await receiver.post("delivered", delivery.repository, [delivery.delivery], idempotency_key=ctx.idempotency_key)
    note = Note(delivery.delivery, delivery.event)
    await ctx.client.buffer(digests).add(delivery.repository, note, event_id=delivery.delivery)


@Continuous.make("progress", state_schema=Progress, schedule=Continuous.every("1 second"))
async def progress(ctx: ContinuousContext[Progress]) -> None:
    """Say how far the queue is, and remember it."""
    queue = await ctx.client.queue(deliveries).status()
    number, fresh = ctx.state.reports + 1, queue.processed - ctx.state.delivered
    waiting = queue.pending + queue.running + queue.retrying
    print(f"report {number:<3} {queue.processed} delivered, {fresh} since the last report, {waiting} to go", flush=True)
    ctx.set_state(Progress(number, queue.processed))
