"""What a world of the campaign is made of: user code that misbehaves, and clients that ask for anything, by chance."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from durable_primitives import (
    Backoff,
    Buffer,
    Continuous,
    DurablePrimitivesError,
    PrimitivesClient,
    Queue,
    Reduce,
    RetryPolicy,
    StorageError,
)
from durable_primitives.primitives.queue import Enqueue
from durable_primitives.signals import Cancel, DeadLetter, Retry, Snooze
from durable_primitives.testing.simulation import SimulatedProcess

T = TypeVar("T")
Draws = random.Random

NAPS = (0.0, 0.0, 0.0, 0.001, 0.5, 3.0, 12.0, 45.0)
"""Seconds that a handler takes: nothing, less than a heartbeat, more than one, more than a lease."""

WINDOWS = ("24 hours", "12 hours")
"""Longer than a world lasts: to the laws an id is one event."""

ERRORS: tuple[Callable[[], BaseException], ...] = (
    lambda: ValueError("no"),
    lambda: KeyError("never"),
    Retry,
    lambda: Retry(after="2 seconds"),
    lambda: Snooze("1 second"),
    lambda: Cancel("not wanted"),
    lambda: DeadLetter("poison"),
)


async def told(call: Callable[[], Awaitable[T]]) -> T | None:
    """Unknown is not failed: the same call, with the same id, until there is an answer; a refusal is one."""
    while True:
        try:
            return await call()
        except StorageError:
            await asyncio.sleep(0.1)
        except DurablePrimitivesError:
            return None


def one_of(draws: Draws, weights: Mapping[str, int]) -> str:
    return draws.choices(tuple(weights), tuple(weights.values()))[0]


def policy(draws: Draws) -> RetryPolicy:
    backoff = draws.choice(
        (
            Backoff.constant("1 second", jitter="none"),
            Backoff.exponential("1 second", max="1 minute"),
            Backoff.constant("0 seconds"),
        )
    )
    return RetryPolicy(draws.choice((1, 2, 3, 20)), backoff, give_up_on=(KeyError,))


class UserCode:
    """A handler's conduct: a function of the seed, the piece of work, and how often that was run before."""

    def __init__(self, draws: Draws, seed: int) -> None:
        self._seed = seed
        self._runs = Counter[str]()
        self._fails = draws.choice((0.0, 0.1, 0.4))
        self._kills = draws.choice((0.0, 0.0, 0.0, 0.15))
        self._naps = draws.sample(NAPS, 3)

    def draws(self, *about: object) -> Draws:
        return random.Random("/".join(map(str, (self._seed, *about))))

    async def run(self, ctx: Any) -> Draws:
        """Take a while, fail now and then, or take the process down every time."""
        if self.draws(ctx.idempotency_key).random() < self._kills:
            await SimulatedProcess.current().die()
        self._runs[ctx.idempotency_key] += 1
        draws = self.draws(ctx.idempotency_key, self._runs[ctx.idempotency_key])
        nap = draws.choice(self._naps)
        for _ in range(3 if nap > 1 else 1):
            await asyncio.sleep(nap / 3 if nap > 1 else nap)
            if ctx.cancelled and draws.random() < 0.3:
                raise Snooze("1 second")
        if draws.random() < self._fails:
            raise draws.choice(ERRORS)()
        return draws

    async def tell(self, *arguments: Any) -> None:
        """Be a hook, which may fail too."""
        await asyncio.sleep(0.01)
        if self.draws(repr(arguments[1])).random() < 0.3:
            raise ValueError("a hook failed")


