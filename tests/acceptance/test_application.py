"""Stories of a whole application: namespaces, two modes of the client, resources, sends from handlers, trackers."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from durable_primitives import (
    Backoff,
    Buffer,
    BufferExecuteContext,
    Continuous,
    ContinuousContext,
    DefinitionError,
    HttpBatchTracker,
    InMemoryTracker,
    PrimitiveEvent,
    PrimitiveNotFoundError,
    Queue,
    QueueExecuteContext,
    Reduce,
    RetryPolicy,
    WorkerOptions,
    create_durable_primitives,
)
from durable_primitives.events import BackgroundTracker
from tests.acceptance.conftest import Open, Store
from tests.acceptance.seen import Seen

SOON = RetryPolicy(max_attempts=3, backoff=Backoff.constant("5ms", jitter="none"))


def noop(name: str, kind: str = "queue") -> Any:
    if kind == "queue":
        return Queue.make(name, event_schema=str, execute=lambda ctx: None)
    if kind == "buffer":
        return Buffer.make(name, event_schema=str, max_events=2, execute=lambda ctx: None)
    return Continuous.make(name, state_schema=int, schedule=Continuous.every("1 hour"), execute=lambda ctx: None)


# Namespaces, names, modes of the client.


async def test_namespaces_of_one_store_do_not_see_each_other(open_app: Open) -> None:
    seen = Seen()

    @Queue.make("q", event_schema=str)
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note(ctx.event)

    async with open_app(queue, namespace="blue", worker=False) as blue:
        await blue.client.queue(queue).enqueue("for blue", id="same id")
    async with open_app(queue, namespace="green") as green:
        client = green.client.queue(queue)
        assert (await client.status()).pending == 0
        assert not (await client.enqueue("for green", id="same id")).duplicate
        await client.drain("30 seconds")
    assert seen == ["for green"]
    async with open_app(queue, namespace="blue"):
        await seen.reach(2)
    assert seen == ["for green", "for blue"]


async def test_a_primitive_is_reached_by_its_definition_or_by_its_name(open_app: Open) -> None:
    queue, buffer, job = noop("orders"), noop("digests", "buffer"), noop("refresher", "continuous")
    async with open_app(queue, buffer, job, worker=False) as running:
        client = running.client
        await client.queue("orders").enqueue("typed or not")
        assert (await client.queue(queue).status()).pending == 1
        await client.buffer("digests").add("a", "x")
        assert (await client.buffer(buffer).status("a")).event_count == 1
        await client.continuous("refresher").start("u", 5)
        assert await client.continuous(job).get_state("u") == 5


@pytest.mark.parametrize("kind", ["queue", "buffer", "continuous"])
async def test_an_unknown_name_is_refused_with_the_nearest_one(open_app: Open, kind: str) -> None:
    async with open_app(noop("webhook_processor", kind), noop("other", "queue"), worker=False) as running:
        with pytest.raises(PrimitiveNotFoundError) as refused:
            getattr(running.client, kind)("webhook_procesor")
    error = refused.value
    assert (error.primitive_type, error.primitive_name) == (kind, "webhook_procesor")
    assert error.did_you_mean == "webhook_processor"
    assert "webhook_processor" in str(error)


async def test_a_definition_of_another_application_is_not_found(open_app: Open) -> None:
    async with open_app(noop("mine"), worker=False) as running:
        with pytest.raises(PrimitiveNotFoundError):
            running.client.queue(noop("theirs"))


def test_two_definitions_of_a_kind_cannot_share_a_name_and_of_two_kinds_can() -> None:
    with pytest.raises(DefinitionError, match="'q'"):
        create_durable_primitives(noop("q"), noop("q"))
    create_durable_primitives(noop("q"), noop("q", "buffer"), noop("q", "continuous"))


async def test_what_was_stored_under_an_old_name_is_run_by_its_new_definition(open_app: Open) -> None:
    seen = Seen()
    async with open_app(noop("old_name"), worker=False) as running:
        await running.client.queue("old_name").enqueue("from before")

    @Queue.make("new_name", event_schema=str, aliases=("old_name",))
    async def renamed(ctx: QueueExecuteContext[str]) -> None:
        await seen.note(ctx.event)

    async with open_app(renamed):
        await seen.reach(1)
    assert seen == ["from before"]


# Ways to open it.


async def test_connect_is_a_client_that_runs_nothing(store: Store) -> None:
    seen = Seen()

    @Queue.make("q", event_schema=str)
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note(ctx.event)

    primitives = create_durable_primitives(queue)
    async with primitives.connect(store) as client:
        await client.queue(queue).enqueue("later")
        assert (await client.queue(queue).status()).pending == 1
    assert seen == []
    async with primitives.open(store):
        await seen.reach(1)


async def test_a_lifespan_gives_the_client_to_the_web_application(store: Store) -> None:
    seen = Seen()

    @Queue.make("q", event_schema=str)
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note(ctx.event)

    lifespan = create_durable_primitives(queue).lifespan(store)
    async with lifespan(object()) as state:
        await state["primitives"].queue(queue).enqueue("from a request")
        await seen.reach(1)


async def test_one_application_can_be_opened_again_and_again(open_app: Open) -> None:
    seen = Seen()

    @Queue.make("q", event_schema=int)
    async def queue(ctx: QueueExecuteContext[int]) -> None:
        await seen.note(ctx.event)

    for n in range(5):
        async with open_app(queue) as running:
            await running.client.queue(queue).enqueue(n)
            await seen.reach(n + 1)
    assert seen == [0, 1, 2, 3, 4]


async def test_an_application_that_fails_inside_its_block_is_closed_in_good_order(open_app: Open) -> None:
    seen, finish = Seen(), asyncio.Event()

    @Queue.make("q", event_schema=str)
    async def queue(ctx: QueueExecuteContext[str]) -> None:
        await seen.note((ctx.event, ctx.attempt, ctx.delivery))
        await finish.wait()

    async def application() -> None:
        async with open_app(queue, options=WorkerOptions(grace="0s")) as running:
            await running.client.queue(queue).enqueue("e")
            await seen.reach(1)
            raise RuntimeError("the application")

    with pytest.raises(RuntimeError, match="the application"):
        await application()
    finish.set()
    async with open_app(queue):
        await seen.reach(2)
    assert seen == [("e", 1, 1), ("e", 1, 1)], "the lease was not given back at once, or an attempt was counted"


# What handlers find around them.


async def test_resources_are_entered_once_per_worker_and_never_by_a_client(store: Store) -> None:
    trace: list[str] = []
    seen = Seen()

    @asynccontextmanager
    async def resources() -> AsyncGenerator[dict[str, int]]:
        trace.append("enter")
        yield {"pool": 7}
        trace.append("exit")

    @Queue.make("q", event_schema=int, concurrency=2)
    async def queue(ctx: QueueExecuteContext[int]) -> None:
        await seen.note(ctx.resources["pool"])

    @Buffer.make("b", event_schema=int, max_events=1)
    async def buffer(ctx: BufferExecuteContext[list[int]]) -> None:
        await seen.note(ctx.resources["pool"])

    @Continuous.make("c", state_schema=int, schedule=Continuous.every("1 hour"))
    async def job(ctx: ContinuousContext[int]) -> None:
        await seen.note(ctx.resources["pool"])

    primitives = create_durable_primitives(queue, buffer, job, resources=resources)
    async with primitives.connect(store) as client:
        await client.queue(queue).enqueue_many(range(4))
        await client.buffer(buffer).add("b", 1)
        await client.continuous(job).start("c", 0)
    assert trace == []
    async with primitives.open(store):
        await seen.reach(6)
        assert trace == ["enter"]
    assert trace == ["enter", "exit"]
    assert seen == [7] * 6


async def test_a_handler_that_runs_twice_sends_once(open_app: Open) -> None:
    """Whatever it sends, to whichever primitive, and from whichever primitive it sends."""
    received, ran = Seen(), Seen()

    async def send_and_fail_once(who: str, client: Any) -> None:
        await client.queue("inbox").enqueue(f"first from {who}")
        await client.queue("inbox").enqueue_many([f"second from {who}", f"third from {who}"])
        await client.buffer("digest").add("all", f"digest from {who}")
        await ran.note(who)
        if ran.count(who) == 1:
            raise ConnectionError("after sending")

    @Queue.make("inbox", event_schema=str)
    async def inbox(ctx: QueueExecuteContext[str]) -> None:
        await received.note(ctx.event)

    @Buffer.make("digest", event_schema=str, max_events=3)
    async def digest(ctx: BufferExecuteContext[list[str]]) -> None:
        for event in ctx.state:
            await received.note(event)

    @Queue.make("outbox", event_schema=str, retry=SOON)
    async def outbox(ctx: QueueExecuteContext[str]) -> None:
        await send_and_fail_once("queue", ctx.client)

    @Buffer.make("batches", event_schema=int, max_events=1, retry=SOON)
    async def batches(ctx: BufferExecuteContext[list[int]]) -> None:
        await send_and_fail_once("buffer", ctx.client)

    @Continuous.make("job", state_schema=int, schedule=Continuous.every("1 hour"), retry=SOON)
    async def job(ctx: ContinuousContext[int]) -> None:
        await send_and_fail_once("continuous", ctx.client)

    async with open_app(inbox, digest, outbox, batches, job) as running:
        await running.client.queue(outbox).enqueue("go")
        await running.client.buffer(batches).add("b", 1)
        await running.client.continuous(job).start("c", 0)
        await ran.reach(6)
        await received.reach(12)
        await running.client.queue(inbox).drain("30 seconds")
        await running.client.queue(outbox).drain("30 seconds")
        assert (await running.client.buffer(digest).status("all")).event_count == 0
    senders = ("queue", "buffer", "continuous")
    assert Counter(ran) == dict.fromkeys(senders, 2)
    assert Counter(received) == {
        f"{n} from {who}": 1 for who in senders for n in ("first", "second", "third", "digest")
    }


# Trackers.


class Raising:
    """A tracker that is broken in every way."""

    enabled = True
    dropped = 0

    def __init__(self) -> None:
        self.release = threading.Event()

    def track(self, event: PrimitiveEvent) -> None:
        raise RuntimeError("broken")

    async def close(self) -> None:
        raise RuntimeError("broken")


class Hanging(Raising):
    """A tracker that never comes back, until the test is over."""

    def track(self, event: PrimitiveEvent) -> None:
        self.release.wait()

    async def close(self) -> None:
        return None


class Refusing(BaseHTTPRequestHandler):
    """A collector that answers 500 to everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(500)
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:
        return None


