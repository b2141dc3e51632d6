"""`check` finds what is wrong, makes it short, and tells it so that it can be pasted."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st

from durable_primitives import Continuous, DefinitionError, Queue
from durable_primitives.testing import CheckReport, CoverageError, PropertyViolation, check, create_test_primitives
from durable_primitives.testing.simulation import FAULTS, KINDS
from durable_primitives.testing.tiers import turns
from tests.testing.checking import shop

ROOT = Path(__file__).parents[3]
MOST_LINES = 25

BROKEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "handler_is_repeatable": (shop.charges, {"effects": shop.effects}),
    "effect_is_not_lost": (shop.mails, {"effects": shop.effects}),
    "reducer_is_pure": (shop.totals, {}),
    "memory_is_lost": (shop.counted, {}),
    "invariant": (shop.bills, {"invariants": [shop.at_most_five], "inputs": [0]}),
    "sends_once": (shop.steps, {}),
}


def violation_of(primitive: Any, **options: Any) -> PropertyViolation:
    with pytest.raises(PropertyViolation) as caught:
        check(primitive, **options)
    return caught.value


@cache
def broken(law: str) -> PropertyViolation:
    primitive, options = BROKEN[law]
    return violation_of(primitive, **options)


@pytest.mark.parametrize("law", BROKEN)
def test_a_broken_law_is_found_and_told_in_a_few_lines(law: str):
    violation = broken(law)
    assert violation.law == law
    lines = str(violation).splitlines()
    assert len(lines) <= MOST_LINES
    assert all(step in str(violation) for step in violation.steps)
    assert violation.regression.strip().splitlines() == lines[-len(violation.regression.strip().splitlines()) :]


@pytest.mark.parametrize("law", BROKEN)
def test_the_pasted_test_fails_with_the_same_law(law: str, tmp_path: Path):
    pasted(broken(law).regression, law, tmp_path)


def pasted(regression: str, law: str, tmp_path: Path) -> None:
    """It fails, in a file of its own, as it is printed."""
    file = tmp_path / "test_pasted.py"
    file.write_text(regression)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(file)]
    env = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, env=env)
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(text in done.stdout for text in (f"{law}: ", "AssertionError", "assert ")), done.stdout


def test_the_shortest_history_is_one_call_and_one_fault():
    violation = broken("handler_is_repeatable")
    assert violation.steps == (
        "t=0ms      enqueue(Order(id=0, cents=0), id='e0')",
        "fault:     fail the end of handler 1 of queue:charges:0 by worker 1",
    )


def test_one_execution_that_does_two_things_under_one_key_is_told_apart_from_two():
    @Queue.make("pairs", event_schema=str)
    async def pairs(ctx: Any) -> None:
        shop.effects.record(ctx.event_id, "ship")
        shop.effects.record(ctx.event_id, "ship")

    told = str(violation_of(pairs, effects=shop.effects, events=["tea"]))
    assert "by one execution: two effects need two keys" in told
    assert "by one execution" not in str(broken("handler_is_repeatable"))


def test_one_seed_prints_one_text():
    first, second = (str(violation_of(shop.charges, effects=shop.effects, seed=7)) for _ in range(2))
    assert first == second


def test_what_is_right_is_reported_with_what_was_tried():
    report = check(shop.safe_charges, effects=shop.effects, budget="3 seconds")
    assert isinstance(report, CheckReport)
    assert set(report.tiers) == {"survey", "undisturbed", "sweep", "swarm", "machines", "coverage"}
    assert report.histories >= sum(report.tiers.values())
    assert report.faults["crash after handler"]
    assert report.outcomes["returned"]
    assert report.outcomes["raised"]


@pytest.mark.parametrize("primitive", [shop.safe_charges, shop.safe_totals, shop.bills], ids=lambda one: one.kind)
def test_every_fault_comes_to_pass_at_every_site_whatever_the_budget(primitive: Any):
    report = check(primitive, budget="1ms")
    expected = {f"{fault} {site}" for site, faults in FAULTS.items() for fault in faults}
    assert expected <= set(report.faults)
    assert set(report.sites) == set(FAULTS)
    assert all(f"\n{site} {report.sites[site]}: " in str(report) for site in FAULTS)


def test_what_cannot_be_tried_is_a_failure():
    @Queue.make("nowhere", event_schema=int, partition_key=lambda event: f"{1 / 0}")
    async def nowhere(ctx: Any) -> None: ...

    with pytest.raises(
        CoverageError, match="'nowhere': no handler ever ran; give events with which one does"
    ) as caught:
        check(nowhere, events=[1], laws=["one_owner"], budget="1ms")
    assert "crash after handler" in caught.value.missed


@pytest.mark.parametrize("law", BROKEN)
def test_the_machines_find_it_by_themselves(law: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name, only in (("FIRST", ()), ("TURNS", ((turns.machines, 1),)), ("LAST", ())):
        monkeypatch.setattr(turns, name, only)
    primitive, options = BROKEN[law]
    violation = violation_of(primitive, **options)
    assert violation.law == law
    assert len(str(violation).splitlines()) <= MOST_LINES
    assert len(violation.steps) <= 8
    pasted(violation.regression, law, tmp_path)
    assert str(violation_of(primitive, **options)) == str(violation)


def test_only_the_faults_that_are_asked_for_come_to_pass():
    report = check(shop.safe_charges, faults=["crash"], budget="500ms")
    allowed = {f"{fault} {site}" for site, faults in KINDS["crash"].items() for fault in faults}
    assert set(report.faults) <= allowed


def test_only_the_laws_that_are_asked_for_are_held():
    check(shop.charges, effects=shop.effects, laws=["accepts_events"], budget="300ms", faults=["handler_error"])


def test_a_strategy_and_a_list_are_values():
    world = SimpleNamespace(seen=set[int]())  # an object of its own: no variable that a history restores

    async def note(ctx: Any) -> None:
        world.seen.add(ctx.event)

    queue = Queue.make("noted", event_schema=int, execute=note)
    check(queue, events=[3, 4], budget="100ms", faults=["handler_error"])
    assert world.seen == {3, 4}
    world.seen.clear()
    check(queue, events=st.integers(min_value=10, max_value=12), budget="100ms", faults=["handler_error"])
    assert world.seen == {10, 11, 12}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": [1]}, "a queue has no inputs"),
        ({"faults": ["crashs"]}, "crash"),
        ({"laws": ["one_ovner"]}, "one_owner"),
        ({"events": []}, "there is no value of Order"),
        ({"buget": "1s"}, "budget"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str):
    with pytest.raises(DefinitionError, match=message):
        check(shop.charges, **options)


def test_something_else_than_a_definition_is_refused():
    with pytest.raises(DefinitionError, match="check takes a definition"):
        check("charges")  # type: ignore[arg-type]


async def test_a_test_of_ones_own_can_hold_the_laws():
    async def charge_twice() -> None:
        async with create_test_primitives(shop.charges, laws="all", effects=shop.effects) as t:
            await t.client.queue(shop.charges).enqueue(shop.Order(1), id="1")
            t.fail("handler", when="after")
            await t.advance("1 minute")

    with pytest.raises(PropertyViolation, match="'charge' was done twice"):
        await charge_twice()
    async with create_test_primitives(shop.safe_charges, laws="all", effects=shop.effects) as t:
        await t.client.queue(shop.safe_charges).enqueue(shop.Order(1), id="1")
        t.fail("handler", when="after")
        await t.settle()
        assert list(shop.effects) == [("1", "charge")]


def test_without_hypothesis_examples_are_enough():
    code = """
import sys
sys.modules["hypothesis"] = None
from durable_primitives import DefinitionError
from durable_primitives.testing import check
from tests.testing.checking import shop
print(check(shop.safe_charges, events=[shop.Order(1)], budget="50ms", faults=["handler_error"]).histories > 0)
try:
    check(shop.safe_charges)
except DefinitionError as error:
    print(error.help)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "True"
    assert "durable-primitives[testing]" in done.stdout


def test_a_job_that_stops_by_itself_is_no_problem():
    @Continuous.make("thrice", state_schema=int, schedule=Continuous.every("1 hour"), max_runs=3)
    async def thrice(ctx: Any) -> None:
        ctx.set_state(ctx.run_count)

    check(thrice, inputs=[0], budget="500ms", faults=["crash", "handler_error"])
