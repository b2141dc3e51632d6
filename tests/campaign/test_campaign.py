"""The sample of the campaign: nothing that the library promises fails, whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from durable_primitives import _core
from durable_primitives.kernel.primitive import Primitive
from durable_primitives.primitives import BUILTIN
from durable_primitives.testing.simulation import Deviation
from tests.campaign.__main__ import digest
from tests.campaign.campaign import Campaign
from tests.campaign.crash_points import SCENARIOS, Rehearsal, singles
from tests.campaign.sometimes import EXPECTED, Sometimes

ROOT = Path(__file__).parents[2]
TWINS = 20
NO_INSTANCE = "refuse claim 1 by worker 2"


@pytest.mark.timeout(900)
def test_the_laws_hold_in_the_sample_and_everything_was_exercised():
    """Some hundred worlds by chance, and every so manieth fault at every point of every operation."""
    campaign = Campaign()
    campaign.sample()
    assert not campaign.findings, "\n".join(map(str, campaign.findings[:5]))
    assert not campaign.never


@pytest.mark.parametrize("about", EXPECTED)
def test_a_campaign_tells_what_it_has_never_exercised(about: str):
    sometimes = Sometimes()
    left_out, *others = sorted(EXPECTED[about])
    sometimes.happened(about, others)
    assert sometimes.never([about]) == [f"{about}: {left_out}"]


def test_a_fault_is_noted_by_its_site_the_kind_of_primitive_and_who_was_there():
    sometimes = Sometimes()
    sometimes.went_wrong(
        "by chance", [Deviation.parse("crash after commit 2 of buffer:b:1 by worker 1"), Deviation.parse(NO_INSTANCE)]
    )
    assert set(sometimes.counts["fault by chance"]) == {"crash after commit by worker", "refuse claim by worker"}
    assert set(sometimes.counts["place by chance"]) == {"commit of buffer by worker", "claim by worker"}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_goes_well_if_nothing_goes_wrong(scenario: str):
    assert Rehearsal(SCENARIOS[scenario]).play() == []


@pytest.mark.parametrize("primitive", BUILTIN, ids=lambda primitive: primitive.kind)
def test_every_operation_that_changes_something_has_a_scenario(primitive: Primitive):
    seen: set[str] = set()
    for calls in SCENARIOS.values():
        rehearsal = Rehearsal(calls)
        rehearsal.simulation.on_call.append(lambda call: seen.add(f"{call.call.kind} {call.call.operation}"))
        rehearsal.play()
    changing = {name for name, operation in primitive.operations.items() if operation.mode != "query"}
    assert {f"{primitive.kind} {name}" for name in changing} <= seen


def test_a_sweep_has_a_crash_before_during_and_after_every_commit():
    faults = [deviation for (deviation,) in singles(SCENARIOS["queue enqueue"], ("crash",))]
    commits = {deviation.point for deviation in faults if deviation.point.site == "commit"}
    assert commits
    for point in commits:
        crashes = {deviation.fault for deviation in faults if deviation.point == point}
        assert crashes == {"crash before", "crash during", "crash after"}


def test_both_cores_have_the_same_histories():
    """The transitions of the Rust core are the Python ones, word for word."""
    if _core.implementation == "reference":
        pytest.skip("this run is about the reference")
    env = {**os.environ, "DURABLE_PRIMITIVES_CORE": "reference"}
    command = [sys.executable, "-m", "tests.campaign", "--digests", str(TWINS)]
    output = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout
    assert output.split() == [digest(seed) for seed in range(TWINS)]
