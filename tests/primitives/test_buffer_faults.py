"""A crash, a lost reply or another process at every single step at which a buffer touches its store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import pytest

from durable_primitives.errors import StorageFullError
from durable_primitives.kernel.record import Snapshot
from durable_primitives.primitives.buffer import Buffer, BufferDefinition, BufferExecuteContext, executor
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import DeadLetter
from tests.primitives.driver import Driver

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000

Fault = Literal["none", "crash before", "crash after", "another process"]


class Crash(BaseException):
    """The process is gone."""


class World:
    """Processes that share a store.  One fault happens at the commit number `at`."""

    def __init__(self, folds: bool, fault: Fault, at: int) -> None:
        self.fault: Fault = fault
        self.at = at
        self.commits = 0
        self.attempts: dict[str, list[list[str]]] = {}
        """What each batch held, attempt by attempt."""
        self.flushed: list[str] = []
        """Batches whose handler returned, in order."""
        self.definition: BufferDefinition[Any, Any] = Buffer.make(
            "b",
            event_schema=str,
            on_event=(lambda ctx: [*(ctx.state or []), ctx.event]) if folds else None,
            flush_after="1 minute",
            max_events=3,
            retry=RetryPolicy(max_attempts=20, backoff=Backoff.constant("10 seconds", jitter="none")),
            execute=self.execute,
        )
        self.driver = Driver(self.definition)
        self._commit_now = self.driver.backend.commit_now
        self.driver.backend.commit_now = self.commit_now  # type: ignore[method-assign]

    async def execute(self, ctx: BufferExecuteContext[list[str]]) -> None:
        attempts = self.attempts.setdefault(ctx.flush_id, [])
        attempts.append(ctx.state)
        if len(attempts) == 1:
            raise OSError("the first attempt at each batch fails")
        self.flushed.append(ctx.flush_id)

    def commit_now(self, transitions: Sequence[Any], request: Any = None) -> Any:
        self.commits += 1
        if self.commits != self.at or self.fault == "none":
            return self._commit_now(transitions, request)
        if self.fault == "crash before":
            raise Crash
        if self.fault == "another process":
            self.intrude()
        reply = self._commit_now(transitions, request)
        if self.fault == "crash after":
            raise Crash
        return reply

    def intrude(self) -> None:
        """Another process fills a batch and begins the next."""
        rival = Driver(self.definition)
        rival.backend, rival.runtime = self.driver.backend, self.driver.runtime
        rival.restart()
        rival.worker._stopping = True
        adding = rival.client(self.definition).add_many("a", list("wxyz"), event_ids=list("wxyz"))
        # Everything under it is immediate: it runs to its end without an event loop.
        with pytest.raises(StopIteration):
            adding.send(None)

    async def play(self) -> None:
        """A day in the life of a buffer.  A process that dies is replaced, and its client calls again."""
        await self.driver.open()
        for step in (
            lambda client: client.add("a", "1", event_id="1"),
            lambda client: client.add_many("a", ["2", "3", "4"], event_ids=["2", "3", "4"]),
            lambda client: self.driver.advance(MINUTE),
            lambda client: client.add("a", "5", event_id="5"),
            lambda client: client.flush("a"),
            lambda client: client.add_many("a", ["6", "7"], event_ids=["6", "7"]),
            lambda client: self.driver.advance(5 * MINUTE),
        ):
            await self.survive(step)
        await self.survive(lambda client: self.driver.advance(HOUR))

    async def survive(self, step: Callable[[Any], Awaitable[Any]]) -> None:
        try:
            await step(self.driver.client(self.definition))
        except Crash:
            self.driver.restart()
            await step(self.driver.client(self.definition))


async def commits_without_a_fault(folds: bool) -> int:
    world = World(folds, "none", 0)
    await world.play()
    return world.commits


@pytest.mark.parametrize("folds", [False, True], ids=["list", "reducer"])
@pytest.mark.parametrize("fault", ["crash before", "crash after", "another process"])
async def test_no_step_is_the_wrong_one_to_fail_at(fault: Fault, folds: bool) -> None:
    steps = await commits_without_a_fault(folds)
    assert steps > 20
    for at in range(1, steps + 1):
        world = World(folds, fault, at)
        await world.play()
        expected = {"1", "2", "3", "4", "5", "6", "7"} | (set("wxyz") if fault == "another process" else set())
        context = f"fault at commit {at} of {steps}: {world.attempts}"

        contents = {flush_id: attempts[0] for flush_id, attempts in world.attempts.items()}
        assert all(attempt == contents[id] for id, attempts in world.attempts.items() for attempt in attempts), context
        events = [event for content in contents.values() for event in content]
        assert sorted(events) == sorted(expected), context
        assert set(world.flushed) == set(contents), context
        assert list(dict.fromkeys(world.flushed)) == sorted(contents), context
        assert await world.driver.backend.next_due() is None, context
        assert (await world.driver.client(world.definition).status("a")).status == "idle", context


async def test_a_store_that_is_full_for_a_while_makes_no_handler_run_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "RETRY_SECONDS", 0)
    states: list[list[str]] = []

    async def execute(ctx: BufferExecuteContext[list[str]]) -> None:
        states.append(ctx.state)
        driver.backend.commit_now = full  # type: ignore[method-assign]

    def full(transitions: Sequence[Any], request: Any = None) -> Any:
        nonlocal refused
        refused += 1
        if refused == 3:
            driver.backend.commit_now = commit_now  # type: ignore[method-assign]
        raise StorageFullError("the disk is full", outcome="not_applied")

    refused = 0
    definition = Buffer.make("b", event_schema=str, max_events=2, execute=execute)
    driver = await Driver(definition).open()
    commit_now = driver.backend.commit_now
    await driver.client(definition).add_many("a", ["1", "2"])
    await driver.run_due()

    assert (states, refused) == ([["1", "2"]], 3)
    assert await driver.backend.next_due() is None


# Between a look and its commit.


async def begin_with_others(driver: Driver, events: int) -> None:
    """Run what is due; another process adds events right before the first commit of the owner."""
    client, commit_now, late = driver.client(driver.definitions[0]), driver.backend.commit_now, range(events)

    def others_first(transitions: Sequence[Any], request: Any = None) -> Any:
        nonlocal late
        if late and transitions:
            names, late = [f"late {number}" for number in late], range(0)
            adding = client.add_many("a", names)
            with pytest.raises(StopIteration):
                adding.send(None)
        return commit_now(transitions, request)

    driver.backend.commit_now = others_first  # type: ignore[method-assign]
    await driver.run_due()


async def test_a_batch_that_is_filled_while_its_time_comes_is_flushed_once_and_in_order() -> None:
    states: list[list[str]] = []

    async def execute(ctx: BufferExecuteContext[list[str]]) -> None:
        states.append(ctx.state)

    definition = Buffer.make("b", event_schema=str, max_events=3, flush_after="1 minute", execute=execute)
    driver = await Driver(definition).open()
    await driver.client(definition).add_many("a", ["1", "2"])
    driver.runtime.ms += MINUTE
    await begin_with_others(driver, 2)
    await driver.advance(MINUTE)

    assert states == [["1", "2", "late 0"], ["late 1"]]
    assert await driver.backend.next_due() is None


async def test_a_batch_that_is_filled_while_its_owner_goes_to_rest_is_not_forgotten() -> None:
    states: list[list[str]] = []

    async def execute(ctx: BufferExecuteContext[list[str]]) -> None:
        states.append(ctx.state)
        if len(states) == 1:
            raise DeadLetter

    definition = Buffer.make("b", event_schema=str, max_events=2, execute=execute)
    driver = await Driver(definition).open()
    client = driver.client(definition)
    await client.add_many("a", ["1", "2"])
    await driver.run_due()
    (letter,) = (await client.dead_letters.list()).items
    driver.restart()
    driver.worker._stopping = True
    client = driver.client(definition)
    await client.dead_letters.redrive(letter.flush_id)
    await client.dead_letters.discard(letter.flush_id)
    driver.restart()
    # The owner is woken for nothing.
    await begin_with_others(driver, 2)

    assert states == [["1", "2"], ["late 0", "late 1"]]


async def overtaken(events: int, max_events: int = 3) -> tuple[Driver, Any, list[list[str]]]:
    """A buffer with two of three events; as many as `events` more come in between the next look and its commit."""
    states: list[list[str]] = []

    async def execute(ctx: BufferExecuteContext[list[str]]) -> None:
        states.append(ctx.state)

    definition = Buffer.make("b", event_schema=str, max_events=max_events, flush_after="1 hour", execute=execute)
    driver = await Driver(definition).open()
    client = driver.client(definition)
    await client.add_many("a", ["1", "2"])
    load = driver.backend.load

    async def load_then_others(instance: str, receipts: Any = (), letters: Any = ()) -> Snapshot:
        driver.backend.load = load  # type: ignore[method-assign]
        snapshot = await load(instance, receipts, letters)
        await client.add_many("a", [f"late {number}" for number in range(events)])
        return snapshot

    driver.backend.load = load_then_others  # type: ignore[method-assign]
    return driver, client, states


async def test_a_batch_that_fills_while_clear_looks_is_out_of_its_reach() -> None:
    driver, client, states = await overtaken(2)
    result = await client.clear("a")
    await driver.advance(HOUR)

    assert (result.cleared, result.discarded_events) == (True, 1)
    assert (states, (await client.status("a")).status) == ([["1", "2", "late 0"]], "idle")


async def test_a_batch_that_fills_while_flush_looks_is_not_counted_with_the_next() -> None:
    driver, client, states = await overtaken(2)
    receipt = await client.flush("a")
    await driver.run_due()

    assert (receipt.flushed, receipt.event_count) == (True, 1)
    assert states == [["1", "2", "late 0"], ["late 1"]]


@pytest.mark.parametrize("call", ["flush", "clear"])
async def test_an_event_that_still_fits_is_flushed_or_cleared_with_the_others(call: str) -> None:
    _, client, _ = await overtaken(1, max_events=9)
    result = await getattr(client, call)("a")

    assert (result.event_count if call == "flush" else result.discarded_events) == 3
    assert await client.get_state("a") is None


async def test_events_that_come_while_a_batch_is_flushed_neither_wait_nor_get_lost() -> None:
    gate, entered = asyncio.Event(), asyncio.Event()
    states: list[list[str]] = []

    async def execute(ctx: BufferExecuteContext[list[str]]) -> None:
        entered.set()
        await gate.wait()
        states.append(ctx.state)

    definition = Buffer.make("b", event_schema=str, max_events=2, execute=execute)
    driver = await Driver(definition).open()
    client = driver.client(definition)
    await client.add_many("a", ["1", "2"])
    running = asyncio.create_task(driver.run_due())
    await entered.wait()
    late = await client.add_many("a", ["3", "4", "5", "6", "7"])
    assert (await client.status("a")).status == "flushing"
    gate.set()
    await running

    assert [result.event_count for result in late] == [1, 2, 1, 2, 1]
    assert states == [["1", "2"], ["3", "4"], ["5", "6"]]
    assert await client.get_state("a") == ["7"]
