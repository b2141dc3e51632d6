# pyright: reportMissingImports=false, reportUntypedBaseClass=false
"""What the tests deploy: some definitions, and an entry point that does what a test asks of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from unittest import SkipTest
from urllib.parse import urlparse

from workers import Response, WorkerEntrypoint

from durable_primitives import (
    Backoff,
    Buffer,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    Queue,
    QueueExecuteContext,
    RetryPolicy,
    create_durable_primitives,
)
from durable_primitives.errors import PayloadTooLargeError
from durable_primitives.kernel.transition import Create, NewItem, Transition
from durable_primitives.testing import conformance
from durable_primitives_cloudflare.object import PrimitivesClient
from durable_primitives_cloudflare.object.backend import ObjectBackend
from durable_primitives_cloudflare.object.platform import BoundObjects, WorkersStorage
from durable_primitives_cloudflare.object.storage import MAX_VALUE
from durable_primitives_cloudflare.object.worker import make_engine


@Continuous.make("log", state_schema=list[str], schedule=Continuous.every("1 day"), start_immediately=False)
async def log(ctx: ContinuousContext[list[str]]) -> None: ...


@Queue.make("mails", event_schema=str, concurrency=4)
async def mails(ctx: QueueExecuteContext[str]) -> None:
    await ctx.client.buffer("seen").add("all", ctx.event, event_id=ctx.event)


@Queue.make("plain", event_schema=str)
def plain(ctx: QueueExecuteContext[str]) -> None:
    """Not async: there are no threads here, so it runs on the loop."""


@Queue.make("billed", event_schema=str)
async def billed(ctx: QueueExecuteContext[str]) -> None: ...


@Queue.make("slow", event_schema=str)
async def slow(ctx: QueueExecuteContext[str]) -> None:
    await asyncio.sleep(0.2)


@Queue.make("failing", event_schema=str, retry=RetryPolicy(max_attempts=3, backoff=Backoff.constant("10ms")))
async def failing(ctx: QueueExecuteContext[str]) -> None:
    if ctx.event == "always" or ctx.attempt < 3:
        raise ValueError(f"attempt {ctx.attempt}")


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


primitives = create_durable_primitives(mails, plain, billed, slow, failing, seen, notes, chain, log)


class OneOfMany(WorkersStorage):
    """Tables of its own among those of the object: a promise may be about several stores.

    Its alarms lie in 1970: at once they would set the engine on what the suite looks at.
    """

    made = 0

    def __init__(self, ctx: object) -> None:
        super().__init__(ctx)
        OneOfMany.made += 1
        self._tables = f"store_{OneOfMany.made}_"

    def execute(self, statement: str, *parameters: object) -> Sequence[Sequence[Any]]:
        return super().execute(statement.replace("durable_", self._tables), *parameters)

    def set_alarm(self, at: int) -> None: ...


class DurablePrimitivesEngine(make_engine(primitives)):
    async def bill(self, name: str, id: str, request: object) -> bytes:
        """Rows and alarms that this object wrote since the last look."""
        rows, alarms = self.storage.rows_written, self.host.backend.alarm.writes
        self.storage.rows_written = self.host.backend.alarm.writes = 0
        fired, self.fired = getattr(self, "fired", 0), 0
        return json.dumps([rows, alarms, fired]).encode()

    async def conform(self, part: str, id: str, request: object) -> bytes:
        """Try the promises of one property on the storage of this object, one after the other."""
        failed = []
        for name, case in conformance.cases(part):
            try:
                await case(conformance.FactoryHarness(self.fresh, self.reopened))
            except SkipTest:
                continue
            except Exception as error:
                failed.append([name, repr(error)])
        return json.dumps(failed).encode()

    async def fail_half_way(self, name: str, id: str, request: object) -> bytes:
        """A transaction of the platform that raises when it has written and set the alarm; what is left of it."""
        storage = WorkersStorage(self.ctx)
        storage.execute("CREATE TABLE IF NOT EXISTS half_way (n INTEGER)")
        before = await storage.get_alarm()

        def change() -> None:
            storage.execute("INSERT INTO half_way VALUES (1)")
            storage.set_alarm(4_000_000_000_000)
            raise KeyError("half-way")

        raised = ""
        try:
            storage.transaction(change)
        except KeyError as error:
            raised = str(error)
        return json.dumps(
            {
                "raised": raised,
                "rows": len(storage.execute("SELECT n FROM half_way")),
                "alarm_moved": await storage.get_alarm() != before,
            }
        ).encode()

    async def refuse_half_way(self, name: str, id: str, request: object) -> bytes:
        """A commit whose second event is longer than a row; what is left of the first one."""
        backend = self.fresh()
        await backend.open("default")
        opens = Create(status="open")
        small, long = NewItem("a", b"x"), NewItem("b", bytes(MAX_VALUE))
        refused = False
        try:
            await backend.commit(
                [
                    Transition(instance=f"queue:q:{n}", at=1, create=opens, append=items)
                    for n, items in ((1, (small,)), (2, (long,)))
                ]
            )
        except PayloadTooLargeError:
            refused = True
        again = self.reopened(backend)
        await again.open("default")
        left = [record.instance for one in (backend, again) for record in await one.scan("", "", 10)]
        events = [one.id for backend in (backend, again) for one in await backend.items("queue:q:1", 0, 0, 10)]
        (outcome,), _ = await again.commit([Transition(instance="queue:q:1", at=2, create=opens, append=(small,))])
        return json.dumps(
            {"refused": refused, "left": left + events, "accepted": [one.duplicate for one in outcome.accepted]}
        ).encode()

    def fresh(self) -> ObjectBackend:
        return ObjectBackend(OneOfMany(self.ctx), lambda: 0)

    def reopened(self, backend: ObjectBackend) -> ObjectBackend:
        return ObjectBackend(backend.storage, lambda: 0)

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
        results = await asyncio.gather(
            *(queue.enqueue(e, id=i) for e, i in zip(events, ids or [None] * len(events), strict=True))
        )
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

    async def half_way(self, client, method):
        return json.loads(await BoundObjects(self.env.PRIMITIVES).call("half-way", method, "", "", b""))

    async def conform(self, client, part):
        return json.loads(await BoundObjects(self.env.PRIMITIVES).call(f"conform {part}", "conform", part, "", b""))

    async def bill(self, client, object_name):
        return json.loads(await BoundObjects(self.env.PRIMITIVES).call(object_name, "bill", "", "", b""))
