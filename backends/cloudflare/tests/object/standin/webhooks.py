# pyright: reportMissingImports=false, reportUntypedBaseClass=false
"""The example's definitions in a Worker.  What they post is kept in memory: all objects of this workerd share it."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from urllib.parse import urlparse

from workers import Response, WorkerEntrypoint

from durable_primitives import Enqueue, create_durable_primitives
from durable_primitives_cloudflare.object import PrimitivesClient
from durable_primitives_cloudflare.object.worker import make_engine
from examples.webhooks.definitions import Progress, deliveries, digests, progress
from examples.webhooks.source import Delivery

POSTED: list[tuple[str, str, list[str], str]] = []


class Receiver:
    async def post(self, kind, repository, deliveries, *, idempotency_key):
        POSTED.append((kind, repository, deliveries, idempotency_key))


@asynccontextmanager
async def receiver():
    yield Receiver()


primitives = create_durable_primitives(deliveries, digests, progress, resources=receiver)
DurablePrimitivesEngine = make_engine(primitives)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        client = PrimitivesClient.from_binding(self.env.PRIMITIVES, primitives)
        command = urlparse(request.url).path.strip("/")
        result = await getattr(self, command)(client, **json.loads(await request.text()))
        return Response(json.dumps(result), headers={"content-type": "application/json"})

    async def offer(self, client, offered):
        events = [Enqueue(Delivery(**one), id=one["delivery"]) for one in offered]
        receipts = await client.queue(deliveries).enqueue_many(events)
        await client.continuous(progress).start("replay", Progress())
        return sum(receipt.duplicate for receipt in receipts)

    async def posted(self, client):
        return POSTED

    async def finish(self, client):
        await client.continuous(progress).stop("replay", "everything is delivered")
        status = await client.continuous(progress).status("replay")
        return [status.status, status.run_count]