async def a_day_of_work(open_app: Open, tracker: Any) -> list[object]:
    """The same work with any tracker: what it did, which must not depend on the tracker."""
    seen = Seen()

    @Queue.make("q", event_schema=int, retry=SOON)
    async def queue(ctx: QueueExecuteContext[int]) -> None:
        await seen.note((ctx.event, ctx.attempt))
        if ctx.event % 10 == 0 and ctx.attempt == 1:
            raise ValueError("once")

    @Buffer.make("b", event_schema=int, max_events=10)
    async def buffer(ctx: BufferExecuteContext[list[int]]) -> None:
        await seen.note(tuple(ctx.state))

    async with open_app(queue, buffer, tracker=tracker) as running:
        await running.client.queue(queue).enqueue_many(range(50))
        await running.client.buffer(buffer).add_many("b", range(20))
        await running.client.queue(queue).drain("30 seconds")
        await seen.reach(57)
        assert (await running.client.queue(queue).status()).processed == 50
    return sorted(seen, key=repr)


async def test_a_tracker_is_told_everything(open_app: Open) -> None:
    tracker = InMemoryTracker()
    assert len(await a_day_of_work(open_app, tracker)) == 57
    assert tracker.dropped == 0
    told = Counter(tracker.types)
    assert (told["queue.enqueued"], told["queue.started"], told["queue.completed"]) == (50, 55, 50)
    assert (told["queue.failed"], told["queue.retry_scheduled"]) == (5, 5)


