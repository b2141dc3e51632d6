"""Every point of every operation, one after the other: small scenarios in which each fault is tried at each place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from durable_primitives import Backoff, Buffer, Continuous, PrimitivesClient, Queue, RetryPolicy
from durable_primitives.testing.laws import Watch
from durable_primitives.testing.simulation import (
    Deviation,
    Point,
    ProcessCrashedError,
    Simulation,
    SimulationError,
    every_deviation,
)
from tests.campaign.actors import told

Call = Callable[[PrimitivesClient], Awaitable[Any]]

SINGLE = ("crash", "zombie", "store_error", "delay", "alarm", "handler_error", "handler_timeout", "shutdown", "clock")
"""Tried one at a time: everything but the order of callbacks, which has no points of its own."""

PAIRS = ("crash", "store_error")
"""Tried two at a time."""

TWICE = RetryPolicy(2, Backoff.constant("1 second", jitter="none"))


async def _queue(ctx: Any) -> None:
    if ctx.event == "slow":
        await asyncio.sleep(12)  # longer than a heartbeat
    if ctx.event == "dead" or (ctx.event == "retried" and not ctx.is_retry):
        raise ValueError("no")


async def _buffer(ctx: Any) -> None:
    if "dead" in ctx.state or ("retried" in ctx.state and not ctx.is_retry):
        raise ValueError("no")


async def _continuous(ctx: Any) -> None:
    ctx.set_state([*ctx.state, ctx.run_count])
    if "checkpoint" in ctx.id:
        await ctx.checkpoint()
    if "retried" in ctx.id and not ctx.is_retry:
        raise ValueError("no")


def _fold(ctx: Any) -> list[str]:
    return [*(ctx.state or ()), ctx.event]


QUEUE = Queue.make("q", event_schema=str, execute=_queue, retry=TWICE)
WIDE = Queue.make("w", event_schema=str, execute=_queue, retry=TWICE, concurrency=2, per_instance=2)
LIST = Buffer.make("l", event_schema=str, execute=_buffer, retry=TWICE, max_events=2, flush_after="5 seconds")
FOLDED: Any = Buffer.make(
    "f", event_schema=str, state_schema=list[str], on_event=_fold, execute=_buffer, retry=TWICE, max_events=2
)
JOB = Continuous.make(
    "c",
    state_schema=list[int],
    schedule=Continuous.every("5 seconds"),
    execute=_continuous,
    retry=TWICE,
    max_runs=2,
)


def wait(seconds: float) -> Call:
    return lambda _: asyncio.sleep(seconds)


def enqueue(event: str, **options: Any) -> Call:
    return lambda client: client.queue(QUEUE).enqueue(event, id=event, **options)


def on_queue(operation: str, *arguments: Any) -> Call:
    return lambda client: getattr(client.queue(QUEUE), operation)(*arguments)


def letters_of_queue(operation: str) -> Call:
    return lambda client: getattr(client.queue(QUEUE).dead_letters, operation)("dead")


def add(buffer: Any, event: str) -> Call:
    return lambda client: client.buffer(buffer).add("x", event, event_id=event)


def on_buffer(buffer: Any, operation: str) -> Call:
    return lambda client: getattr(client.buffer(buffer), operation)("x")


def letters_of_buffer(operation: str) -> Call:
    return lambda client: getattr(client.buffer(LIST).dead_letters, operation)(lambda _: True)


def start(id: str, **options: Any) -> Call:
    return lambda client: client.continuous(JOB).start(id, [], **options)


def on_job(operation: str, id: str = "x") -> Call:
    return lambda client: getattr(client.continuous(JOB), operation)(id)


SCENARIOS: Mapping[str, Sequence[Call]] = {
    "queue enqueue": (enqueue("a"),),
    "queue enqueue, one key": (enqueue("a", partition_key="k"), enqueue("b", partition_key="k")),
    "queue enqueue, delayed": (enqueue("a", delay="5 seconds"),),
    "queue enqueue, retried": (enqueue("retried", partition_key="k"), enqueue("b", partition_key="k")),
    "queue enqueue, several instances and slots": (
        lambda client: client.queue(WIDE).enqueue_many(["a", "b", "c", "retried"]),
    ),
    "queue enqueue, slow": (enqueue("slow"),),
    "queue cancel": (enqueue("a", delay="5 seconds"), on_queue("cancel", "a")),
    "queue cancel of what may run": (enqueue("a"), on_queue("cancel", "a")),
    "queue pause, resume": (on_queue("pause"), enqueue("a"), wait(1), on_queue("resume")),
    "queue clear": (on_queue("pause"), enqueue("a"), on_queue("clear"), on_queue("resume")),
    "queue redrive": (enqueue("dead"), wait(5), letters_of_queue("redrive")),
    "queue discard": (enqueue("dead"), wait(5), letters_of_queue("discard")),
    "buffer add": (add(LIST, "a"),),
    "buffer add, full": (add(LIST, "a"), add(LIST, "b"), add(LIST, "c")),
    "buffer add, retried": (add(LIST, "retried"), add(LIST, "b"), add(LIST, "c")),
    "buffer flush": (add(LIST, "a"), on_buffer(LIST, "flush")),
    "buffer clear": (add(LIST, "a"), on_buffer(LIST, "clear"), add(LIST, "b")),
    "buffer redrive": (add(LIST, "dead"), wait(10), letters_of_buffer("redrive")),
    "buffer discard": (add(LIST, "dead"), wait(10), letters_of_buffer("discard")),
    "buffer fold": (add(FOLDED, "a"), add(FOLDED, "b"), add(FOLDED, "c"), on_buffer(FOLDED, "flush")),
    "buffer fold, clear": (add(FOLDED, "a"), on_buffer(FOLDED, "clear")),
    "continuous start": (start("x"),),
    "continuous start, retried": (start("retried"),),
    "continuous start, checkpoint": (start("checkpoint"),),
    "continuous start, restart": (start("x"), wait(1), start("x", if_exists="restart")),
    "continuous trigger": (start("x"), on_job("trigger")),
    "continuous pause, resume": (start("x"), on_job("pause"), wait(7), on_job("resume")),
    "continuous stop": (start("x"), wait(1), on_job("stop"), start("x")),
    "continuous terminate": (start("x"), wait(1), on_job("terminate"), start("x")),
}
"""By the operation that is at stake; what it does is then worked off to the end."""


class Rehearsal:
    """One scenario under one schedule."""

    def __init__(self, calls: Sequence[Call], schedule: Iterable[Deviation] = ()) -> None:
        self._calls = calls
        self._done = 0
        self.simulation = Simulation(QUEUE, WIDE, LIST, FOLDED, JOB, workers=2, schedule=schedule)
        self.simulation.choices.points = []

    @property
    def points(self) -> list[Point]:
        """Every choice that came up."""
        return self.simulation.choices.points or []

    def play(self) -> list[str]:
        """Run it to its end; returns what did not hold."""
        watch = Watch(self.simulation)
        with self.simulation as simulation:
            while self._done < len(self._calls):
                try:
                    simulation.run(self._program())
                except ProcessCrashedError:
                    simulation.start("client")
                    simulation.wait_until_open()
            simulation.settle("2 days")
            watch.rest()
            wrong = [str(violation) for violation in watch.violations]
            if simulation.store.next_due is not None:
                wrong.append("something is left to do")
            return wrong + [f"it never came to {one}" for one in simulation.choices.missed]

    async def _program(self) -> None:
        """Whoever asked asks again after a crash: from the call that has no answer."""
        client = self.simulation.client_process.client
        while self._done < len(self._calls):
            call = self._calls[self._done]
            await told(lambda: call(client))  # noqa: B023
            self._done += 1


def singles(calls: Sequence[Call], kinds: Iterable[str] = SINGLE) -> Iterator[tuple[Deviation, ...]]:
    """Every single fault of a scenario."""
    rehearsal = Rehearsal(calls)
    rehearsal.play()
    for deviation in every_deviation(rehearsal.points, kinds):
        yield (deviation,)


def pairs(calls: Sequence[Call]) -> Iterator[tuple[Deviation, ...]]:
    """Every fault, and every further one after it."""
    for (first,) in singles(calls, PAIRS):
        rehearsal = Rehearsal(calls, (first,))
        rehearsal.play()
        after = rehearsal.points.index(first.point) + 1
        for second in every_deviation(rehearsal.points[after:], PAIRS):
            yield first, second


def rehearse(calls: Sequence[Call], schedule: tuple[Deviation, ...]) -> list[str]:
    """What goes wrong in a scenario beyond what was told to."""
    try:
        return Rehearsal(calls, schedule).play()
    except SimulationError as error:
        return [f"it does not come to an end: {error}"]
