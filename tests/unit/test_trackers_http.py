"""The HTTP tracker against a real server that is healthy, failing, silent, rude or gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from durable_primitives.errors import DefinitionError
from durable_primitives.events import EVENT_TYPES, HttpBatchTracker, QueueCancelled

from .tracked import SAFETY_S, completed

HANG = "never answers"
RUDE = "hangs up"
GARBAGE = "does not speak HTTP"

Answer = int | str


class Collector(ThreadingHTTPServer):
    """Answers with `answers` in turn, then with 200 for ever, and keeps what it was sent."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), CollectorHandler)
        self.answers: list[Answer] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.methods: list[str] = []
        self.released = threading.Event()
        self._arrived = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/events"

    @property
    def event_ids(self) -> list[list[str]]:
        return [[event["event_id"] for event in request["events"]] for request in self.requests]

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that went away is what some of these tests are about

    def arrive(self, method: str, headers: dict[str, str], body: bytes) -> Answer:
        with self._arrived:
            self.methods.append(method)
            self.headers.append(headers)
            self.requests.append(msgspec.json.decode(body or b"{}"))
            self._arrived.notify_all()
            return self.answers.pop(0) if self.answers else 200

    def wait_for_requests(self, count: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, SAFETY_S), f"{len(self.requests)} came"


class CollectorHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        collector = self.server
        assert isinstance(collector, Collector)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = collector.arrive(self.command, {k.lower(): v for k, v in self.headers.items()}, body)
        if answer == HANG:
            collector.released.wait(SAFETY_S)
            answer = 200
        if answer == GARBAGE:
            self.wfile.write(b"220 mail.example.com ESMTP\r\n")
        elif isinstance(answer, int):
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("location", collector.url)
            self.send_header("content-length", "0")
            self.end_headers()

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        pass  # quiet


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join(SAFETY_S)


@pytest.fixture
def tracker(collector: Collector) -> Callable[..., HttpBatchTracker]:
    """`tracker(**options)`: one that sends only full batches, and does not linger between tries."""

    def make(**options: Any) -> HttpBatchTracker:
        return HttpBatchTracker(collector.url, **{"flush_interval": "1 hour", "retry_delay": "1ms", **options})

    return make


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def track(tracker: HttpBatchTracker, count: int) -> None:
    for number in range(count):
        tracker.track(completed(number))


def counts(tracker: HttpBatchTracker) -> tuple[int, int, int]:
    return tracker.delivered, tracker.dropped, tracker.pending


async def close(tracker: HttpBatchTracker) -> None:
    async with asyncio.timeout(SAFETY_S):
        await tracker.close()


# --- a healthy collector ----------------------------------------------------------------------------------------------


async def test_events_arrive_in_batches_and_in_order(collector: Collector, tracker):
    sending = tracker(batch_size=3)

    track(sending, 7)
    collector.wait_for_requests(2)
    await close(sending)

    assert collector.event_ids == [["evt-0", "evt-1", "evt-2"], ["evt-3", "evt-4", "evt-5"], ["evt-6"]]
    assert counts(sending) == (7, 0, 0)


async def test_a_batch_that_does_not_fill_leaves_after_the_interval(collector: Collector, tracker):
    sending = tracker(flush_interval="1ms")

    track(sending, 1)

    collector.wait_for_requests(1)
    await close(sending)
    assert collector.event_ids == [["evt-0"]]


async def test_a_batch_says_whose_it_is_and_what_was_lost(collector: Collector, tracker):
    sending = tracker(headers={"authorization": "Bearer token"}, attributes={"service": "billing"})

    track(sending, 1)
    await close(sending)

    (headers,), (body,) = collector.headers, collector.requests
    assert (headers["authorization"], headers["content-type"]) == ("Bearer token", "application/json")
    assert body.keys() == {"batch_id", "attributes", "dropped", "events"}
    assert (body["attributes"], body["dropped"]) == ({"service": "billing"}, 0)
    (event,) = body["events"]
    assert msgspec.convert(event, EVENT_TYPES[event["type"]]) == completed(0)


async def test_an_event_that_can_not_be_encoded_does_not_take_its_batch_along(collector: Collector, tracker):
    sending = tracker()
    identity = {"namespace": "default", "kind": "queue", "name": "deliveries", "instance_id": "queue:deliveries:3"}

    sending.track(completed(0))
    sending.track(QueueCancelled(at_ms=0, **identity, event_id="evt-1", reason="\ud800"))
    sending.track(completed(2))
    await close(sending)

    assert collector.event_ids == [["evt-0", "evt-2"]]
    assert counts(sending) == (2, 1, 0)


async def test_it_can_be_used_again_after_close(collector: Collector, tracker):
    sending = tracker(batch_size=2)

    for already in range(20):
        track(sending, 2)
        collector.wait_for_requests(already + 1)
        await close(sending)
        await close(sending)

    assert collector.event_ids == [["evt-0", "evt-1"]] * 20
    assert counts(sending) == (40, 0, 0)


async def test_nothing_is_sent_or_started_before_the_first_event(collector: Collector, tracker):
    threads = set(threading.enumerate())

    await close(tracker())

    assert not collector.requests
    assert not set(threading.enumerate()) - threads


