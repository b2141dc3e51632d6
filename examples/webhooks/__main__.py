"""Replay webhook deliveries: ``python -m examples.webhooks [FILE.jsonl] [--db PATH] [--backend URL]``.

Kill it whenever you like and start it again: it offers everything once more, what was accepted before is recognised,
and the rest goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager, closing
from pathlib import Path

from durable_primitives import Enqueue, PrimitivesClient, WorkerOptions, create_durable_primitives
from durable_primitives.backends.sqlite import SQLiteBackend
from durable_primitives.spi import Backend
from examples.webhooks.definitions import Progress, deliveries, digests, progress
from examples.webhooks.receiver import Entry, Journal, Receiver
from examples.webhooks.source import Delivery, SourceError, from_file, from_git
from examples.webhooks.summary import Summary, summarise

BATCH = 100
UNSENT = ("buffering", "flushing", "retrying")

USAGE = """\
Pass a file of deliveries, one JSON object per line:
    python -m examples.webhooks deliveries.jsonl
    {"delivery": "1", "event": "push", "payload": {"repository": {"full_name": "octo/hello"}}}"""

# After a kill -9 the next process takes over when the lease of the dead one has run out; nobody wants to watch that for
# the usual 30 seconds.
IMPATIENT = WorkerOptions(lease="1 second", heartbeat="200ms")


async def replay(source: list[Delivery], db: Path, store: str | Backend, latency_s: float) -> Summary:
    """Run until everything that was ever accepted into `store` is delivered and in a digest; `db` names the journal."""
    db.parent.mkdir(parents=True, exist_ok=True)
    with closing(Journal(db.with_suffix(".journal.db"))) as journal:

        @asynccontextmanager
        async def receiver() -> AsyncGenerator[Receiver]:
            yield Receiver(journal, latency_s)

        primitives = create_durable_primitives(deliveries, digests, progress, resources=receiver)
        async with primitives.open(store, options=IMPATIENT) as running:
            client = running.client
            await offer(client, journal, source)
            await client.continuous(progress).start("replay", Progress())
            await client.queue(deliveries).drain()
            await until_sent(client, journal.by_repository("accepted"))
            await client.continuous(progress).stop("replay", "everything is delivered")
            return summarise(journal, await client.queue(deliveries).status())


async def offer(client: PrimitivesClient, journal: Journal, source: list[Delivery]) -> None:
    """Enqueue everything, and write down what the queue acknowledged."""
    known = 0
    for start in range(0, len(source), BATCH):
        batch = source[start : start + BATCH]
        events = [Enqueue(delivery, id=delivery.delivery) for delivery in batch]
        receipts = await client.queue(deliveries).enqueue_many(events)
        known += sum(receipt.duplicate for receipt in receipts)
        journal.write(Entry("accepted", one.delivery, one.repository, [one.delivery]) for one in batch)
    print(f"offered    {len(source)} deliveries, {known} of them known from before", flush=True)


async def until_sent(client: PrimitivesClient, repositories: Collection[str]) -> None:
    """Wait until the timers of the buffers have sent the last digests."""
    buffer = client.buffer(digests)
    sending = True
    while sending:
        for repository in repositories:
            while (await buffer.status(repository)).status in UNSENT:
                await asyncio.sleep(0.05)
        # A batch that was under way at five kills in a row is set aside: it may be what kills the process.  Here it
        # is not, so what never failed gets another chance.
        sending = await buffer.dead_letters.redrive(lambda letter: letter.attempts == 0) > 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="examples.webhooks", description="Replay webhook deliveries, durably.")
    parser.add_argument("file", nargs="?", type=Path, help="JSONL deliveries; this repository's history if left out")
    parser.add_argument("--db", type=Path, default=Path("webhooks-demo.db"), help="the store (default: %(default)s)")
    parser.add_argument("--backend", metavar="URL", help="another store, redis://localhost:6379/0 for one")
    parser.add_argument(
        "--latency-ms", type=int, default=20, help="how long the receiver takes to answer (default: %(default)s)"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Exit status: 0 for a complete replay, 1 for one that is not, 2 for nothing to replay, 130 after Ctrl-C."""
    options = parse(arguments)
    try:
        source = from_git() if options.file is None else from_file(options.file)
        store = options.backend or SQLiteBackend(options.db)
        summary = asyncio.run(replay(source, options.db, store, options.latency_ms / 1000))
    except SourceError as error:
        print(f"examples.webhooks: {error}", USAGE, sep="\n", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped    start it again and it goes on from here")
        return 130
    print(summary.text)
    return 1 if summary.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