class QueueActor:
    """A queue and those who use it."""

    kind = "queue"
    STEPS: Mapping[str, int] = {
        "enqueue": 16, "enqueue_many": 3, "cancel": 3, "pause": 2, "resume": 3, "clear": 1, "status": 1,
        "redrive": 2, "discard": 1, "look": 1,
    }  # fmt: skip

    def __init__(self, draws: Draws, seed: int) -> None:
        self._code = UserCode(draws, seed)
        self._sent = 0
        self.definition = Queue.make(
            "q",
            event_schema=int,
            execute=self._execute,
            concurrency=draws.choice((1, 1, 2)),
            per_instance=draws.choice((1, 2, 3)),
            ordering=draws.choice(("strict", "relaxed")),
            retry=policy(draws),
            on_dead_letter=draws.choice((None, self._code.tell)),
            partition_key=draws.choice((None, lambda event: "even" if event % 2 == 0 else None)),
            dedupe_window=draws.choice(WINDOWS),
            max_pending=draws.choice((None, None, 4)),
            on_full=draws.choice(("reject", "drop_oldest")),
            timeout=draws.choice((None, "5 seconds", "1 minute")),
            expires_after=draws.choice((None, None, "20 seconds")),
        )

    async def _execute(self, ctx: Any) -> None:
        await self._code.run(ctx)

    def _options(self, draws: Draws) -> dict[str, Any]:
        repeated = self._sent and draws.random() < 0.2
        if not repeated:
            self._sent += 1
        number = draws.randrange(self._sent) if repeated else self._sent - 1
        once = self._code.draws("event", number)  # one id always comes with one key
        return {
            "event": number,
            "id": str(number),
            "partition_key": once.choice((None, "a", "a", "b")),
            "delay": draws.choice((None, None, None, "1 second", "1 minute")),
            "priority": draws.choice((0, 0, 0, 5, -5)),
        }

    async def step(self, clients: PrimitivesClient, draws: Draws) -> None:
        client = clients.queue(self.definition)
        match one_of(draws, self.STEPS):
            case "enqueue":
                options = self._options(draws)
                event = options.pop("event")
                if draws.random() < 0.1:
                    options["id"] = None
                await told(lambda: client.enqueue(event, **options))
            case "enqueue_many":
                many = [Enqueue(**self._options(draws)) for _ in range(3)]
                await told(lambda: client.enqueue_many(many))
            case "cancel":
                victim = draws.randrange(self._sent + 1)
                key = self._code.draws("event", victim).choice((None, "a", "a", "b"))
                if key is None and self.definition.partition_key is not None:
                    key = self.definition.partition_key(victim)
                await told(lambda: client.cancel(str(victim), key))
            case "redrive":
                await told(lambda: client.dead_letters.redrive(lambda letter: (letter.event or 0) % 3 != 0))
            case "discard":
                await told(lambda: client.dead_letters.discard(lambda letter: (letter.event or 0) % 2 == 0))
            case "look":
                page = await told(client.dead_letters.list)
                if page is not None and page.items:
                    await told(lambda: client.dead_letters.get(page.items[0].event_id))
            case plain:
                await told(getattr(client, plain))

    async def rest(self, clients: PrimitivesClient, draws: Draws) -> None:
        """Leave nothing that waits for a client."""
        await told(clients.queue(self.definition).resume)


class BufferActor:
    """A buffer and those who use it."""

    kind = "buffer"
    STEPS: Mapping[str, int] = {
        "add": 16, "add_many": 3, "flush": 2, "clear": 1, "status": 1, "get_state": 1,
        "redrive": 2, "discard": 1, "look": 1,
    }  # fmt: skip

    def __init__(self, draws: Draws, seed: int) -> None:
        self._code = UserCode(draws, seed)
        self._sent = 0
        gathers: dict[str, Any] = draws.choice(
            (
                {},
                {"on_event": Reduce.latest()},
                {"on_event": self._reduce, "state_schema": list[int]},
            )
        )
        options: dict[str, Any] = draws.choice(
            ({"max_events": 3}, {"flush_after": "10 seconds"}, {"max_events": 4, "flush_after": "3 seconds"})
        )
        self.definition: Any = Buffer.make(
            "b",
            event_schema=int,
            execute=self._execute,
            retry=policy(draws),
            on_dead_letter=draws.choice((None, self._code.tell)),
            dedupe_window=draws.choice(WINDOWS),
            timeout=draws.choice((None, "5 seconds", "1 minute")),
            **gathers,
            **options,
        )

    async def _execute(self, ctx: Any) -> None:
        await self._code.run(ctx)

    def _reduce(self, ctx: Any) -> list[int]:
        if ctx.event % 10 == 9:
            raise ValueError("not this one")
        return [*(ctx.state or ()), ctx.event]

    def _event(self, draws: Draws) -> int:
        if self._sent and draws.random() < 0.2:
            return draws.randrange(self._sent)
        self._sent += 1
        return self._sent - 1

    async def step(self, clients: PrimitivesClient, draws: Draws) -> None:
        client, id = clients.buffer(self.definition), draws.choice(("x", "x", "y"))
        match one_of(draws, self.STEPS):
            case "add":
                event = self._event(draws)
                event_id = None if draws.random() < 0.1 else str(event)
                await told(lambda: client.add(id, event, event_id=event_id))
            case "add_many":
                events = [self._event(draws) for _ in range(draws.choice((2, 5)))]
                await told(lambda: client.add_many(id, events, event_ids=[str(event) for event in events]))
            case "redrive":
                await told(lambda: client.dead_letters.redrive(lambda _: True))
            case "discard":
                await told(lambda: client.dead_letters.discard(lambda letter: letter.event_count % 2 == 0))
            case "look":
                page = await told(client.dead_letters.list)
                if page is not None and page.items:
                    await told(lambda: client.dead_letters.get(page.items[0].flush_id))
            case plain:
                await told(lambda: getattr(client, plain)(id))

    async def rest(self, clients: PrimitivesClient, draws: Draws) -> None:
        """Leave nothing that waits for a client."""
        client = clients.buffer(self.definition)
        if self.definition.flush_after_ms is None:
            for id in ("x", "y"):
                await told(lambda: client.flush(id))  # noqa: B023