# --- a failing collector ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [500, 503, 429, 408, RUDE, GARBAGE])
async def test_a_batch_is_sent_again_as_it_was_until_it_is_accepted(answer: Answer, collector: Collector, tracker):
    collector.answers = [answer, answer]
    sending = tracker(max_attempts=3)

    track(sending, 2)
    await close(sending)

    first, second, third = collector.requests
    assert first == second == third
    assert counts(sending) == (2, 0, 0)


async def test_batches_have_ids_of_their_own(collector: Collector, tracker):
    sending = tracker(batch_size=1)

    track(sending, 5)
    await close(sending)

    assert len({request["batch_id"] for request in collector.requests}) == 5


async def test_a_batch_that_keeps_failing_is_dropped_and_the_next_one_says_so(
    collector: Collector, tracker, caplog: pytest.LogCaptureFixture
):
    collector.answers = [500] * 6
    sending = tracker(batch_size=2, max_attempts=3)

    track(sending, 6)
    await close(sending)

    assert [request["dropped"] for request in collector.requests] == [0, 0, 0, 2, 2, 2, 4]
    assert counts(sending) == (2, 4, 0)
    assert caplog.messages == ["tracking events lost"], "said once, not per batch"


@pytest.mark.parametrize("answer", [301, 302, 307, 400, 401, 404])
async def test_a_refusal_is_not_repeated(answer: int, collector: Collector, tracker):
    collector.answers = [answer]
    sending = tracker(max_attempts=3)

    track(sending, 2)
    await close(sending)

    assert collector.methods == ["POST"]
    assert counts(sending) == (0, 2, 0)


async def test_a_collector_that_is_down_costs_nothing_but_the_counter():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    sending = HttpBatchTracker(f"http://127.0.0.1:{port}", batch_size=10, flush_interval="1 hour", retry_delay="1 hour")

    track(sending, 25)
    await close(sending)

    assert counts(sending) == (0, 25, 0)


async def test_closing_tries_again_without_waiting_out_the_delay(collector: Collector, tracker):
    collector.answers = [500]
    sending = tracker(batch_size=1, retry_delay="1 hour")

    track(sending, 1)
    collector.wait_for_requests(1)
    await close(sending)

    assert counts(sending) == (1, 0, 0)


# --- a silent collector -----------------------------------------------------------------------------------------------


async def test_a_collector_that_never_answers_blocks_nobody(collector: Collector, tracker):
    collector.answers = [HANG]
    sending = tracker(batch_size=10, max_queue=100, close_timeout="50ms", timeout="1 minute")

    track(sending, 10)
    collector.wait_for_requests(1)
    track(sending, 10_000)

    assert counts(sending) == (0, 9_900, 110), "100 wait, 10 are in flight, all others are counted"
    await close(sending)
    assert counts(sending) == (0, 10_010, 0)


async def test_an_answer_that_comes_after_closing_gave_up_changes_nothing(collector: Collector, tracker):
    collector.answers = [HANG]
    sending = tracker(batch_size=1, close_timeout="20ms", timeout="1 minute")
    threads = set(threading.enumerate())
    track(sending, 1)
    (stuck,) = (thread for thread in set(threading.enumerate()) - threads if thread.name == "durable-primitives-events")
    collector.wait_for_requests(1)
    await close(sending)
    track(sending, 1)
    collector.wait_for_requests(2)  # from another thread, while the first one is still stuck

    assert stuck.is_alive()
    collector.released.set()
    stuck.join(SAFETY_S)
    await close(sending)

    assert not stuck.is_alive()
    assert sending.dropped >= 1, "what was given up stays given up"
    assert sum(counts(sending)) == 2


async def test_a_try_ends_after_its_timeout(collector: Collector, tracker):
    collector.answers = [HANG]
    sending = tracker(batch_size=1, timeout="100ms", max_attempts=100)

    track(sending, 1)
    collector.wait_for_requests(2)
    await close(sending)

    assert counts(sending) == (1, 0, 0)


# --- forks ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_sends_its_own_events_and_leaves_those_of_its_parent_alone(collector: Collector, tracker, require):
    require("os.fork", hasattr(os, "fork"))
    sending = tracker()
    sending.track(completed(0))

    child = os.fork()
    if child == 0:
        try:
            signal.alarm(int(SAFETY_S))
            sending.track(completed(1))
            asyncio.run(sending.close())
            os._exit(0 if counts(sending) == (1, 0, 0) else 1)
        except BaseException:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    asyncio.run(sending.close())

    assert os.waitstatus_to_exitcode(status) == 0
    assert collector.event_ids == [["evt-1"], ["evt-0"]]
    assert counts(sending) == (1, 0, 0)


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["collector.example.com", "ftp://collector.example.com", "file:///etc/passwd", ""])
def test_only_http_is_spoken(url: str):
    with pytest.raises(DefinitionError, match="url"):
        HttpBatchTracker(url)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((option, 0) for option in ("batch_size", "max_queue", "max_attempts")),
        *((option, 5) for option in ("flush_interval", "timeout", "retry_delay", "close_timeout")),
        *((option, "0 seconds") for option in ("timeout", "close_timeout")),
    ],
)
def test_options_out_of_range_are_refused(option: str, value: Any):
    with pytest.raises(DefinitionError, match=option):
        HttpBatchTracker("https://collector.example.com", **{option: value})
