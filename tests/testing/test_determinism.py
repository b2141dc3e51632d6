"""The same seed gives the same trace, byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from durable_primitives.testing.simulation import FAULTS, Swarm
from tests.testing.busy_world import BusyWorld, digest
from tests.testing.worlds import INSTANCE, QueueWorld

ROOT = Path(__file__).parents[2]
SEEDS = 20


def test_one_seed_has_one_trace_in_a_hundred_runs():
    assert len({digest(7) for _ in range(100)}) == 1


def test_seeds_differ():
    assert len({digest(seed) for seed in range(SEEDS)}) == SEEDS


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_the_trace_is_the_same_in_another_process_under_another_hash_seed(hash_seed: str):
    command = [sys.executable, "-m", "tests.testing.busy_world", str(SEEDS)]
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    output = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout
    assert output.split() == [digest(seed) for seed in range(SEEDS)]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_a_swarm_did_can_be_done_again_as_a_schedule(seed: int):
    drawn = BusyWorld(seed, swarm=Swarm(seed)).play()
    text = [str(deviation) for deviation in drawn.choices.taken]
    again = BusyWorld(seed, text).play()
    assert str(again.trace) == str(drawn.trace)
    assert again.choices.missed == []
    drawn.close()
    again.close()


def test_nothing_is_lost_whatever_goes_wrong():
    """And every fault that has a place in this world came to pass."""
    faults = Counter[tuple[str, str]]()
    for seed in range(300):
        world = BusyWorld(seed, swarm=Swarm(seed, rate=0.1))
        simulation = world.play()
        deviations = [str(deviation) for deviation in simulation.choices.taken]
        assert world.wrong() == [], f"seed {seed}: {deviations}"
        faults.update((deviation.point.site, deviation.fault) for deviation in simulation.choices.taken)
        simulation.close()
    assert {(site, fault) for site, known in FAULTS.items() for fault in known} == set(faults)


def test_a_boring_world_has_a_short_trace():
    with QueueWorld() as world:
        world.worked_off()
        assert str(world.simulation.trace).splitlines() == [
            "t=0ms          client    start",
            "t=0ms          worker 1  start",
            f"t=0ms          client    call     {INSTANCE} enqueue",
            f"t=0ms          client    commit   {INSTANCE} applied, append 1",
            f"t=0ms          client    answer   {INSTANCE} enqueue",
            f"t=0ms          worker 1  claim    {INSTANCE} lease 1",
            f"t=0ms          worker 1  handler  {INSTANCE} event a attempt 1",
            f"t=0ms          worker 1  returned {INSTANCE} event a attempt 1",
            f"t=0ms          worker 1  commit   {INSTANCE} applied, remove 1, release, lease 1",
        ]


def test_entries_of_a_trace_can_be_compared_and_hashed():
    with QueueWorld() as one, QueueWorld() as other:
        assert list(one.worked_off().simulation.trace) == list(other.worked_off().simulation.trace)
        assert len({*one.simulation.trace, *other.simulation.trace}) == len(one.simulation.trace)
        assert [entry.what for entry in one.simulation.trace[-2:]] == ["returned", "commit"]
        assert one.simulation.trace.of("claim")[0].actor == "worker 1"