class ContinuousActor:
    """A repeating job and those who use it."""

    kind = "continuous"
    STEPS: Mapping[str, int] = {
        "start": 8, "trigger": 4, "pause": 3, "resume": 4, "stop": 1, "terminate": 1, "status": 1, "get_state": 1,
    }  # fmt: skip

    def __init__(self, draws: Draws, seed: int, queue: QueueActor | None, epoch: datetime) -> None:
        self._code = UserCode(draws, seed)
        self._queue = queue
        self.definition = Continuous.make(
            "c",
            state_schema=list[int],
            schedule=draws.choice(
                (
                    Continuous.every("4 seconds"),
                    Continuous.every("4 seconds", jitter="2 seconds"),
                    Continuous.every("10 seconds", anchor="finish"),
                    _whole_minutes,
                )
            ),
            execute=self._execute,
            start_immediately=draws.choice((True, False)),
            retry=policy(draws),
            on_exhausted=draws.choice(("continue", "pause", "stop")),
            misfire=draws.choice(("run_once", "skip", "run_all")),
            catchup_limit=3,
            timeout=draws.choice((None, "5 seconds", "1 minute")),
            max_runs=draws.choice((3, 8)),
            until=draws.choice((None, None, epoch + timedelta(minutes=1))),
            on_error=draws.choice((None, self._code.tell)),
        )

    async def _execute(self, ctx: Any) -> None:
        ctx.set_state([*ctx.state, -ctx.run_count])
        if self._code.draws(ctx.idempotency_key, "checkpoint").random() < 0.2:
            ctx.set_state([*ctx.state, 0])
            await ctx.checkpoint()
        draws = await self._code.run(ctx)
        ctx.set_state([*ctx.state[:20], ctx.run_count])
        if self._queue is not None and draws.random() < 0.3:
            await told(lambda: ctx.client.queue(self._queue.definition).enqueue(10_000 + ctx.run_count))  # type: ignore[union-attr]
        match draws.choice(("go on",) * 16 + ("schedule", "schedule", "stop", "terminate")):
            case "schedule":
                ctx.schedule(draws.choice(("1 second", "30 seconds")))
            case "stop":
                ctx.stop("enough")
            case "terminate":
                ctx.terminate("enough")
            case _:
                pass

    async def step(self, clients: PrimitivesClient, draws: Draws) -> None:
        client, id = clients.continuous(self.definition), draws.choice(("x", "x", "y"))
        match one_of(draws, self.STEPS):
            case "start":
                if_exists = draws.choice(("return_existing", "return_existing", "restart", "raise"))
                await told(lambda: client.start(id, [], if_exists=if_exists))
            case plain:
                await told(lambda: getattr(client, plain)(id))

    async def rest(self, clients: PrimitivesClient, draws: Draws) -> None:
        """Leave nothing that waits for a client."""
        client = clients.continuous(self.definition)
        for id in ("x", "y"):
            await told(lambda: client.resume(id))  # noqa: B023


def _whole_minutes(previous: datetime | None, now: datetime) -> datetime:
    """What cron would say to ``* * * * *``."""
    after = now if previous is None else previous
    return after.replace(second=0, microsecond=0) + timedelta(minutes=1)


Actor = QueueActor | BufferActor | ContinuousActor
