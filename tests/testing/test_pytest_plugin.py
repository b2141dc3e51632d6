"""The pytest plugin, as its users meet it: in pytest runs of their own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

DEFINITIONS = """
import pytest
from durable_primitives import Buffer, Queue

mails = []

async def deliver(ctx):
    mails.append(ctx.event)

async def digest(ctx):
    mails.append(ctx.state)

orders = Queue.make("orders", event_schema=str, execute=deliver)
digests = Buffer.make("digests", event_schema=str, flush_after="1 hour", execute=digest)
"""

# An editable install that is older than the entry point does not load it by itself.
INSTALLED = entry_points(group="pytest11", name="durable_primitives")
LOADED = () if INSTALLED else ("-p", "durable_primitives_pytest")

CONFIGURATION = """
[tool.pytest]
addopts = ["--strict-markers"]
filterwarnings = ["error"]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
"""


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Run these tests in a pytest of their own."""
    pytester.makefile(".toml", pyproject=CONFIGURATION)

    def run(code: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(DEFINITIONS + code)
        return pytester.runpytest_inprocess(*LOADED, *arguments)

    return run


def test_an_asynchronous_test_opens_an_application_that_is_closed_for_it(run):
    result = run(
        """
seen = []

async def test_orders(durable_primitives):
    t = durable_primitives(orders, digests)
    await t.client.queue(orders).enqueue("tea")
    await t.client.buffer(digests).add("ada", "honey")
    await t.advance("1 hour")
    seen.append(t)
    assert len(mails) == 2

def test_it_was_closed():
    assert seen[0].simulation.over
    assert [entry.actor for entry in seen[0].trace.of("stop")] == ["worker 1"]
"""
    )
    result.assert_outcomes(passed=2)


def test_a_plain_test_waits(run):
    result = run(
        """
def test_orders(durable_primitives):
    t, wait = durable_primitives(orders, seed=7), durable_primitives.wait
    wait(t.client.queue(orders).enqueue("tea"))
    wait(t.run_until_idle())
    assert t.simulation.seed == 7
    assert wait(t.client.queue(orders).status()).processed == 1
"""
    )
    result.assert_outcomes(passed=1)


def test_a_test_runs_once_per_seed(run):
    result = run(
        """
@pytest.mark.durable_seeds(3)
def test_number(durable_primitives):
    assert durable_primitives(orders).simulation.seed == durable_primitives.seed

@pytest.mark.durable_seeds([4, 99])
@pytest.mark.parametrize("other", "ab")
def test_list(durable_primitives, other):
    assert durable_primitives(orders).simulation.seed in (4, 99)
""",
        "-v",
    )
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["*test_number?seed=0?*", "*test_number?seed=2?*", "*test_list?*seed=99*"])


@pytest.mark.parametrize(
    ("marked", "told"),
    [
        ('durable_seeds("5")', "takes a number of seeds or a list of them"),
        ("durable_seeds(0)", "takes a number of seeds or a list of them"),
        ("durable_seeds([])", "takes a number of seeds or a list of them"),
        ("durable_seeds()", "takes a number of seeds or a list of them"),
    ],
)
def test_seeds_that_are_none_are_refused(run, marked: str, told: str):
    result = run(f"@pytest.mark.{marked}\ndef test_it(durable_primitives): ...\n")

    assert result.ret != 0
    result.stdout.fnmatch_lines([f"*{told}*"])


def test_seeds_without_the_fixture_are_refused(run):
    result = run("@pytest.mark.durable_seeds(5)\ndef test_it(): ...\n")

    assert result.ret != 0
    result.stdout.fnmatch_lines(["*does not use the fixture durable_primitives*"])


FAILING = """
async def test_orders(durable_primitives):
    t = durable_primitives(orders)
    for number in range(40):
        await t.client.queue(orders).enqueue(str(number))
    await t.run_until_idle()
    t.fail("handler")
    await t.client.queue(orders).enqueue("tea")
    await t.run_until_idle()
    assert mails[-1] == "tea"
"""


def test_a_failure_shows_what_happened(run):
    result = run(FAILING)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*durable primitives: orders, seed 0, now 2030-01-01 00:00:00*",
            "*earlier lines; -vv shows them",
            "t=0ms*worker 1*raised*queue:orders:0*as it was told*",
        ]
    )
    result.stdout.no_fnmatch_line("*client*start*")


def test_very_verbose_shows_all_of_it(run):
    result = run(FAILING, "-vv")

    result.stdout.fnmatch_lines(["t=0ms*client*start*"])


def test_a_failed_test_does_not_fail_again_when_it_is_closed(run):
    result = run(
        """
import asyncio

@Queue.make("stuck", event_schema=str)
async def stuck(ctx):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def test_stuck(durable_primitives):
    t = durable_primitives(stuck)
    await t.client.queue(stuck).enqueue("x")
    await t.advance("1 second")
    assert False, "this, and no more"
"""
    )
    result.assert_outcomes(failed=1, errors=0)


def test_a_violation_is_shown_without_how_it_was_found(run):
    result = run(
        """
from durable_primitives.testing import check

sent = []

def grow(ctx):
    sent.append(ctx.event)
    return len(sent)

@Buffer.make("counts", event_schema=str, state_schema=int, max_events=2, on_event=grow)
async def counts(ctx): ...

def test_counts():
    check(counts, budget="2 seconds")
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*counts*reducer_is_pure*"])
    result.stdout.no_fnmatch_line("*in check*")
    result.stdout.no_fnmatch_line("*raise PropertyViolation*")


def test_loading_it_imports_neither_the_sdk_nor_hypothesis():
    code = """if True:
        import sys, durable_primitives_pytest
        sys.exit(any(name.partition(".")[0] in ("durable_primitives", "hypothesis", "msgspec") for name in sys.modules))
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_that_does_not_use_it_imports_nothing(pytester: pytest.Pytester):
    pytester.makepyfile("""
import sys

def test_nothing_else():
    assert not [name for name in sys.modules if name.partition(".")[0] in ("durable_primitives", "msgspec")]
""")
    pytester.runpytest_subprocess(*LOADED).assert_outcomes(passed=1)
