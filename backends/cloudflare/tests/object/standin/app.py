"""What the tests deploy: some definitions, and an entry point that does what a test asks of it."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlparse

from workers import Response, WorkerEntrypoint

from durable_primitives import (
    Buffer,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    Queue,
    QueueExecuteContext,
    create_durable_primitives,
)
from durable_primitives_cloudflare.object import PrimitivesClient
from durable_primitives_cloudflare.object.platform import BoundObjects
from durable_primitives_cloudflare.object.worker import make_engine


@Continuous.make("log", state_schema=list[str], schedule=Continuous.every("1 day"), start_immediately=False)
async def log(ctx: ContinuousContext[list[str]]) -> None: ...


@Queue.make("mails", event_schema=str, concurrency=4)
async def mails(ctx: QueueExecuteContext[str]) -> None:
    await ctx.client.buffer("seen").add("all", ctx.event, event_id=ctx.event)


@Queue.make("plain", event_schema=str)
def plain(ctx: QueueExecuteContext[str]) -> None:
    """Not async: there are no threads here, so it runs on the loop."""


@Queue.make("slow", event_schema=str)
async def slow(ctx: QueueExecuteContext[str]) -> None:
    await asyncio.sleep(0.2)


@Buffer.make("seen", event_schema=str, flush_after="1 day")
async def seen(ctx: BufferExecuteContext[list[str]]) -> None: ...


@Buffer.make("notes", event_schema=str, flush_after="1 second")
async def notes(ctx: BufferExecuteContext[list[str]]) -> None: ...


@Continuous.make("chain", state_schema=int, schedule=Continuous.every("1 day"))
async def chain(ctx: ContinuousContext[int]) -> None:
    """Due again at once, so many times."""
    if ctx.state > 0:
        ctx.set_state(ctx.state - 1)
        ctx.schedule(ctx.now())


primitives = create_durable_primitives(mails, plain, slow, seen, notes, chain, log)


class DurablePrimitivesEngine(make_engine(primitives)):
    async def bill(self, name: str, id: str, request: object) -> bytes:
        """Rows and alarms that this object wrote since the last look."""
        rows, alarms = self.storage.rows_written, self.host.backend.alarm.writes
        self.storage.rows_written = self.host.backend.alarm.writes = 0
        fired, self.fired = getattr(self, "fired", 0), 0
        return json.dumps([rows, alarms, fired]).encode()

    async def alarm(self, info: object = None) -> None:
        self.fired = getattr(self, "fired", 0) + 1
        await super().alarm(info)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        client = PrimitivesClient.from_binding(self.env.PRIMITIVES, primitives)
        command = urlparse(request.url).path.strip("/")
        arguments = json.loads(await request.text())
        result = await getattr(self, command)(client, **arguments)
        return Response(json.dumps(result), headers={"content-type": "application/json"})

    async def enqueue(self, client, name, events, ids=None):
        queue = client.queue(name)
        results = await asyncio.gather(*(queue.enqueue(e, id=i) for e, i in zip(events, ids or [None] * len(events))))
        return [[r.instance_index, r.duplicate] for r in results]

    async def queue_status(self, client, name):
        status = await client.queue(name).status()
        return {"processed": status.processed, "pending": status.pending, "dead": status.dead}

    async def add(self, client, name, id, events):
        buffer = client.buffer(name)
        return [(await buffer.add(id, event)).event_count for event in events]

    async def buffer_status(self, client, name, id):
        status = await client.buffer(name).status(id)
        return {"status": status.status, "count": status.event_count}

    async def start(self, client, name, id, state):
        return (await client.continuous(name).start(id, state)).created

    async def continuous_status(self, client, name, id):
        status = await client.continuous(name).status(id)
        return {"status": status.status, "runs": status.run_count, "state": await client.continuous(name).get_state(id)}

    async def bill(self, client, object_name):
        return json.loads(await BoundObjects(self.env.PRIMITIVES).call(object_name, "bill", "", "", b""))
