"""Whatever is done to a buffer, in whatever order: no event is lost, doubled, or in two places at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_primitives.primitives.buffer import Buffer, BufferDefinition, BufferExecuteContext
from durable_primitives.primitives.buffer.stored import gather, read
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.signals import Cancel, DeadLetter, Retry, Snooze
from tests.primitives.driver import Driver

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000

Step = tuple[str, Any]

ANSWERS = ("return", "raise", "retry", "snooze", "cancel", "dead letter")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 5)),
        st.tuples(st.just("repeat"), st.integers(0, 20)),
        st.tuples(st.sampled_from(["flush", "clear", "restart", "redrive", "discard"]), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([1, 5 * SECOND, 10 * SECOND, MINUTE, HOUR])),
        st.tuples(st.just("answer"), st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=4)),
    ),
    max_size=40,
)


class World:
    """A buffer, and where each event that it accepted must be."""

    def __init__(self, folds: bool) -> None:
        self.answers: list[str] = []
        self.accepted: list[str] = []
        self.flushed: dict[str, list[str]] = {}
        self.dropped: list[str] = []
        """By `clear`, `Cancel` or `discard`."""
        self.content: dict[str, list[str]] = {}
        """What each batch held when it was first seen."""
        self.due: dict[str, int] = {}
        """When each batch that waits for a retry may run again."""
        self.order: list[str] = []
        self.redriven: set[str] = set()
        self.ended = 0
        self.definition: BufferDefinition[Any, Any] = Buffer.make(
            "b",
            event_schema=str,
            on_event=(lambda ctx: [*(ctx.state or []), ctx.event]) if folds else None,
            flush_after="1 minute",
            max_events=4,
            retry=RetryPolicy(max_attempts=3, backoff=Backoff.constant("10 seconds", jitter="none")),
            execute=self.execute,
        )
        self.driver = Driver(self.definition)

    @property
    def client(self) -> Any:
        return self.driver.client(self.definition)

    async def execute(self, ctx: BufferExecuteContext[list[str]]) -> None:
        id, now = ctx.flush_id, self.driver.now
        assert self.content.setdefault(id, list(ctx.state)) == ctx.state
        assert ctx.event_count == len(ctx.state) <= 4
        assert now >= self.due.pop(id, now)
        assert ctx.attempt <= 3
        if id not in self.order:
            self.order.append(id)
        answer = self.answers.pop(0) if self.answers else "return"
        if answer == "return":
            self.flushed[id] = ctx.state
        elif answer == "cancel":
            self.dropped += ctx.state
            raise Cancel
        elif answer == "dead letter":
            raise DeadLetter
        else:
            wait = {"raise": 10 * SECOND, "retry": 20 * SECOND, "snooze": 30 * SECOND}[answer]
            if answer == "snooze" or ctx.attempt < 3:
                self.due[id] = now + wait
            raise {"raise": OSError(), "retry": Retry(after="20 seconds"), "snooze": Snooze("30 seconds")}[answer]

    async def do(self, step: str, value: Any) -> None:
        await getattr(self, step)(value)
        await self.driver.run_due()
        await self.check()

    async def add(self, count: int) -> None:
        names = [f"e{len(self.accepted) + number}" for number in range(count)]
        results = await self.client.add_many("a", names, event_ids=names)
        assert not any(result.duplicate for result in results)
        self.accepted += names

    async def repeat(self, which: int) -> None:
        if which < len(self.accepted):
            name = self.accepted[which]
            assert (await self.client.add("a", "other", event_id=name)).duplicate

    async def flush(self, _: None) -> None:
        before = await self.client.get_state("a")
        receipt = await self.client.flush("a")
        assert receipt.event_count == len(before or [])

    async def clear(self, _: None) -> None:
        before = await self.client.get_state("a") or []
        result = await self.client.clear("a")
        assert (result.cleared, result.discarded_events) == (bool(before), len(before))
        self.dropped += before

    async def redrive(self, _: None) -> None:
        letters = (await self.client.dead_letters.list()).items
        if letters:
            self.redriven.add(letters[0].flush_id)
            await self.client.dead_letters.redrive(letters[0].flush_id)

    async def discard(self, _: None) -> None:
        status = await self.client.status("a")
        letters = (await self.client.dead_letters.list()).items
        if letters and status.status != "retrying":
            assert await self.client.dead_letters.discard(letters[-1].flush_id) == 1
            self.dropped += letters[-1].state

    async def wait(self, ms: int) -> None:
        await self.driver.advance(ms)

    async def answer(self, answers: list[str]) -> None:
        self.answers += answers

    async def restart(self, _: None) -> None:
        self.driver.restart()

    async def check(self) -> None:
        """Every event is in one place, batches keep their order, and what waits has a due time."""
        record = (await self.driver.backend.load("buffer:b:a")).record
        if record is None:
            assert not self.accepted
            return
        stored = read(record)
        assert stored.ended >= self.ended
        self.ended = stored.ended
        sealed = []
        for segment in range(stored.ended + 1, record.segment):
            batch = gather(await self.driver.backend.items("buffer:b:a", segment, 0, 100), "manual")
            sealed += self.definition.gathering.read("buffer:b:a", batch)
        dead = [event for letter in (await self.client.dead_letters.list()).items for event in letter.state]
        flushed = [event for events in self.flushed.values() for event in events]
        opened = await self.client.get_state("a") or []
        assert Counter(opened + sealed + dead + flushed + self.dropped) == Counter(self.accepted)
        assert [id for id in self.order if id not in self.redriven] == sorted(
            id for id in self.order if id not in self.redriven
        )
        status = await self.client.status("a")
        assert status.event_count == len(opened)
        if status.status != "idle":
            assert record.alarm is not None
        else:
            assert record.alarm is None


@pytest.mark.parametrize("folds", [False, True], ids=["list", "reducer"])
@settings(max_examples=60)
@given(steps=STEPS)
def test_every_accepted_event_is_in_exactly_one_place(folds: bool, steps: list[Step]) -> None:
    async def play() -> None:
        world = World(folds)
        await world.driver.open()
        for step, value in steps:
            await world.do(step, value)
        world.answers.clear()
        await world.wait(HOUR)
        await world.check()
        assert (await world.client.status("a")).status in ("idle", "not_found")

    asyncio.run(play())
