"""Machines of definitions: correct primitives hold all laws, a planted bug is found, and its example can be read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from durable_primitives import Buffer, Continuous, Queue, RetryPolicy
from durable_primitives.errors import DefinitionError
from durable_primitives.retry import Backoff
from durable_primitives.testing import (
    BufferMachine,
    ContinuousMachine,
    Effects,
    PropertyViolation,
    QueueMachine,
    from_schema,
)

QUICK = settings(
    max_examples=25, stateful_step_count=15, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
RETRY = RetryPolicy(max_attempts=2, backoff=Backoff.constant("10 seconds"))


class Order(msgspec.Struct):
    sku: str
    count: int = 1


async def nothing(ctx: Any) -> None: ...


def total(ctx: Any) -> int:
    return (ctx.state or 0) + ctx.event.count


async def tick(ctx: Any) -> None:
    ctx.set_state(ctx.state + 1)


FOUND = settings(
    QUICK, max_examples=200, stateful_step_count=30, derandomize=True, phases=[Phase.generate, Phase.shrink]
)

small = st.integers(0, 100)

orders = Queue.make("orders", event_schema=Order, concurrency=2, execute=nothing, retry=RETRY)
carts = Buffer.make("carts", event_schema=Order, max_events=3, flush_after="1 minute", execute=nothing, retry=RETRY)
totals = Buffer.make(
    "totals", event_schema=Order, state_schema=int, on_event=total, flush_after="1 minute", execute=nothing
)
job = Continuous.make("job", state_schema=int, schedule=Continuous.every("5 minutes"), execute=tick, retry=RETRY)


class Orders(QueueMachine, of=orders): ...


class Carts(BufferMachine, of=carts): ...


class Totals(BufferMachine, of=totals, events=from_schema(Order, count=small)): ...


class Job(ContinuousMachine, of=job, events=small): ...


@pytest.mark.parametrize("machine", [Orders, Carts, Totals, Job])
def test_a_correct_primitive_holds_all_laws(machine: type[RuleBasedStateMachine]):
    run_state_machine_as_test(machine, settings=QUICK)


# Planted bugs.

effects = Effects()


async def charge(ctx: Any) -> None:
    effects.record(ctx.event_id, "charge")


charges = Queue.make("charges", event_schema=int, execute=charge, retry=RETRY)


class Charges(QueueMachine, of=charges, events=st.just(0), effects=effects, laws=["handler_is_repeatable"]): ...


seen: list[int] = []


def remembers(ctx: Any) -> int:
    seen.append(ctx.event)
    return len(seen)


impure = Buffer.make(
    "impure", event_schema=int, state_schema=int, on_event=remembers, flush_after="1 minute", execute=nothing
)


class Impure(BufferMachine, of=impure, events=small): ...


class OneAtMost(ContinuousMachine, of=job, events=st.just(0), invariants=[lambda state: state <= 1]): ...


@pytest.mark.parametrize(("machine", "law"), [(Impure, "reducer_is_pure"), (OneAtMost, "invariant")])
def test_a_planted_bug_is_found_and_its_example_can_be_read(machine: type[RuleBasedStateMachine], law: str):
    with pytest.raises(PropertyViolation) as caught:
        run_state_machine_as_test(machine, settings=FOUND)

    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    steps = [line for line in told.splitlines() if line.startswith("state.")]
    assert caught.value.law == law
    assert f"state = {machine.__name__}()" in told
    assert 1 <= len(steps) <= 5, told


def test_a_handler_that_must_not_be_repeated_is_found():
    """By a program that makes it fail at its end: two calls, in this order, and time for them."""
    with pytest.raises(PropertyViolation, match="'charge' was done twice"):
        run_state_machine_as_test(Charges, settings=settings(FOUND, phases=[Phase.generate]))


# Rules of one's own.


class Own(QueueMachine, of=orders, events=st.just(Order("tea"))):
    """A user's machine."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    @rule(count=st.integers(1, 3))
    def order(self, count: int) -> None:
        for _ in range(count):
            answer = self.call(lambda: self.client.queue(orders).enqueue(Order("honey")))
            self.sent += answer is not None

    @invariant()
    def everything_sent_was_accepted(self) -> None:
        found = self.t.simulation.accepted.entries
        assert sum(orders.codec.decode(one.item.payload).sku == "honey" for one in found) >= self.sent
        assert self.sent < 2, "two were sent"


def test_a_machine_takes_further_rules_and_invariants():
    with pytest.raises(AssertionError, match="two were sent"):
        run_state_machine_as_test(Own, settings=settings(QUICK, derandomize=True, phases=[Phase.generate]))


def test_a_machine_is_a_test_case():
    assert Orders.TestCase.__name__.startswith("Orders")


def test_a_machine_is_of_its_kind_of_primitive():
    with pytest.raises(DefinitionError, match="derive it from QueueMachine"):
        type("Wrong", (BufferMachine,), {}, of=orders)


def test_a_machine_needs_a_definition():
    with pytest.raises(DefinitionError, match="is of no definition"):
        QueueMachine()
