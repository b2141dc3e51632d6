"""Each simulated process has variables of its own, if it is asked to: a crash loses them, the world outside stays."""

from __future__ import annotations

from typing import Any

from durable_primitives import Continuous, ContinuousContext, Queue, QueueExecuteContext
from durable_primitives.testing.simulation import Memory, Simulation

known: list[str] = []
number = 0


def note(id: str, into: list[str] = []) -> list[str]:  # noqa: B006 - that is what is tested
    into.append(id)
    return into


class MailServer:
    def __init__(self) -> None:
        self.mails: list[str] = []


server = MailServer()


@Queue.make("mails", event_schema=str)
async def mails(ctx: QueueExecuteContext[str]) -> None:
    global number  # noqa: PLW0603 - that is what is tested
    number += 1
    known.append(ctx.event)
    server.mails.append(f"{ctx.event}: {number} {len(known)} {len(note(ctx.event))}")


CRASH = "crash before handler 3 of queue:mails:0 by worker 1"


def run(memory: Memory | None, *schedule: str) -> list[str]:
    server.mails.clear()
    with Simulation(mails, schedule=schedule) as simulation:
        simulation.loop.memory = memory
        for text in "abcd":
            simulation.run(simulation.client.queue(mails).enqueue(text))
        simulation.settle()
    return server.mails


def test_a_crash_loses_variables_and_nothing_else() -> None:
    memory = Memory.of(mails)
    assert memory is not None
    assert run(memory, CRASH) == ["a: 1 1 1", "b: 2 2 2", "c: 1 1 1", "d: 2 2 2"]
    assert sorted(memory.touched) == ["known", "number", "the default arguments of note"]


def test_what_was_found_is_put_back() -> None:
    run(Memory.of(mails), CRASH)
    assert (known, number, note.__defaults__) == ([], 0, ([],))


def test_without_it_all_processes_share_them() -> None:
    try:
        assert run(None, CRASH) == ["a: 1 1 1", "b: 2 2 2", "c: 3 3 3", "d: 4 4 4"]
    finally:
        globals()["number"] = 0
        known.clear()
        note.__defaults__[0].clear()  # type: ignore[index]


def test_variables_of_an_enclosing_function() -> None:
    def make() -> tuple[Any, Any]:
        count = 0

        async def counted(ctx: ContinuousContext[int]) -> None:
            nonlocal count
            count += 1
            ctx.set_state(count)

        schedule = Continuous.every("1 minute")
        return Continuous.make("counted", state_schema=int, schedule=schedule, execute=counted), lambda: count

    definition, count = make()
    crash = "crash before handler 3 of continuous:counted:x by worker 1"
    with Simulation(definition, schedule=[crash]) as simulation:
        simulation.loop.memory = Memory.of(definition)
        simulation.run(simulation.client.continuous(definition).start("x", 0))
        simulation.advance("3 minutes")
        assert simulation.run(simulation.client.continuous(definition).get_state("x")) == 2
    assert count() == 0


def test_a_definition_without_variables_has_no_memory() -> None:
    assert Memory.of(Queue.make("plain", event_schema=str, execute=lambda ctx: server.mails.append(ctx.event))) is None