@pytest.mark.parametrize("broken", [Raising, Hanging])
async def test_a_broken_tracker_changes_nothing_but_the_drop_counter(open_app: Open, broken: type[Raising]) -> None:
    tracker = broken()
    guarded = BackgroundTracker(tracker, close_timeout="10ms")
    work = await a_day_of_work(open_app, guarded)
    assert len(work) == 57
    assert guarded.dropped > 0
    assert guarded.delivered == 0
    tracker.release.set()


async def test_a_collector_that_refuses_changes_nothing_but_the_drop_counter(open_app: Open) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        tracker = HttpBatchTracker(
            f"http://127.0.0.1:{server.server_port}/", retry_delay="1ms", max_attempts=2, close_timeout="10 seconds"
        )
        assert len(await a_day_of_work(open_app, tracker)) == 57
        assert tracker.dropped > 0
        assert (tracker.delivered, tracker.pending) == (0, 0)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# What is refused, and says so.

STRINGS: Any = {"event_schema": str}
BATCHES: Any = {"event_schema": int, "max_events": 2}
HOURLY: Any = {"state_schema": int, "schedule": Continuous.every("1 hour")}


@pytest.mark.parametrize(
    ("make", "name", "options", "near"),
    [
        (Queue.make, ["q"], STRINGS | {"concurency": 2}, "concurrency"),
        (Buffer.make, ["b"], STRINGS | {"max_event": 2}, "max_events"),
        (Continuous.make, ["c"], HOURLY | {"misfires": "skip"}, "misfire"),
        (create_durable_primitives, [], {"name_space": "x"}, "namespace"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_one(make: Any, name: list[str], options: Any, near: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        make(*name, **options)
    assert refused.value.did_you_mean == near


@pytest.mark.parametrize(
    ("make", "name", "options"),
    [
        (create_durable_primitives().open_sync, ["memory://"], {}),
        (Continuous.cron, ["0 9 * * MON-FRI"], {"tz": "Europe/Oslo"}),
        (Continuous.at, [[datetime(2030, 1, 1, tzinfo=UTC)]], {}),
        (Continuous.make, ["c"], HOURLY | {"migrate": {1: str}}),
        (Buffer.make, ["b"], BATCHES | {"debounce": "1 second"}),
        (Buffer.make, ["b"], BATCHES | {"debounce": "1 second", "max_wait": "1 minute"}),
        (Buffer.make, ["b"], BATCHES | {"max_bytes": 1000}),
        (Reduce.count, [], {}),
        (Reduce.merge, [], {}),
        (Reduce.distinct, [str], {}),
    ],
)
def test_what_this_release_does_not_have_yet_is_refused_and_not_ignored(make: Any, name: Any, options: Any) -> None:
    with pytest.raises(DefinitionError, match="not available in this release"):
        make(*name, **options)


@pytest.mark.parametrize("wrong", [30, 0.5, True, "30", "soon", "-5 seconds"])
def test_a_bare_number_is_no_duration(wrong: Any) -> None:
    with pytest.raises(DefinitionError) as refused:
        Continuous.every(wrong)
    assert "30 minutes" in str(refused.value)


async def test_a_url_that_nobody_serves_names_those_that_can_be_used() -> None:
    with pytest.raises(DefinitionError, match=r"memory://.*sqlite://"):
        async with create_durable_primitives(noop("q")).open("etcd://localhost"):
            pass
